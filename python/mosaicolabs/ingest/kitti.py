"""KITTI raw drives: one folder per sensor, with `timestamps.txt` and a file in `data/` for each line of it.

| Folder | Topic | Ontology |
| --- | --- | --- |
| `image_00` ... `image_03` | `/image_00` ... | `Image` |
| `oxts` | `/oxts` | `kitti.oxts`: a column for each value, by the names of the dataset |
| `velodyne_points` | `/velodyne_points` | `kitti.points`: lists `x`, `y`, `z` (m) and `reflectance` |

A frame that cannot be read is a failed message. Times without a zone are taken as UTC.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from mosaicolabs.models import Message, Serializable, generic_class
from mosaicolabs.models.sensors import Image

from ._image_file import check_image, read_image
from ._merge import merge_in_time
from ._reader_api import FailedMessage, Messages, Recording, RecordingError, Skipped, TopicSpec
from .tables import time_column

_STATUS = ("navstat", "numsats", "posmode", "velmode", "orimode")
_VALUES = (
    "lat", "lon", "alt", "roll", "pitch", "yaw",
    "vn", "ve", "vf", "vl", "vu",
    "ax", "ay", "az", "af", "al", "au",
    "wx", "wy", "wz", "wf", "wl", "wu",
    "pos_accuracy", "vel_accuracy",
)  # fmt: skip
_OXTS = pa.schema([*((name, pa.float64()) for name in _VALUES), *((name, pa.int32()) for name in _STATUS)])
_POINTS = pa.schema([(name, pa.list_(pa.float32())) for name in ("x", "y", "z", "reflectance")])


@dataclass(frozen=True)
class _Sensor:
    ontology: type[Serializable]
    check: Callable[[Path], None]
    read: Callable[[Path], Serializable]


class KittiReader:
    """Reads drives of KITTI raw."""

    name = "kitti"
    description = "KITTI raw drive (image_00/, oxts/, velodyne_points/ with timestamps.txt)"

    def sniff(self, path: Path) -> bool:
        """Whether a sensor folder has `timestamps.txt`."""
        return path.is_dir() and any(
            _sensor(entry.name) and (entry / "timestamps.txt").is_file() for entry in path.iterdir()
        )

    def open(self, path: Path) -> Recording:
        """Reads the times, and checks that every frame is there."""
        specs: list[TopicSpec] = []
        streams: list[Callable[[], Messages]] = []
        skipped: list[Skipped] = []
        for folder in sorted(path.iterdir()):
            sensor = _sensor(folder.name)
            if sensor is None or not (folder / "timestamps.txt").is_file():
                skipped.append(Skipped(folder.name, 0, "not a folder of a known sensor with timestamps.txt"))
                continue
            spec = _spec(folder, sensor, skipped)
            if spec is not None:
                specs.append(spec)
                streams.append(partial(_read, folder, sensor))
        if not specs:
            reasons = "; ".join(f"{skip.source}: {skip.reason}" for skip in skipped)
            raise RecordingError(f"{path}: nothing can be read: {reasons}")
        return Recording(
            topics=tuple(specs),
            messages=lambda: merge_in_time(read() for read in streams),
            metadata={"source": path.resolve().name, "source_format": self.name},
            skipped=tuple(skipped),
        )


def _sensor(name: str) -> _Sensor | None:
    if name in ("image_00", "image_01", "image_02", "image_03"):
        return _Sensor(Image, check_image, read_image)
    if name == "oxts":
        return _Sensor(generic_class("kitti.oxts", _OXTS), _check_file, _oxts)
    if name == "velodyne_points":
        return _Sensor(generic_class("kitti.points", _POINTS), _check_file, _points)
    return None


def _frames(folder: Path) -> list[tuple[int | None, Path | None]]:
    """Time and file of each frame; None for a time that cannot be read, and for a file that is missing.

    Files are numbered from 0; a drive may lack some of them.
    """
    text = (folder / "timestamps.txt").read_text(encoding="utf-8-sig", errors="backslashreplace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    times = time_column(pa.array(lines, pa.string()), None).to_pylist()
    data = folder / "data"
    numbered = {
        int(entry.stem): entry
        for entry in (data.iterdir() if data.is_dir() else ())
        if entry.stem.isdecimal()
    }
    count = max(len(times), *(number + 1 for number in numbered), 0) if numbered else len(times)
    times += [None] * (count - len(times))
    return [(time_ns, numbered.get(number)) for number, time_ns in enumerate(times)]


def _spec(folder: Path, sensor: _Sensor, skipped: list[Skipped]) -> TopicSpec | None:
    frames = _frames(folder)
    size_bytes, readable, problem = 0, 0, "it has no frames"
    for number, (time_ns, file) in enumerate(frames):
        try:
            size_bytes += _checked(folder, number, time_ns, file, sensor).stat().st_size
            readable += 1
        except ValueError as error:
            problem = str(error)
    if not readable:
        skipped.append(Skipped(folder.name, len(frames), problem))
        return None
    return TopicSpec(f"/{folder.name}", sensor.ontology, len(frames), size_bytes)


def _read(folder: Path, sensor: _Sensor) -> Messages:
    for number, (time_ns, file) in enumerate(_frames(folder)):
        try:
            data = sensor.read(_checked(folder, number, time_ns, file, sensor))
            message = Message(timestamp_ns=time_ns, data=data)
        except ValueError as error:
            yield f"/{folder.name}", FailedMessage(str(error))
        else:
            yield f"/{folder.name}", message


def _checked(folder: Path, number: int, time_ns: int | None, file: Path | None, sensor: _Sensor) -> Path:
    if file is None:
        raise ValueError(f"{folder / 'data'}: frame {number} is missing")
    if time_ns is None:
        raise ValueError(f"{folder / 'timestamps.txt'}:{number + 1}: no time for {file.name}")
    sensor.check(file)
    return file


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{path} is not a file")


def _oxts(path: Path) -> Serializable:
    texts = path.read_text(encoding="utf-8", errors="backslashreplace").split()
    if len(texts) != len(_OXTS):
        raise ValueError(f"{path}: {len(texts)} values, expected {len(_OXTS)}")
    try:
        values = {
            name: int(text) if name in _STATUS else float(text)
            for name, text in zip(_OXTS.names, texts, strict=True)
        }
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return generic_class("kitti.oxts", _OXTS)(**values)


def _points(path: Path) -> Serializable:
    content = path.read_bytes()
    if len(content) % 16:
        raise ValueError(f"{path}: its {len(content)} bytes are no whole points of 16 bytes")
    points = np.frombuffer(content, "<f4").reshape(-1, 4)
    columns = {name: points[:, index] for index, name in enumerate(_POINTS.names)}
    return generic_class("kitti.points", _POINTS)(**columns)
