"""ASL/EuRoC folders: `mav0/` or its parent, one sub-folder per sensor with a `data.csv`.

| Folder | Topics | Ontology |
| --- | --- | --- |
| `imu0` | `/imu0` | `IMU` |
| `cam0` | `/cam0` | `Image` (grey PNGs are stored unchanged) |
| `leica0` | `/leica0` | `Point3d` |
| `vicon0`, `mocap0` | `/vicon0`, `/mocap0` | `Pose` |
| `state_groundtruth_estimate0` | `/state_groundtruth_estimate0/state` | `MotionState` |
| | `.../gyroscope_bias`, `.../accelerometer_bias` | `Vector3d` |

The topic metadata is the folder's `sensor.yaml`.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from mosaicolabs.models import Message, Serializable
from mosaicolabs.models.data import MotionState, Point3d, Pose, Quaternion, Vector3d, Velocity
from mosaicolabs.models.sensors import IMU, Image

from ._asl_camera import check_frames, read_frames
from ._asl_csv import numbers, read_rows
from ._merge import merge_in_time
from ._reader_api import Recording, RecordingError, Skipped, TopicSpec

Messages = Iterator[tuple[str, Message]]
_Stream = tuple[list[TopicSpec], Callable[[], Messages]]


@dataclass(frozen=True)
class _Part:
    """One topic made from the rows of a sensor, named by the folder and `suffix`."""

    suffix: str
    ontology: type[Serializable]
    build: Callable[[list[float]], Serializable]
    metadata: dict[str, str]


@dataclass(frozen=True)
class _Sensor:
    folder: re.Pattern[str]
    columns: int
    parts: tuple[_Part, ...]


def _imu(row: list[float]) -> IMU:
    return IMU(angular_velocity=Vector3d.from_list(row[0:3]), acceleration=Vector3d.from_list(row[3:6]))


def _pose(row: list[float]) -> Pose:
    w, x, y, z = row[3:7]
    return Pose(position=Point3d.from_list(row[0:3]), orientation=Quaternion(x=x, y=y, z=z, w=w))


def _state(row: list[float]) -> MotionState:
    return MotionState(
        pose=_pose(row), velocity=Velocity(linear=Vector3d.from_list(row[7:10])), target_frame_id="world"
    )


_SENSORS = (
    _Sensor(re.compile(r"imu\d+"), 7, (_Part("", IMU, _imu, {}),)),
    _Sensor(re.compile(r"leica\d+"), 4, (_Part("", Point3d, Point3d.from_list, {}),)),
    _Sensor(re.compile(r"(vicon|mocap)\d+"), 8, (_Part("", Pose, _pose, {}),)),
    _Sensor(
        re.compile(r"state_groundtruth_estimate\d+"),
        17,
        (
            _Part("/state", MotionState, _state, {}),
            _Part("/gyroscope_bias", Vector3d, lambda row: Vector3d.from_list(row[10:13]), {"unit": "rad/s"}),
            _Part(
                "/accelerometer_bias", Vector3d, lambda row: Vector3d.from_list(row[13:16]), {"unit": "m/s^2"}
            ),
        ),
    ),
)
_CAMERA = re.compile(r"cam\d+")


class AslReader:
    """Reads ASL/EuRoC folders."""

    name = "asl"
    description = "ASL/EuRoC folder (mav0/ or its parent)"

    def sniff(self, path: Path) -> bool:
        """Whether the folder contains a sensor folder with a `data.csv`."""
        return path.is_dir() and any(_is_sensor(folder) for folder in _folders(_root(path)))

    def open(self, path: Path) -> Recording:
        """Validates every row and the header of every image."""
        root = _root(path)
        streams: list[_Stream] = []
        skipped: list[Skipped] = []
        for folder in _folders(root):
            sensor = _sensor(folder)
            if not _is_sensor(folder):
                skipped.append(Skipped(folder.name, 0, "no data.csv of a known sensor"))
            elif sensor is None:
                streams.append(_camera_stream(folder))
            else:
                streams.append(_row_stream(folder, sensor))
        if not streams:
            raise RecordingError(f"{path}: no sensor folder (such as imu0/ or cam0/) with a data.csv")
        return Recording(
            topics=tuple(topic for topics, _ in streams for topic in topics),
            messages=lambda: merge_in_time(read() for _, read in streams),
            metadata={"source": path.resolve().name, "source_format": self.name, **_yaml(root / "body.yaml")},
            skipped=tuple(skipped),
        )


def _root(path: Path) -> Path:
    return path / "mav0" if (path / "mav0").is_dir() else path


def _folders(root: Path) -> list[Path]:
    return sorted(entry for entry in root.iterdir() if entry.is_dir())


def _sensor(folder: Path) -> _Sensor | None:
    return next((sensor for sensor in _SENSORS if sensor.folder.fullmatch(folder.name)), None)


def _is_sensor(folder: Path) -> bool:
    known = _CAMERA.fullmatch(folder.name) is not None or _sensor(folder) is not None
    return known and (folder / "data.csv").is_file()


def _camera_stream(folder: Path) -> _Stream:
    topic = f"/{folder.name}"
    totals = check_frames(folder)
    spec = TopicSpec(topic, Image, totals.frames, totals.size_bytes, _yaml(folder / "sensor.yaml"))
    return [spec], partial(read_frames, folder, topic)


def _row_stream(folder: Path, sensor: _Sensor) -> _Stream:
    csv = folder / "data.csv"
    metadata = _yaml(folder / "sensor.yaml")
    rows = sum(1 for row in read_rows(csv, sensor.columns) if numbers(row))
    size_bytes = csv.stat().st_size // len(sensor.parts)
    specs = [
        TopicSpec(
            f"/{folder.name}{part.suffix}", part.ontology, rows, size_bytes, {**metadata, **part.metadata}
        )
        for part in sensor.parts
    ]
    return specs, partial(_read_rows, csv, sensor, folder.name)


def _read_rows(csv: Path, sensor: _Sensor, name: str) -> Messages:
    topics = [(f"/{name}{part.suffix}", part.build) for part in sensor.parts]
    for row in read_rows(csv, sensor.columns):
        values = numbers(row)
        for topic, build in topics:
            yield topic, Message(timestamp_ns=row.timestamp_ns, data=build(values))


def _yaml(path: Path) -> dict[str, Any]:
    """The mapping in `path`, as JSON types; empty if the file does not exist."""
    if not path.exists():
        return {}
    try:
        # OpenCV writes `%YAML:1.0`, which is not a valid YAML directive.
        text = re.sub(r"\A%YAML:.*\n(---.*\n)?", "", path.read_text(encoding="utf-8"))
        content = yaml.safe_load(text)
        document = json.loads(json.dumps({} if content is None else content, allow_nan=False, default=str))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise RecordingError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(document, dict):
        raise RecordingError(f"{path}: a mapping was expected, found {type(document).__name__}")
    return document
