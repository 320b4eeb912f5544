"""Topics without a data class: the fields of the definition are columns, in any encoding; nothing is lost."""

import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from harness.bags import KINDS, Row, header, serialize, types_of, write_bag
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from mosaicolabs import Message, MosaicoClient, QueryOntologyCatalog, data_field
from mosaicolabs.ingest import FailedMessage, IngestResult, RecordingError, ingest
from mosaicolabs.ingest.rosbag import RosbagReader
from mosaicolabs.models.sensors import IMU

START_NS = 1_700_000_000_000_000_000
WHEEL = {"header": header(START_NS + 500, "axle", seq=3), "rpm": 2.5, "raw": b"\1\2\3", "ticks": [-7, 8]}


def wheels(count: int) -> list[Row]:
    return [("/wheel", "my_msgs/msg/Wheel", START_NS + i, {**WHEEL, "rpm": float(i)}) for i in range(count)]


def store_bag(client: MosaicoClient, path: Path, **options: str) -> IngestResult:
    return ingest(client, RosbagReader().open(path, **options), "run")


def stored(client: MosaicoClient, topic: str) -> list[Message]:
    found = client.topic_handler("run", topic)
    assert found is not None
    return list(found.get_data_streamer())


@pytest.fixture
def client(tmp_path: Path) -> Any:
    with MosaicoClient.embedded(tmp_path / "store") as client:
        yield client


