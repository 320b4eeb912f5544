"""docs/protocol.md names tests that exist, every action of the wire and every error code."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DOC = (PROJECT / "docs" / "protocol.md").read_text()
NAMED = sorted(set(re.findall(r"`(\w+\.(?:rs|py))::(\w+)`", DOC)))


def sources(file: str) -> list[str]:
    folders = [PROJECT / "rust"] if file.endswith(".rs") else [PROJECT / "tests"]
    return [path.read_text() for folder in folders for path in folder.rglob(file)]


@pytest.mark.parametrize(("file", "function"), NAMED, ids=lambda part: part)
def test_the_named_test_exists(file: str, function: str) -> None:
    definition = re.compile(rf"\b(?:fn|def) {function}\b")
    assert any(definition.search(text) for text in sources(file)), f"{file} has no {function}"


def test_every_weak_spot_has_a_row_with_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|.*`\w+\.\w+::\w+` \|$", DOC, re.MULTILINE)
    assert [int(row) for row in rows] == list(range(1, 41))


def test_every_action_is_listed() -> None:
    wire = (PROJECT / "rust" / "mosaico-wire" / "src" / "action.rs").read_text()
    names = wire[wire.index("pub mod name") : wire.index("pub const EMPTY")]
    actions = set(re.findall(r'pub const \w+: &str = "(\w+)";', names))
    assert len(actions) >= 19
    assert actions <= set(re.findall(r"`(\w+)`", DOC)), "an action is not in the table"


def test_every_code_is_listed() -> None:
    core = (PROJECT / "rust" / "mosaico-types" / "src" / "error.rs").read_text()
    codes = set(re.findall(r'Self::\w+ => "(\w+)"', core))
    general = set(re.findall(r"Self::(\w+) => ErrorCode::\1,", core))
    general_codes = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in general}
    assert len(general_codes) == 13
    assert codes - general_codes <= set(re.findall(r"`(\w+)`", DOC)), "a code is not in the table"
