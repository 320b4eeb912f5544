"""Pages that list everything of a kind list all of it; the picture of the README is complete."""

import importlib.util
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

from mosaicolabs import exceptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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


def test_every_optional_package_is_on_the_page_of_the_installation() -> None:
    text = (ROOT / "docs/install.md").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, requirements in extras.items():
        assert f"`{extra}`" in text
        for requirement in requirements:
            assert f"| `{re.split('[<>=;]', requirement)[0]}` |" in text


def test_links_of_the_readme_exist() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []


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
