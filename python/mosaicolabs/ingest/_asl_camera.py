"""Frames of an ASL camera folder: `data.csv` names the files in `data/`."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from mosaicolabs.models import Message
from mosaicolabs.models.sensors import Image, ImageFormat

from ._asl_csv import BadRow, Row, read_rows
from ._png16 import has_deep_colours, read_deep_colours
from ._reader_api import FailedMessage, Messages

_MODES = ("L", "RGB", "RGBA", "I;16")


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


class _FrameError(ValueError):
    """A frame that cannot be read; the message has its place."""


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
            with _open(row, path):
                size_bytes += path.stat().st_size
        except _FrameError as error:
            problems.append(str(error))
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
            yield topic, Message(timestamp_ns=row.timestamp_ns, data=_frame(row, _frame_path(folder, row)))
        except _FrameError as error:
            yield topic, FailedMessage(str(error))


def _frame_path(folder: Path, row: Row) -> Path:
    name = row.columns[0]
    if not name or Path(name).name != name:
        raise _FrameError(f"{row.place}: `{name}` is not the name of a file in {folder / 'data'}")
    return folder / "data" / name


def _open(row: Row, path: Path) -> PIL.Image.Image:
    place = row.place
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            image = PIL.Image.open(path)
    except FileNotFoundError as error:
        raise _FrameError(f"{place}: image {path} is missing") from error
    except Exception as error:  # Pillow's plug-ins raise many kinds for broken files
        raise _FrameError(f"{place}: image {path} cannot be read: {error}") from error
    if image.mode not in _MODES:
        image.close()
        raise _FrameError(f"{place}: image {path} has mode {image.mode}; supported: {', '.join(_MODES)}")
    return image


def _frame(row: Row, path: Path) -> Image:
    with _open(row, path) as image:
        try:
            if has_deep_colours(path):
                return read_deep_colours(path)
            image.load()
        except Exception as error:  # as above, also of another decoder
            raise _FrameError(f"{row.place}: image {path} cannot be decoded: {error}") from error
        if image.mode == "L" and image.format == "PNG":
            return _grey_png(path.read_bytes(), *image.size)
        return Image.from_pillow(image, output_format=ImageFormat.PNG)


def _grey_png(png: bytes, width: int, height: int) -> Image:
    """An `Image` of a grey PNG, which is stored unchanged: `Image` would encode these pixels the same way."""
    return Image(data=png, format=ImageFormat.PNG, width=width, height=height, stride=width, encoding="mono8")
