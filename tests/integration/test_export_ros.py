"""Bags → store → bags: the messages of all types with an adapter are equal, read by another library."""

import dataclasses
import errno
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness.bags import KINDS, header, make, serialize, types_of, write_bag
from harness.record import sequence_of
from harness.ros_samples import STAMP_NS, samples
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from mosaicolabs import (
    Floating64,
    Image,
    Message,
    MosaicoClient,
    Pose,
    Quaternion,
    SequenceHandler,
    Vector3d,
    data_field,
)
from mosaicolabs.export import ExportError
from mosaicolabs.ingest import find_reader, ingest
from mosaicolabs.models.data import Point3d
from mosaicolabs.models.futures import Lidar
from mosaicolabs.ros_bridge import ROSBridge
from mosaicolabs.ros_bridge._decode import _octets, _plain_message
from mosaicolabs.ros_bridge._encode import encoder

BAG_NS = STAMP_NS + 1_000_000
FORMATS = {"ros1": "ros1", "sqlite3": "ros2", "mcap": "ros2"}
# Units are converted: kelvin, microtesla.
ROUNDED = ("sensor_msgs/msg/Temperature", "sensor_msgs/msg/MagneticField")


def plain(value: Any) -> Any:
    """Objects of rosbags as dicts, arrays as lists."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name.lower(): plain(getattr(value, name)) for name in names if name != "__msgtype__"}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [plain(item) for item in value] if isinstance(value, list) else value


def same(left: Any, right: Any, *, rounded: bool = False) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k], rounded=rounded) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(
            same(a, b, rounded=rounded) for a, b in zip(left, right, strict=True)
        )
    if isinstance(left, float):
        if math.isnan(left):
            return math.isnan(right)
        return math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-9) if rounded else left == right
    return bool(left == right)


def read(path: Path) -> dict[str, list[tuple[int, str, Any]]]:
    """Time, type and message of each topic."""
    found: dict[str, list[tuple[int, str, Any]]] = {}
    with AnyReader([path]) as bag:
        for connection, time_ns, raw in bag.messages():
            message = plain(bag.deserialize(raw, connection.msgtype))
            found.setdefault(connection.topic, []).append((time_ns, connection.msgtype, message))
    return found


def export(handler: SequenceHandler, folder: Path, kind: str, **options: Any) -> Path:
    path = folder / ("out.bag" if kind == "ros1" else "out")
    given = {**({} if kind == "ros1" else {"storage": kind}), **options}
    handler.export(path, FORMATS[kind], options=given)
    return path


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("stored", KINDS)
def test_all_types_are_written_equal(
    client: MosaicoClient, tmp_path: Path, stored: str, written: str
) -> None:
    expected = samples(None)
    topics = {f"/{ros_type.split('/')[-1]}": ros_type for ros_type in expected}
    rows = [(t, name, BAG_NS + i, expected[name][0]) for i, (t, name) in enumerate(topics.items())]
    bag = write_bag(tmp_path, stored, rows)
    ingest(client, find_reader(bag).open(bag), "flight")

    result = read(export(sequence_of(client, "flight"), tmp_path, written))

    assert result.keys() == topics.keys()
    store = types_of("bag" if written == "ros1" else "mcap")
    for topic, ros_type, time_ns, fields in rows:
        ((seen_ns, seen_type, seen),) = result[topic]
        wanted_type = "tf2_msgs/msg/TFMessage" if written != "ros1" and "tf/" in ros_type else ros_type
        if "format" in fields:
            fields = {**fields, "format": "jpeg"}
        wanted = plain(make(store, wanted_type, fields))
        if written == "ros1" and stored != "bag":
            _without_seq(wanted)
        assert (seen_ns, seen_type) == (time_ns, wanted_type)
        assert same(seen, wanted, rounded=ros_type in ROUNDED), ros_type


def _without_seq(message: Any) -> None:
    """ROS 2 has no counter in its headers."""
    for value in message.values() if isinstance(message, dict) else message:
        if isinstance(value, dict | list):
            _without_seq(value)
    if isinstance(message, dict) and "seq" in message:
        message["seq"] = 0


# -- any value -----------------------------------------------------------------------------------


def fields_of(store: Typestore, name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any fields of a message."""
    return st.fixed_dictionaries(
        {field: _value(store, name, field, desc) for field, desc in store.fielddefs[name][1]}
    )


