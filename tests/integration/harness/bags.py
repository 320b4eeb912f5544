"""Writes ROS bags of any kind with rosbags, from plain dicts."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore

KINDS = ("bag", "db3", "mcap")

# Types that the distributions of rosbags lack.
_MORE = {
    "nmea_msgs/msg/Sentence": "std_msgs/Header header\nstring sentence",
    "tf2_msgs/msg/TFMessage": "geometry_msgs/TransformStamped[] transforms",
    "tf/msg/tfMessage": "geometry_msgs/TransformStamped[] transforms",
    "my_msgs/msg/Wheel": "std_msgs/Header header\nuint8 LEFT=1\nfloat64 rpm\nuint8[] raw\nint32[] ticks",
}

Row = tuple[str, str, int, dict[str, Any] | bytes]
"""Topic, type, time in ns, and the fields, or the bytes as they shall stand in the bag."""


def types_of(kind: str) -> Typestore:
    """The types of the distribution that writes bags of this kind."""
    store = get_typestore(Stores.ROS1_NOETIC if kind == "bag" else Stores.ROS2_HUMBLE)
    for name, text in _MORE.items():
        if name not in store.fielddefs:
            store.register(get_types_from_msg(text, name))
    return store


def make(store: Typestore, name: str, fields: dict[str, Any]) -> Any:
    """A message object; what is not given is zero or empty. Names of fields in either case."""
    given = {key.lower(): value for key, value in fields.items()}
    values = {
        normalize_fieldname(field): _value(store, desc, given.pop(field.lower(), None))
        for field, desc in store.fielddefs[name][1]
    }
    assert not given.keys() - {"seq"}, f"{name} has no {sorted(given)}"
    return store.types[name](**values)


def _value(store: Typestore, desc: Any, value: Any) -> Any:
    kind, detail = desc
    if kind == Nodetype.NAME:
        return make(store, detail, value or {})
    if kind == Nodetype.BASE:
        zero = "" if detail[0] == "string" else False if detail[0] == "bool" else 0
        return zero if value is None else value
    (item_kind, item), size = detail
    if item_kind == Nodetype.NAME:
        return [make(store, item, entry) for entry in value or []]
    if item[0] == "string":
        return list(value or [])
    if value is None:
        value = [0] * (size if kind == Nodetype.ARRAY else 0)
    return np.frombuffer(value, np.uint8) if isinstance(value, bytes) else np.array(value, dtype=item[0])


def serialize(kind: str, store: Typestore, name: str, fields: dict[str, Any]) -> bytes:
    message = make(store, name, fields)
    return bytes(store.serialize_ros1(message, name) if kind == "bag" else store.serialize_cdr(message, name))


def write_bag(
    folder: Path, kind: str, rows: Iterable[Row], compression: CompressionMode | None = None
) -> Path:
    """A new bag `folder/flight.KIND` (ROS 2: in a folder of its own) with these messages."""
    store = types_of(kind)
    writer: Any
    if kind == "bag":
        path = folder / "flight.bag"
        writer = Ros1Writer(path)
    else:
        plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
        writer = Ros2Writer(folder / "flight", version=9, storage_plugin=plugin)
        path = folder / "flight" / f"flight.{kind}"
        if compression is not None:
            writer.set_compression(compression, CompressionFormat.ZSTD)
    connections: dict[tuple[str, str], Any] = {}
    with writer:
        for topic, name, time_ns, fields in rows:
            if (topic, name) not in connections:
                connections[topic, name] = writer.add_connection(topic, name, typestore=store)
            raw = fields if isinstance(fields, bytes) else serialize(kind, store, name, fields)
            writer.write(connections[topic, name], time_ns, raw)
    return path


def header(time_ns: int, frame_id: str = "frame", seq: int = 0) -> dict[str, Any]:
    """Fields of a `std_msgs/Header`; ROS 2 has no `seq`."""
    return {
        "stamp": {"sec": time_ns // 10**9, "nanosec": time_ns % 10**9},
        "frame_id": frame_id,
        "seq": seq,
    }
