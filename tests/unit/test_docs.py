"""Pages that list everything of a kind list all of it; the picture of the README is complete."""

import importlib.util
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

from mosaicolabs import exceptions

ROOT = Path(__file__).parents[2]
CODES = {code for name in exceptions.__all__ for code in getattr(exceptions, name).codes}


def test_every_code_of_an_error_has_a_next_step() -> None:
    _, _, table = (ROOT / "docs/troubleshooting.md").read_text().partition("## By code")
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines() if "`" in line
    ]
    listed = [code for codes, *_ in rows for code in re.findall(r"`(\w+)`", codes)]
    assert sorted(listed) == sorted(CODES)
    assert all(len(row) == 3 and row[1] and row[2] for row in rows)


@pytest.fixture(scope="module")
def terminal() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_terminal", ROOT / "docs/write_terminal.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(svg: str) -> str:
    text = " ".join(
        element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("text")
    )
    return " ".join(text.replace("\xa0", " ").split())


def test_the_picture_is_that_of_its_script(terminal: ModuleType) -> None:
    """Numbers differ from run to run, commands and titles do not."""
    kept = terminal.FILE.read_text(encoding="utf-8")
    fresh = terminal.picture(seconds=1)
    for command in terminal.COMMANDS:
        assert f"$ {command}" in words(kept)
    titles = re.findall(r"[a-z]+(?:\.[a-z])?", words(fresh))
    assert set(titles) <= set(re.findall(r"[a-z]+(?:\.[a-z])?", words(kept))) | {"nothing", "found"}


def test_the_picture_loads_nothing(terminal: ModuleType) -> None:
    kept = terminal.FILE.read_text(encoding="utf-8")
    assert "url(http" not in kept
    assert "@font-face" not in kept
    assert len(kept) < 60_000
