"""TUM RGB-D folders: text files with a time in seconds and values, or names of image files.

| File | Topic | Ontology |
| --- | --- | --- |
| `rgb.txt`, `depth.txt` | `/rgb`, `/depth` | `Image` |
| `accelerometer.txt` | `/accelerometer` | `IMU` |
| `groundtruth.txt` | `/groundtruth` | `Pose` |

A line or frame that cannot be read is a failed message; files that no text file lists are named.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any

from mosaicolabs.models import Message, Serializable
from mosaicolabs.models.data import Point3d, Pose, Quaternion, Vector3d
from mosaicolabs.models.sensors import IMU, Image

from ._image_file import check_image, read_image
from ._merge import merge_in_time
from ._reader_api import FailedMessage, Messages, Recording, RecordingError, Skipped, TopicSpec

_INT64 = 2**63


@dataclass(frozen=True)
class _Kind:
    """What a text file contains: `columns` values behind the time, and what they become."""

    ontology: type[Serializable]
    columns: int
    build: Callable[[Path, list[str]], Serializable]
    metadata: dict[str, Any]


def _acceleration(folder: Path, values: list[str]) -> IMU:
    return IMU(acceleration=Vector3d.from_list([float(value) for value in values]))


def _pose(folder: Path, values: list[str]) -> Pose:
    x, y, z, *rotation = (float(value) for value in values)
    return Pose(position=Point3d(x=x, y=y, z=z), orientation=Quaternion.from_list(rotation))


def _frame(folder: Path, values: list[str]) -> Image:
    return read_image(folder / values[0])


_KINDS = {
    "rgb": _Kind(Image, 1, _frame, {}),
    "depth": _Kind(Image, 1, _frame, {"unit": "1/5000 m", "no depth": 0}),
    "accelerometer": _Kind(IMU, 3, _acceleration, {}),
    "groundtruth": _Kind(Pose, 7, _pose, {}),
}


class TumReader:
    """Reads TUM RGB-D folders."""

    name = "tum"
    description = "TUM RGB-D folder (rgb.txt, depth.txt ...)"

    def sniff(self, path: Path) -> bool:
        """Whether the folder has `rgb.txt` or `depth.txt`."""
        return path.is_dir() and any((path / f"{name}.txt").is_file() for name in ("rgb", "depth"))

    def open(self, path: Path) -> Recording:
        """Reads every line, and the header of every image."""
        skipped: list[Skipped] = []
        specs, streams = [], []
        for name, kind in _KINDS.items():
            file = path / f"{name}.txt"
            if not file.is_file():
                continue
            spec = _spec(file, kind, skipped)
            if spec is not None:
                specs.append(spec)
                streams.append(partial(_read, file, kind))
        if not specs:
            reasons = "; ".join(f"{skip.source}: {skip.reason}" for skip in skipped)
            raise RecordingError(f"{path}: nothing can be read: {reasons}")
        known = {f"{name}.txt" for name in _KINDS}
        skipped += [
            Skipped(entry.name, 0, "not a file of a known sensor")
            for entry in sorted(path.iterdir())
            if entry.is_file() and entry.name not in known
        ]
        return Recording(
            topics=tuple(specs),
            messages=lambda: merge_in_time(read() for read in streams),
            metadata={"source": path.resolve().name, "source_format": self.name},
            skipped=tuple(skipped),
        )


def _spec(file: Path, kind: _Kind, skipped: list[Skipped]) -> TopicSpec | None:
    """The topic of a text file; None if no line can be read, which is appended to `skipped`."""
    lines, size_bytes = 0, 0
    problems: list[str] = []
    listed: set[Path] = set()
    for _, values, problem in _lines(file, kind):
        lines += 1
        if not problem and kind.ontology is Image:
            frame = file.parent / values[0]
            listed.add(frame)
            try:
                check_image(frame)
                size_bytes += frame.stat().st_size
            except ValueError as error:
                problem = str(error)
        if problem:
            problems.append(problem)
    for folder in sorted({frame.parent for frame in listed if frame.parent.is_dir()}):
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and entry not in listed)
        if names:
            reason = (
                f"files that {file.name} does not list: {', '.join(names[:3])}{' ...' if names[3:] else ''}"
            )
            skipped.append(Skipped(folder.name, len(names), reason))
    if len(problems) == lines:
        skipped.append(Skipped(file.name, lines, problems[0] if problems else "it has no lines"))
        return None
    size_bytes = size_bytes or file.stat().st_size
    return TopicSpec(f"/{file.stem}", kind.ontology, lines, size_bytes, kind.metadata)


def _read(file: Path, kind: _Kind) -> Messages:
    for time_ns, values, problem in _lines(file, kind):
        try:
            if problem:
                raise ValueError(problem)
            message = Message(timestamp_ns=time_ns, data=kind.build(file.parent, values))
        except ValueError as error:
            yield f"/{file.stem}", FailedMessage(str(error))
        else:
            yield f"/{file.stem}", message


def _lines(file: Path, kind: _Kind) -> Iterator[tuple[int, list[str], str]]:
    """Time in ns, values and problem of each line; a line with a problem has no values."""
    with file.open(encoding="utf-8-sig", errors="backslashreplace") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            stamp, *values = line.replace(",", " ").split()
            try:
                time_ns = _nanoseconds(stamp)
                if len(values) != kind.columns:
                    raise ValueError(f"{len(values)} values, expected {kind.columns}")
                if kind.ontology is not Image:
                    [float(value) for value in values]
            except ValueError as error:
                yield 0, [], f"{file}:{number}: {error}"
            else:
                yield time_ns, values, ""


def _nanoseconds(seconds: str) -> int:
    """Exactly: a double has no nanoseconds of today's times."""
    try:
        time_ns = round(Decimal(seconds) * 10**9)
    except (InvalidOperation, OverflowError, ValueError) as error:
        raise ValueError(f"time `{seconds}` is not a number of seconds") from error
    if not -_INT64 < time_ns < _INT64:
        raise ValueError(f"time `{seconds}` does not fit into 64 bits of nanoseconds")
    return time_ns