def _value(store: Typestore, name: str, field: str, desc: Any) -> st.SearchStrategy[Any]:
    kind, detail = desc
    if name == "sensor_msgs/msg/PointField" and field == "datatype":
        return st.integers(1, 8)
    if field == "nanosec":
        return st.integers(0, 10**9 - 1)
    if kind == Nodetype.NAME:
        return fields_of(store, detail)
    if kind == Nodetype.BASE:
        return _base(detail[0])
    (item_kind, item), size = detail
    sizes = (size, size) if kind == Nodetype.ARRAY else (0, 3)
    items = fields_of(store, item) if item_kind == Nodetype.NAME else _base(item[0])
    return st.lists(items, min_size=sizes[0], max_size=sizes[1])


SPECIAL_FLOATS = st.sampled_from([math.nan, math.inf, -math.inf, 2.0**100, 2.0**-100])


def _base(name: str) -> st.SearchStrategy[Any]:
    if name == "string":
        return st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
    if name == "bool":
        return st.booleans()
    if name.startswith("float"):
        # Larger values of converted units are compared with their relative error.
        return st.floats(-1e6, 1e6, width=32 if name == "float32" else 64) | SPECIAL_FLOATS
    limits = np.iinfo(name)
    return st.integers(int(limits.min), int(limits.max))


def is_measured(fields: dict[str, Any]) -> bool:
    """-1 marks quantities of an IMU that are not measured, whose values are not kept."""
    keys = ("orientation_covariance", "angular_velocity_covariance")
    return all(fields[key][0] != -1 for key in keys if key in fields)


@pytest.mark.parametrize(
    "ros_type",
    sorted(samples(None).keys() - {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}),
)
def test_adapters_translate_any_value_back(ros_type: str) -> None:
    store = types_of("bag" if ros_type.startswith("tf/") else "mcap")
    adapter = ROSBridge.get_adapter(ros_type)
    assert adapter is not None
    assert adapter.is_two_way()
    encode = encoder(store, ros_type, is_ros1=False)
    decode = _plain_message(store, ros_type, _octets if adapter.octets_as_bytes else list, constants=False)

    @settings(max_examples=settings.default.max_examples)
    @given(fields_of(store, ros_type))
    def check(fields: dict[str, Any]) -> None:
        assume(is_measured(fields))
        message = make(store, ros_type, fields)
        data = adapter.from_dict(decode(message))
        back = adapter.to_dict(data, ros_type)
        if "header" in fields:
            back["header"] = fields["header"]
        again = store.deserialize_cdr(encode(back), ros_type)
        assert same(plain(again), plain(message), rounded=ros_type in ROUNDED)

    check()


# -- topics that are not from bags ---------------------------------------------------------------


def test_topics_of_other_recordings(client: MosaicoClient, tmp_path: Path) -> None:
    point, turn = Point3d(x=1.0, y=2.0, z=3.0), Quaternion(x=0.0, y=0.0, z=0.0, w=1.0)
    with client.sequence_create("own") as sequence:
        pose = sequence.topic_create("pose", {}, Pose)
        sure = sequence.topic_create("sure", {}, Pose)
        speed = sequence.topic_create("speed", {}, Floating64)
        pose.push(Message(timestamp_ns=7, data=Pose(position=point, orientation=turn)))
        covariance = [float(number) for number in range(36)]
        sure.push(Message(timestamp_ns=8, data=Pose(position=point, orientation=turn, covariance=covariance)))
        speed.push(Message(timestamp_ns=9, recording_timestamp_ns=10, data=Floating64(data=1.5)))
        lidar = sequence.topic_create("lidar", {}, Lidar)
        lidar.push(Message(timestamp_ns=9, data=Lidar(x=[1.0], y=[2.0], z=[3.0])))
    handler = sequence_of(client, "own")

    planned = handler.export(tmp_path / "out", "ros2", dry_run=True)
    result = read(export(handler, tmp_path, "mcap"))

    assert [(skip.topic, skip.reason) for skip in planned.skipped] == [
        ("/lidar", "no adapter translates its class (lidar) to ROS")
    ]
    assert {topic: rows[0][:2] for topic, rows in result.items()} == {
        "/pose": (7, "geometry_msgs/msg/PoseStamped"),
        "/sure": (8, "geometry_msgs/msg/PoseWithCovarianceStamped"),
        "/speed": (10, "std_msgs/msg/Float64"),
    }
    assert result["/pose"][0][2]["header"]["stamp"]["nanosec"] == 7
    assert result["/sure"][0][2]["pose"]["covariance"] == covariance


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("stored", KINDS)
def test_types_without_an_adapter(client: MosaicoClient, tmp_path: Path, stored: str, written: str) -> None:
    fields = {"header": header(STAMP_NS, seq=3), "rpm": 2.5, "raw": b"\1\2", "ticks": [-7, 8]}
    rows = [("/wheel", "my_msgs/msg/Wheel", BAG_NS + i, {**fields, "rpm": float(i)}) for i in range(3)]
    bag = write_bag(tmp_path, stored, rows)
    ingest(client, find_reader(bag).open(bag), "flight")
    handler = sequence_of(client, "flight")

    result = read(export(handler, tmp_path, written))["/wheel"]

    store = types_of("bag" if written == "ros1" else "mcap")
    for (time_ns, ros_type, seen), row in zip(result, rows, strict=True):
        wanted = plain(make(store, row[1], row[3]))
        if written == "ros1" and stored != "bag":
            _without_seq(wanted)
        assert (time_ns, ros_type, seen) == (row[2], row[1], wanted)
    fast = data_field("my_msgs/Wheel.rpm").gt(0.5)
    some = handler.export(tmp_path / "fast.bag", "ros1", where=fast)
    assert some.messages == 2


