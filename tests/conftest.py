"""Hypothesis profiles, and the shared material next to the checkout."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mosaicolabs import get_logger

collect_ignore = ["torture"]  # a program of its own, which test_torture.py runs

# Examples end to end cost milliseconds each, and the first ones pay for starting a daemon.
_SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("dev", max_examples=15, **_SLOW)
settings.register_profile("ci", max_examples=40, print_blob=True, **_SLOW)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of contracts, seeds and recordings; `MOSAICO_SHARED` overrides its place."""
    folder = Path(os.environ.get("MOSAICO_SHARED", Path(__file__).parents[2] / "shared"))
    assert folder.is_dir(), f"{folder} is missing; put it next to the checkout, or set MOSAICO_SHARED"
    return folder


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    """Commands set up the package's logging for the whole process."""
    root = get_logger()
    handlers, level, propagate = list(root.handlers), root.level, root.propagate
    yield
    root.handlers[:], root.propagate = handlers, propagate
    root.setLevel(level)
