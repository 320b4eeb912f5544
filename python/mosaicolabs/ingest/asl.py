"""ASL/EuRoC folders: `mav0/` or its parent, one sub-folder per sensor with a `data.csv`.

| Folder | Topics | Ontology |
| --- | --- | --- |
| `imu0` | `/imu0` | `IMU` |
| `cam0` | `/cam0` | `Image` (grey PNGs are stored unchanged) |
| `leica0` | `/leica0` | `Point3d` |
| `vicon0`, `mocap0` | `/vicon0`, `/mocap0` | `Pose` |
| `state_groundtruth_estimate0` | `/state_groundtruth_estimate0/state` | `MotionState` |
| | `.../gyroscope_bias`, `.../accelerometer_bias` | `Vector3d` |

The topic metadata is the folder's `sensor.yaml`. A row or frame that cannot be read is a failed message;
a sensor without any that can be read is skipped.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mosaicolabs.models import Message, Serializable
from mosaicolabs.models.data import MotionState, Point3d, Pose, Quaternion, Vector3d, Velocity
from mosaicolabs.models.sensors import IMU, Image

from ._asl_camera import check_frames, read_frames
from ._asl_csv import BadRow, read_numbers
from ._merge import merge_in_time
from ._reader_api import FailedMessage, Messages, Recording, RecordingError, Skipped, TopicSpec
from ._yaml_metadata import read_yaml

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
        """Reads every row and the header of every image; a sensor without a readable row is skipped."""
        root = _root(path)
        streams: list[_Stream] = []
        skipped: list[Skipped] = []
        for folder in _folders(root):
            if _is_sensor(folder):
                streams += _open_sensor(folder, skipped)
            else:
                skipped.append(Skipped(folder.name, 0, "no data.csv of a known sensor"))
        if not streams:
            reasons = "".join(f"; {skip.source}: {skip.reason}" for skip in skipped)
            raise RecordingError(
                f"{path}: no sensor folder (such as imu0/ or cam0/) with a readable data.csv{reasons}"
            )
        skipped += [
            Skipped(entry.name, 0, "a file beside the sensor folders")
            for entry in sorted(root.iterdir())
            if entry.is_file() and entry.name != "body.yaml"
        ]
        body = read_yaml(root / "body.yaml", skipped)
        return Recording(
            topics=tuple(topic for topics, _ in streams for topic in topics),
            messages=lambda: merge_in_time(read() for _, read in streams),
            metadata={"source": path.resolve().name, "source_format": self.name, **body},
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


def _open_sensor(folder: Path, skipped: list[Skipped]) -> list[_Stream]:
    """The stream of a sensor; none if nothing of it can be read, which is appended to `skipped`."""
    sensor = _sensor(folder)
    try:
        stream = _camera_stream(folder, skipped) if sensor is None else _row_stream(folder, sensor, skipped)
    except (RecordingError, OSError) as error:
        skipped.append(Skipped(folder.name, 0, str(error)))
        return []
    return [] if stream is None else [stream]


def _camera_stream(folder: Path, skipped: list[Skipped]) -> _Stream | None:
    topic = f"/{folder.name}"
    totals = check_frames(folder)
    if totals.unlisted:
        names = ", ".join(totals.unlisted[:3]) + (" ..." if len(totals.unlisted) > 3 else "")
        reason = f"files that data.csv does not list: {names}"
        skipped.append(Skipped(f"{folder.name}/data", len(totals.unlisted), reason))
    if totals.bad == totals.frames:
        skipped.append(Skipped(folder.name, totals.bad, totals.first_problem or "data.csv has no rows"))
        return None
    metadata = read_yaml(folder / "sensor.yaml", skipped)
    spec = TopicSpec(topic, Image, totals.frames, totals.size_bytes, metadata)
    return [spec], partial(read_frames, folder, topic)


def _row_stream(folder: Path, sensor: _Sensor, skipped: list[Skipped]) -> _Stream | None:
    csv = folder / "data.csv"
    rows = out_of_order = 0
    bad: list[str] = []
    latest_ns = -(2**63)
    for row in read_numbers(csv, sensor.columns):
        rows += 1
        if isinstance(row, BadRow):
            bad.append(row.problem)
        else:
            out_of_order += row[0].timestamp_ns < latest_ns
            latest_ns = max(latest_ns, row[0].timestamp_ns)
    if len(bad) == rows:
        skipped.append(Skipped(folder.name, rows, bad[0] if bad else "data.csv has no rows"))
        return None
    if out_of_order:
        reason = f"{out_of_order} rows are earlier than a row before them; they are stored in time order"
        skipped.append(Skipped(folder.name, 0, reason))
    metadata = read_yaml(folder / "sensor.yaml", skipped)
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
    for row in read_numbers(csv, sensor.columns):
        for topic, build in topics:
            if isinstance(row, BadRow):
                yield topic, FailedMessage(row.problem)
            else:
                yield topic, Message(timestamp_ns=row[0].timestamp_ns, data=build(row[1]))
