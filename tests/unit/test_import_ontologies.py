"""The daemon's description of the data classes matches the package."""

import importlib.util
from pathlib import Path


def test_ontologies_file_matches_the_classes() -> None:
    script = Path(__file__).parents[1] / "write_ontologies.py"
    spec = importlib.util.spec_from_file_location("write_ontologies", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.FILE.read_text() == module.ontologies(), "a class has changed: run `make ontologies`"
