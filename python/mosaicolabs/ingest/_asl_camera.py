"""Frames of an ASL camera folder: `data.csv` names the files in `data/`."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from mosaicolabs.models import Message
from mosaicolabs.models.sensors import Image, ImageFormat

from ._asl_csv import Row, read_rows
from ._reader_api import RecordingError

_MODES = ("L", "RGB", "RGBA", "I;16")


@dataclass(frozen=True)
class FrameTotals:
    """Number of frames in a folder, and their size on disk, bytes."""

    frames: int
    size_bytes: int


def check_frames(folder: Path) -> FrameTotals:
    """Checks the header of every frame that `data.csv` lists."""
    frames = size_bytes = 0
    for row in read_rows(folder / "data.csv", columns=2):
        with _open(row, _frame_path(folder, row)):
            frames += 1
        size_bytes += _frame_path(folder, row).stat().st_size
    return FrameTotals(frames, size_bytes)


def read_frames(folder: Path, topic: str) -> Iterator[tuple[str, Message]]:
    """One message per frame, at its time in `data.csv`."""
    for row in read_rows(folder / "data.csv", columns=2):
        yield topic, Message(timestamp_ns=row.timestamp_ns, data=_frame(row, _frame_path(folder, row)))


def _frame_path(folder: Path, row: Row) -> Path:
    name = row.columns[0]
    if not name or Path(name).name != name:
        raise RecordingError(f"{row.place}: `{name}` is not the name of a file in {folder / 'data'}")
    return folder / "data" / name


def _open(row: Row, path: Path) -> PIL.Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            image = PIL.Image.open(path)
    except FileNotFoundError as error:
        raise RecordingError(f"{row.place}: image {path} is missing") from error
    except Exception as error:  # Pillow's plug-ins raise many kinds for broken files
        raise RecordingError(f"{row.place}: image {path} cannot be read: {error}") from error
    if image.mode not in _MODES:
        image.close()
        raise RecordingError(
            f"{row.place}: image {path} has mode {image.mode}; supported: {', '.join(_MODES)}"
        )
    return image


def _frame(row: Row, path: Path) -> Image:
    with _open(row, path) as image:
        try:
            image.load()
        except Exception as error:
            raise RecordingError(f"{row.place}: image {path} cannot be decoded: {error}") from error
        if image.mode == "L" and image.format == "PNG":
            return _grey_png(path.read_bytes(), *image.size)
        return Image.from_pillow(image, output_format=ImageFormat.PNG)


def _grey_png(png: bytes, width: int, height: int) -> Image:
    """An `Image` of a grey PNG, which is stored unchanged: `Image` would encode these pixels the same way."""
    return Image(data=png, format=ImageFormat.PNG, width=width, height=height, stride=width, encoding="mono8")
