"""Readers of this and of other packages are found as entry points."""

import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

import pytest

from mosaicolabs.helpers import plugins
from mosaicolabs.ingest import (
    READERS_GROUP,
    Recording,
    RecordingError,
    find_reader,
    load_reader,
    reader_names,
)


class TextReader:
    """A reader of another package."""

    name = "text"
    description = "anything that ends in .txt"

    def sniff(self, path: Path) -> bool:
        return path.suffix == ".txt"

    def open(self, path: Path) -> Recording:
        raise RecordingError(f"{path}: nothing in it")


class GreedyReader(TextReader):
    name = "greedy"

    def sniff(self, path: Path) -> bool:
        return True


class NoReader:
    name = "none"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Entry points by name; tests add to them."""
    package = ModuleType("other_package")
    vars(package).update(TextReader=TextReader, GreedyReader=GreedyReader, NoReader=NoReader)
    monkeypatch.setitem(sys.modules, "other_package", package)
    readers = {"text": "other_package:TextReader"}

    def entry_points(*, group: str) -> list[EntryPoint]:
        assert group == READERS_GROUP
        return [EntryPoint(name, value, group) for name, value in readers.items()]

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    return readers


def test_built_in_readers_are_entry_points() -> None:
    assert {"asl", "ulog"} <= {entry.name for entry in entry_points(group=READERS_GROUP)}
    assert load_reader("asl").name == "asl"
    assert load_reader("ulog").name == "ulog"


def test_reader_of_another_package(installed: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")

    assert reader_names() == ["text"]
    assert isinstance(find_reader(path), TextReader)
    with pytest.raises(RecordingError, match=r"b\.txt: no such file or folder"):
        find_reader(tmp_path / "b.txt")
    with pytest.raises(RecordingError, match=r"format not recognized.*; installed readers: text: "):
        find_reader(tmp_path)


def test_two_readers_that_agree(installed: dict[str, str], tmp_path: Path) -> None:
    installed["greedy"] = "other_package:GreedyReader"
    path = tmp_path / "a.txt"
    path.write_text("x")

    with pytest.raises(RecordingError, match=r"several readers recognize it \(greedy, text\)"):
        find_reader(path)
    assert find_reader(tmp_path).name == "greedy"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("package_that_is_not_there:Reader", "cannot be loaded: No module named"),
        ("other_package:Missing", "cannot be loaded: .*Missing"),
        ("other_package:NoReader", "lacks name, description, sniff or open"),
    ],
)
def test_broken_reader_is_named(installed: dict[str, str], tmp_path: Path, value: str, reason: str) -> None:
    installed["broken"] = value

    with pytest.raises(RecordingError, match=f"reader `broken` .*{reason}"):
        find_reader(tmp_path)
    assert load_reader("text").name == "text"


def test_unknown_name(installed: dict[str, str]) -> None:
    with pytest.raises(RecordingError, match="reader `bag` does not exist; installed readers: text"):
        load_reader("bag")
