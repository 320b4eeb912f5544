"""COMPATIBILITY.md covers every quirk and every difference, and names tests that exist."""

import re
from pathlib import Path

import pytest
from contract.facts import PENDING, SHARED, is_pending

PROJECT = Path(__file__).parents[2]
DOC = (PROJECT / "COMPATIBILITY.md").read_text()
ROWS = [line for line in DOC.splitlines() if re.match(r"\| (?!---)", line)]
TESTED = [row for row in ROWS if re.search(r"\| (kept|fixed|both|ours|later) \|", row)]
CONTRACT = (SHARED / "contract" / "python-api.md").read_text()


def named_tests(row: str) -> list[tuple[str, str]]:
    return re.findall(r"`(\w+\.(?:rs|py))::(\w+)`", row)


@pytest.mark.parametrize("row", TESTED, ids=[row.split("|")[1].strip()[:30] for row in TESTED])
def test_every_row_names_a_test_that_exists(row: str) -> None:
    named = named_tests(row)
    if "| later |" in row:
        assert not named, "what is not there yet cannot be tested"
        return
    if any(is_pending(part) for part in PENDING if f"`{part}`" in row):
        return
    assert named, row
    for file, function in named:
        folder = PROJECT / ("rust" if file.endswith(".rs") else "tests")
        definition = re.compile(rf"\b(?:fn|def) {function}\b")
        found = [path for path in folder.rglob(file) if definition.search(path.read_text())]
        assert found, f"{file} has no {function}"


def test_every_quirk_has_a_row() -> None:
    recorded = re.findall(r"^\| (\d+) \|", CONTRACT[CONTRACT.index("### 14.3") :], re.MULTILINE)
    assert [int(number) for number in recorded] == list(range(1, 46))
    assert re.findall(r"^\| Q(\d+) \|", DOC, re.MULTILINE) == recorded


def test_every_difference_to_the_older_names_has_a_row() -> None:
    section = CONTRACT[CONTRACT.index("### 14.1") : CONTRACT.index("### 14.2")]
    recorded = [line for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(recorded) == 24
    older = DOC[DOC.index("## Older names") : DOC.index("## Newer versions")]
    assert len([row for row in TESTED if row in older]) >= len(recorded)


def test_every_conflict_of_versions_is_decided() -> None:
    (conflicts,) = re.findall(r"^Conflicts a superset has to arbitrate: (.*)\.$", CONTRACT, re.MULTILINE)
    decided = DOC[DOC.index("## Conflicts") :]
    for conflict in conflicts.split("; "):
        assert conflict.replace("`", "").lower() in decided.replace("`", "").lower(), conflict
