"""Frames of an ASL camera folder: `data.csv` names the files in `data/`."""

from dataclasses import dataclass
from pathlib import Path

from mosaicolabs.models import Message

from ._asl_csv import BadRow, Row, read_rows
from ._image_file import check_image, read_image
from ._reader_api import FailedMessage, Messages


@dataclass(frozen=True)
class FrameTotals:
    """What a camera folder contains.

    Attributes:
        frames: Number of rows of `data.csv`, with those whose frame cannot be read.
        bad: Number of the latter.
        first_problem: The error of the first of them.
        size_bytes: Size of the readable frames on disk.
        unlisted: Names of files in `data/` that `data.csv` does not list, sorted.
    """

    frames: int
    bad: int
    first_problem: str
    size_bytes: int
    unlisted: tuple[str, ...]


def check_frames(folder: Path) -> FrameTotals:
    """Checks the header of every frame that `data.csv` lists."""
    frames = size_bytes = 0
    problems: list[str] = []
    listed = set()
    for row in read_rows(folder / "data.csv", columns=2):
        frames += 1
        if isinstance(row, BadRow):
            problems.append(row.problem)
            continue
        try:
            path = _frame_path(folder, row)
            listed.add(path.name)
            check_image(path)
            size_bytes += path.stat().st_size
        except ValueError as error:
            problems.append(f"{row.place}: {error}")
    data = folder / "data"
    there = {entry.name for entry in data.iterdir() if entry.is_file()} if data.is_dir() else set()
    first = problems[0] if problems else ""
    return FrameTotals(frames, len(problems), first, size_bytes, tuple(sorted(there - listed)))


def read_frames(folder: Path, topic: str) -> Messages:
    """One message per row of `data.csv`, at its time there."""
    for row in read_rows(folder / "data.csv", columns=2):
        if isinstance(row, BadRow):
            yield topic, FailedMessage(row.problem)
            continue
        try:
            yield topic, Message(timestamp_ns=row.timestamp_ns, data=read_image(_frame_path(folder, row)))
        except ValueError as error:
            yield topic, FailedMessage(f"{row.place}: {error}")


def _frame_path(folder: Path, row: Row) -> Path:
    name = row.columns[0]
    if not name or Path(name).name != name:
        raise ValueError(f"`{name}` is not the name of a file in {folder / 'data'}")
    return folder / "data" / name