@pytest.mark.parametrize("kind", KINDS)
def test_fields_become_columns(kind: str, tmp_path: Path, client: MosaicoClient) -> None:
    result = store_bag(client, write_bag(tmp_path, kind, wheels(3)))

    assert (result.messages, result.failed) == ({"/wheel": 3}, {})
    messages = stored(client, "/wheel")
    assert [(m.timestamp_ns, m.recording_timestamp_ns) for m in messages] == [
        (START_NS + 500, START_NS + i) for i in range(3)
    ]
    data: Any = messages[2].data
    assert data.ontology_tag() == "my_msgs/Wheel"
    assert (data.rpm, data.raw, data.ticks) == (2.0, b"\1\2\3", [-7, 8])
    assert (data.header.frame_id, data.header.stamp.sec) == ("axle", (START_NS + 500) // 10**9)
    found = client.query(QueryOntologyCatalog(data_field("my_msgs/Wheel.rpm").gt(1.5)))
    assert [item.sequence.name for item in found] == ["run"]
    metadata = client.topic_handler("run", "/wheel").user_metadata  # type: ignore[union-attr]
    assert metadata["encoding"] == ("ros1" if kind == "bag" else "cdr")
    assert metadata["definition_encoding"] == ("ros1msg" if kind == "bag" else "ros2msg")
    assert "uint8 LEFT=1" in metadata["definition"]


DEFINITION = """
uint8 MODE=5
builtin_interfaces/Time timestamp_ns
Part[] parts
Part[2] pair
Part header
string[] names
float32[3] fixed
bool[] flags
uint8[4] octets
================================================================================
MSG: my_msgs/Part
int8 LIMIT=3
int8 value
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""


def test_nested_types_of_any_form(tmp_path: Path, client: MosaicoClient) -> None:
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(DEFINITION, "my_msgs/msg/Whole"))
    types = store.types
    part, time = types["my_msgs/msg/Part"], types["builtin_interfaces/msg/Time"]
    import numpy as np

    whole = types["my_msgs/msg/Whole"](
        timestamp_ns=time(sec=7, nanosec=8),
        parts=[part(value=-1)],
        pair=[part(value=1), part(value=2)],
        header=part(value=4),
        names=["a", ""],
        fixed=np.array([0.5, 1.5, 2.5], np.float32),
        flags=np.array([True, False]),
        octets=np.array([1, 2, 3, 255], np.uint8),
    )
    with Ros1Writer(tmp_path / "a.bag") as bag:
        connection = bag.add_connection("/whole", "my_msgs/msg/Whole", typestore=store)
        bag.write(connection, START_NS, store.serialize_ros1(whole, "my_msgs/msg/Whole"))

    result = store_bag(client, tmp_path / "a.bag")
    [message] = stored(client, "/whole")

    assert result.failed == {}
    # A field named like a column of every message has `_` behind its name; its header is not that of ROS.
    assert message.timestamp_ns == START_NS
    assert message.data.model_dump() == {
        "timestamp_ns_": {"sec": 7, "nanosec": 8},
        "parts": [{"value": -1}],
        "pair": [{"value": 1}, {"value": 2}],
        "header": {"value": 4},
        "names": ["a", ""],
        "fixed": [0.5, 1.5, 2.5],
        "flags": [True, False],
        "octets": b"\1\2\3\xff",
    }


def test_known_only_skips_them(tmp_path: Path) -> None:
    numbers: list[Row] = [("/count", "std_msgs/msg/Int32", START_NS, {"data": 1})]
    recording = RosbagReader().open(write_bag(tmp_path, "mcap", [*wheels(2), *numbers]), known_only="true")

    assert [topic.name for topic in recording.topics] == ["/count"]
    assert [(skip.source, skip.messages) for skip in recording.skipped] == [("/wheel (my_msgs/msg/Wheel)", 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_kept_beside_the_values(kind: str, tmp_path: Path, client: MosaicoClient) -> None:
    rows = wheels(2)
    raw = serialize(kind, types_of(kind), "my_msgs/msg/Wheel", rows[0][3])  # type: ignore[arg-type]
    bad: Row = ("/wheel", "my_msgs/msg/Wheel", START_NS + 9, raw[:-3])

    result = store_bag(client, write_bag(tmp_path, kind, [*rows, bad]), keep_raw="true")

    assert result.messages == {"/wheel": 2, "/wheel/raw": 3}
    assert result.failed["/wheel"].messages == 1
    found = [(m.timestamp_ns, m.recording_timestamp_ns, m.data.data) for m in stored(client, "/wheel/raw")]  # type: ignore[attr-defined]
    assert (
        sorted(found, key=lambda row: row[1])
        == [
            (START_NS + 500, START_NS, raw),
            (START_NS + 500, START_NS + 1, serialize(kind, types_of(kind), "my_msgs/msg/Wheel", rows[1][3])),  # type: ignore[arg-type]
            (START_NS + 9, START_NS + 9, raw[:-3]),
        ]
    )


def test_class_may_be_chosen(tmp_path: Path, client: MosaicoClient) -> None:
    imu = {"header": header(START_NS, "imu"), "linear_acceleration": {"x": 1.0, "y": 2.0, "z": 3.0}}
    rows: list[Row] = [(topic, "sensor_msgs/msg/Imu", START_NS, imu) for topic in ("/a", "/b", "/c", "/d")]
    bag = write_bag(tmp_path, "mcap", rows)

    store_bag(client, bag, **{"as": "/*=generic,/c=raw,/d=imu"})

    generic: Any = stored(client, "/a")[0].data
    assert generic.ontology_tag() == "sensor_msgs/Imu"
    assert generic.linear_acceleration.z == 3.0
    assert generic.orientation_covariance == [0.0] * 9
    assert stored(client, "/c")[0].data.ontology_tag() == "raw_message"
    assert stored(client, "/d")[0].get_data(IMU).acceleration.z == 3.0
    with pytest.raises(RecordingError, match=r"cannot be stored as `gps`; possible are generic, imu, raw"):
        RosbagReader().open(bag, **{"as": "/a=gps"})
    with pytest.raises(RecordingError, match="`/a` is not of the form PATTERN=TAG"):
        RosbagReader().open(bag, **{"as": "/a"})


def mcap(path: Path, encoding: str, schema: tuple[str, str, bytes] | None, messages: list[bytes]) -> Path:
    with path.open("wb") as file:
        writer = McapWriter(file)
        writer.start()
        number = 0 if schema is None else writer.register_schema(*schema)
        channel = writer.register_channel("/status", encoding, number)
        for i, raw in enumerate(messages):
            writer.add_message(channel, START_NS + i, raw, START_NS + i)
        writer.finish()
    return path


JSON_SCHEMA = {
    "type": "object",
    "properties": {
        "v": {"type": "number"},
        "count": {"type": ["integer", "null"]},
        "on": {"type": "boolean"},
        "name": {"type": "string"},
        "blob": {"type": "string", "contentEncoding": "base64"},
        "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        "any": {},
        "header": {"type": "object", "properties": {"seq": {"type": "integer"}}},
    },
}


def test_json_with_a_schema(tmp_path: Path, client: MosaicoClient) -> None:
    fits = {
        "v": 1.5,
        "count": 2,
        "on": True,
        "name": "n",
        "blob": "/wA=",
        "list": [{"x": 1}],
        "any": [1, "a"],
    }
    differs = [{"v": "high"}, {"count": 2**70}, {"more": 1}, {"list": [{"y": 1}]}, {"blob": "?"}, [1, 2]]
    texts = [json.dumps(value).encode() for value in [{**fits, "header": {"seq": 4}}, *differs]]
    schema = ("my.Status", "jsonschema", json.dumps(JSON_SCHEMA).encode())

    result = store_bag(client, mcap(tmp_path / "a.mcap", "json", schema, [*texts, b"{broken"]))

    assert result.messages == {"/status": 7}
    assert result.failed["/status"].messages == 1
    first, *others = [message.data.model_dump() for message in stored(client, "/status")]
    assert first == {**fits, "blob": b"\xff\0", "any": '[1, "a"]', "header": {"seq": 4}, "json": None}
    # What the columns do not hold is kept as text.
    assert [json.loads(other["json"]) for other in others] == differs
    metadata = client.topic_handler("run", "/status").user_metadata  # type: ignore[union-attr]
    assert json.loads(metadata["definition"]) == JSON_SCHEMA


@pytest.mark.parametrize("schema", [None, ("s", "jsonschema", b'{"type": "object"}'), ("s", "", b"")])
def test_json_without_properties(tmp_path: Path, client: MosaicoClient, schema: Any) -> None:
    store_bag(client, mcap(tmp_path / "a.mcap", "json", schema, [b'{"v": 1}']))

    assert [m.data.model_dump() for m in stored(client, "/status")] == [{"json": '{"v": 1}'}]


def descriptors() -> bytes:
    files = descriptor_pb2.FileDescriptorSet()
    part = files.file.add(name="part.proto", package="my", syntax="proto3")
    node = part.message_type.add(name="Node")
    node.field.add(name="id", number=1, type=5, label=1)
    node.field.add(name="next", number=2, type=11, label=1, type_name=".my.Node")
    # Listed before the file that it imports.
    whole = descriptor_pb2.FileDescriptorProto(
        name="whole.proto", package="my", syntax="proto3", dependency=["part.proto"]
    )
    kind = whole.enum_type.add(name="Kind")
    kind.value.add(name="NONE", number=0)
    kind.value.add(name="FAST", number=1)
    message = whole.message_type.add(name="Status")
    scalars = {"d": 1, "f": 2, "i64": 3, "u64": 4, "i32": 5, "ok": 8, "text": 9, "blob": 12, "u32": 13}
    for number, (name, type_) in enumerate(scalars.items(), start=1):
        message.field.add(name=name, number=number, type=type_, label=1)
    message.field.add(name="kind", number=20, type=14, label=1, type_name=".my.Kind")
    message.field.add(name="node", number=21, type=11, label=1, type_name=".my.Node")
    message.field.add(name="numbers", number=22, type=5, label=3)
    entry = message.nested_type.add(name="LimitsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=1, label=1)
    message.field.add(name="limits", number=23, type=11, label=3, type_name=".my.Status.LimitsEntry")
    return descriptor_pb2.FileDescriptorSet(file=[whole, part]).SerializeToString()


def status_class() -> Any:
    pool = descriptor_pool.DescriptorPool()
    for file in reversed(descriptor_pb2.FileDescriptorSet.FromString(descriptors()).file):
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("my.Status"))


def test_protobuf(tmp_path: Path, client: MosaicoClient) -> None:
    values: dict[str, Any] = {
        "d": 0.1, "f": 0.5, "i64": -(2**63), "u64": 2**64 - 1, "i32": -7, "ok": True,
        "text": "caf\u00e9", "blob": b"\xff\0", "u32": 2**32 - 1,
    }  # fmt: skip
    full = status_class()(**values, kind=1, numbers=[1, -2], limits={"b": 2.0, "a": 1.0})
    full.node.id = 3
    full.node.next.id = 4
    odd = status_class()(kind=9)
    schema = ("my.Status", "protobuf", descriptors())

    result = store_bag(
        client,
        mcap(
            tmp_path / "a.mcap",
            "protobuf",
            schema,
            [full.SerializeToString(), odd.SerializeToString(), b"\xff"],
        ),
    )

    assert result.messages == {"/status": 2}
    assert result.failed["/status"].messages == 1
    first, second = [message.data.model_dump() for message in stored(client, "/status")]
    assert first == {
        **values,
        "kind": "FAST",
        "node": {"id": 3, "next": full.node.next.SerializeToString()},
        "numbers": [1, -2],
        "limits": [{"key": "a", "value": 1.0}, {"key": "b", "value": 2.0}],
    }
    assert (second["kind"], second["node"], second["text"]) == ("9", None, "")
    metadata = client.topic_handler("run", "/status").user_metadata  # type: ignore[union-attr]
    assert bytes.fromhex(metadata["definition_hex"]) == descriptors() or metadata["definition"]


@pytest.mark.parametrize(
    ("encoding", "schema", "reason"),
    [
        ("flatbuffer", ("my.Status", "flatbuffer", b"\1"), "its encoding `flatbuffer` is unknown"),
        ("protobuf", ("my.Status", "protobuf", b"\x0a\x02hi\xff"), "protobuf descriptors cannot be read"),
        ("cdr", ("my_msgs/msg/No", "ros2msg", b"wstring name"), "the bag's definition of my_msgs/msg/No"),
        ("cdr", ("my_msgs/msg/No", "", b""), "the bag has no definition of my_msgs/msg/No"),
        ("", None, "its encoding `` is unknown"),
    ],
)
def test_what_cannot_be_decoded_is_kept_as_bytes(
    tmp_path: Path, client: MosaicoClient, encoding: str, schema: Any, reason: str
) -> None:
    path = mcap(tmp_path / "a.mcap", encoding, schema, [b"\0\1\0\0", b"", b"\xff" * 1000])

    result = store_bag(client, path)

    [skip] = result.recording.skipped
    assert "stored as bytes (raw_message)" in skip.reason
    assert reason in skip.reason
    assert [m.data.data for m in stored(client, "/status")] == [b"\0\1\0\0", b"", b"\xff" * 1000]  # type: ignore[attr-defined]


def test_protobuf_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mcap(tmp_path / "a.mcap", "protobuf", ("my.Status", "protobuf", descriptors()), [b""])
    monkeypatch.setitem(sys.modules, "google.protobuf", None)

    [skip] = RosbagReader().open(path).skipped

    assert "decoding needs the package protobuf: pip install protobuf" in skip.reason


def test_definition_in_idl(tmp_path: Path, client: MosaicoClient) -> None:
    idl = b"module my_msgs { module msg { struct Speed { double rpm; sequence<long> ticks; }; }; };"
    raw = b"\0\1\0\0" + struct.pack("<dIii", 2.5, 2, -1, 7)

    store_bag(client, mcap(tmp_path / "a.mcap", "cdr", ("my_msgs/msg/Speed", "ros2idl", idl), [raw]))

    [message] = stored(client, "/status")
    assert message.data.model_dump() == {"rpm": 2.5, "ticks": [-1, 7]}


def test_message_that_is_no_json_object_keeps_the_others(tmp_path: Path) -> None:
    recording = RosbagReader().open(mcap(tmp_path / "a.mcap", "json", None, [b"{}", b"\xff", b"1"]))

    kinds = [isinstance(message, FailedMessage) for _, message in recording.messages()]
    assert kinds == [False, True, False]
