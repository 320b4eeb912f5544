"""What docstring examples may use without importing it: a fresh folder `store` and `MosaicoClient`."""

from pathlib import Path
from typing import Any

import pytest

from mosaicolabs import MosaicoClient


@pytest.fixture(autouse=True)
def _names_of_doctests(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        folder: Path = request.getfixturevalue("tmp_path")
        doctest_namespace.update(store=folder / "store", MosaicoClient=MosaicoClient)
