"""For all tests: what docstring examples may use without importing it, and no skipped test in CI."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from mosaicolabs import MosaicoClient


@pytest.fixture(autouse=True)
def _names_of_doctests(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    """A fresh folder `store` and `MosaicoClient`."""
    if isinstance(request.node, pytest.DoctestItem):
        folder: Path = request.getfixturevalue("tmp_path")
        doctest_namespace.update(store=folder / "store", MosaicoClient=MosaicoClient)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where `CI` is set, nothing may be missing that a test needs: a skipped test is an error.

    Examples that their docstring marks with `+SKIP` are not meant to run anywhere.
    """
    report = yield
    meant = isinstance(item, pytest.DoctestItem) or hasattr(report, "wasxfail")
    if os.environ.get("CI") and report.skipped and not meant:
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nCI is set, where a skipped test is an error."
    return report