@pytest.mark.parametrize(
    ("kind", "options"),
    [("ros1", {"compression": "lz4"}), ("ros1", {"compression": "bz2"}), ("mcap", {"compression": "zstd"})],
)
def test_compressed_bags(client: MosaicoClient, tmp_path: Path, kind: str, options: dict[str, str]) -> None:
    with client.sequence_create("own") as sequence:
        topic = sequence.topic_create("v", {}, Vector3d)
        for number in range(500):
            topic.push(Message(timestamp_ns=number, data=Vector3d(x=1.0, y=2.0, z=float(number))))

    rows = read(export(sequence_of(client, "own"), tmp_path, kind, **options))["/v"]

    assert [row[2]["vector"]["z"] for row in rows] == list(range(500))


def test_a_message_that_ros_cannot_represent(client: MosaicoClient, tmp_path: Path) -> None:
    with client.sequence_create("own") as sequence:
        topic = sequence.topic_create("v", {"ros_type": "sensor_msgs/msg/Image"}, Image)
        image = Image(data=b"", format="png", width=1, height=1, stride=1, encoding="mono8")
        topic.push(Message(timestamp_ns=5, data=image))
    handler = sequence_of(client, "own")

    with pytest.raises(ExportError, match=r"topic `/v`, message at 5 ns, as sensor_msgs/msg/Image: "):
        handler.export(tmp_path / "out.bag", "ros1")
    with pytest.raises(ExportError, match="ros_distro: `ros2_humble` does not exist; give one of ros1"):
        handler.export(tmp_path / "out.bag", "ros1", options={"ros_distro": "ros2_humble"})
    assert not (tmp_path / "out.bag").exists()


@pytest.mark.parametrize("kind", ["ros1", "mcap"])
def test_a_time_that_bags_do_not_have(client: MosaicoClient, tmp_path: Path, kind: str) -> None:
    with client.sequence_create("own") as sequence:
        sequence.topic_create("v", {}, Vector3d).push(
            Message(timestamp_ns=-5, data=Vector3d(x=1.0, y=2.0, z=3.0))
        )

    with pytest.raises(ExportError, match=r"topic `/v`, message at -5 ns, as geometry_msgs/msg/Vec"):
        export(sequence_of(client, "own"), tmp_path, kind)


def test_a_full_disk_is_no_fault_of_a_message(
    client: MosaicoClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client.sequence_create("own") as sequence:
        sequence.topic_create("v", {}, Vector3d).push(
            Message(timestamp_ns=5, data=Vector3d(x=1.0, y=2.0, z=3.0))
        )

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rosbags.rosbag1.Writer.write", full)
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device$"):
        sequence_of(client, "own").export(tmp_path / "out.bag", "ros1")


def test_the_encoder_refuses_what_does_not_fit() -> None:
    store = get_typestore(Stores.ROS2_HUMBLE)

    with pytest.raises(ValueError, match=r"std_msgs/msg/UInt8\.data: 256 does not fit into uint8"):
        encoder(store, "std_msgs/msg/UInt8", is_ros1=False)({"data": 256})
    with pytest.raises(ValueError, match=r"Imu\.orientation_covariance has 9 values, not 2"):
        encoder(store, "sensor_msgs/msg/Imu", is_ros1=False)({"orientation_covariance": [1, 2]})
    with pytest.raises(ValueError, match="std_msgs/msg/Bool has no fields speed; it has: data"):
        encoder(store, "std_msgs/msg/Bool", is_ros1=False)({"speed": 1})
    expected = serialize("mcap", store, "sensor_msgs/msg/Imu", {})
    assert encoder(store, "sensor_msgs/msg/Imu", is_ros1=False)({}) == expected
