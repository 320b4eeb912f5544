"""`docs/cli.md` is that of the commands as they are."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from mosaicolabs.cli import _main


@pytest.fixture(scope="module")
def written() -> ModuleType:
    script = Path(__file__).parents[1] / "write_cli_reference.py"
    spec = importlib.util.spec_from_file_location("write_cli_reference", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(written: ModuleType) -> None:
    assert written.FILE.read_text(encoding="utf-8") == written.reference(), "run `make cli-reference`"


@pytest.mark.parametrize("name", list(_main._COMMANDS))
def test_every_command_is_on_the_page(written: ModuleType, name: str) -> None:
    assert f"\n## mosaico {name}\n" in written.reference()


def test_options_of_the_place_are_listed_once(written: ModuleType) -> None:
    assert written.reference().count("| `--store DIR` |") == 1
    assert written.reference().count("| `--skip-existing` |") == 1
