"""The loader: facts of a bag, and decoded messages."""

import io
import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest
from harness.bags import KINDS, Row, header, serialize, types_of, write_bag
from harness.script import Script
from mcap.writer import Writer as McapWriter
from rich.console import Console
from rosbags.rosbag1 import Writer
from rosbags.rosbag2 import CompressionMode
from rosbags.typesys import get_types_from_msg, get_typestore

from mosaicolabs import MosaicoClient
from mosaicolabs.ros_bridge import LoaderErrorPolicy, ROSLoader, Stores
from mosaicolabs.ros_bridge.injector import ProgressManager

START_NS = 1_700_000_000_000_000_000
WHEEL = {"header": header(START_NS, "axle", seq=3), "rpm": 2.5, "raw": b"\1\2\3", "ticks": [-7, 8]}


def rows() -> list[Row]:
    return [
        ("/wheel", "my_msgs/msg/Wheel", START_NS, WHEEL),
        ("/count", "std_msgs/msg/Int32", START_NS + 5, {"data": 1}),
        ("/mixed", "std_msgs/msg/Int32", START_NS + 7, {"data": 1}),
        ("/mixed", "std_msgs/msg/String", START_NS + 8, {"data": "a"}),
        ("/count", "std_msgs/msg/Int32", START_NS + 9, {"data": 2}),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_contents_of_a_bag(kind: str, tmp_path: Path) -> None:
    loader = ROSLoader(str(write_bag(tmp_path, kind, rows())))

    assert loader.topics == ["/count", "/mixed", "/wheel"]
    assert loader.msg_types == ["std_msgs/msg/Int32", None, "my_msgs/msg/Wheel"]
    assert [loader.msg_count(topic) for topic in loader.topics] == [2, 2, 1]
    assert loader.msg_count() == 5
    # rosbags counts the instant after the last message.
    assert loader.duration in (9, 10)
    loader.close()
    assert [(message.topic, message.bag_timestamp_ns - START_NS) for message, _ in loader] == [
        ("/wheel", 0),
        ("/count", 5),
        ("/mixed", 7),
        ("/mixed", 8),
        ("/count", 9),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_messages_are_plain(kind: str, tmp_path: Path) -> None:
    bag = write_bag(tmp_path, kind, rows())

    [(message, error)] = ROSLoader(bag, topics="/wheel")
    [(compact, _)] = ROSLoader(bag, topics="/wheel", bytes_topics=["/wheel"])

    assert error is None
    assert message.data is not None
    assert message.data["raw"] == [1, 2, 3]
    assert message.data["ticks"] == [-7, 8]
    assert all(type(value) is int for value in message.data["ticks"])
    assert (message.data["rpm"], message.data["LEFT"]) == (2.5, 1)
    assert message.header is not None
    assert message.header.seq == (3 if kind == "bag" else None)
    assert message.header.stamp.to_nanoseconds() == START_NS
    assert compact.data == {**message.data, "raw": b"\1\2\3"}


def test_several_publishers_of_a_topic_are_counted(tmp_path: Path) -> None:
    store, name = types_of("bag"), "std_msgs/msg/Int32"
    with Writer(tmp_path / "two.bag") as writer:
        for publisher in range(2):
            connection = writer.add_connection("/t", name, typestore=store, callerid=f"/node{publisher}")
            for i in range(publisher + 1):
                writer.write(connection, START_NS + i, serialize("bag", store, name, {"data": i}))

    with ROSLoader(tmp_path / "two.bag") as loader:
        assert loader.msg_count("/t") == 3
        assert loader.msg_types == [name]
        assert len(list(loader)) == 3


def test_type_that_changed_during_the_recording(tmp_path: Path) -> None:
    name = "my_msgs/msg/Speed"
    with Writer(tmp_path / "changed.bag") as writer:
        for i, text in enumerate(("float64 rpm", "float64 rpm\nstring unit")):
            store = get_typestore(Stores.EMPTY)
            store.register(get_types_from_msg(text, name))
            connection = writer.add_connection(f"/t{i}", name, typestore=store)
            fields = {"rpm": 1.5, "unit": "1/min"} if i else {"rpm": 1.5}
            writer.write(connection, START_NS + i, serialize("bag", store, name, fields))

    found = [(message.data, error) for message, error in ROSLoader(tmp_path / "changed.bag")]

    assert found == [({"rpm": 1.5}, None), ({"rpm": 1.5, "unit": "1/min"}, None)]


IDL = """module my_msgs {
  module msg {
    struct Speed {
      double rpm;
      sequence<uint8> raw;
    };
  };
};
"""


@pytest.mark.parametrize("head", ["", f"{'=' * 80}\nIDL: my_msgs/msg/Speed\n"])
def test_definitions_in_idl(head: str, tmp_path: Path) -> None:
    with (tmp_path / "idl.mcap").open("wb") as file:
        writer = McapWriter(file)
        writer.start(profile="ros2")
        schema = writer.register_schema("my_msgs/msg/Speed", "ros2idl", (head + IDL).encode())
        channel = writer.register_channel("/speed", "cdr", schema)
        raw = b"\0\1\0\0" + struct.pack("<dI2s", 2.5, 2, b"\7\1")
        writer.add_message(channel, log_time=START_NS, data=raw, publish_time=START_NS)
        writer.finish()

    [(message, error)] = ROSLoader(tmp_path / "idl.mcap")

    assert error is None
    assert message.data == {"rpm": 2.5, "raw": [7, 1]}


def broken_rows() -> list[Row]:
    return [(*row[:3], b"\0\1\0\0") if i == 1 else row for i, row in enumerate(rows())]


def test_policies_for_undecodable_messages(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bag = write_bag(tmp_path, "mcap", broken_rows())

    warned = list(ROSLoader(bag))
    assert "std_msgs/msg/Int32 of `/count` at" in caplog.text
    caplog.clear()
    ignored = list(ROSLoader(bag, error_policy=LoaderErrorPolicy.IGNORE))
    assert caplog.text == ""
    for found in (warned, ignored):
        assert [error is None for _, error in found] == [True, False, True, True, True]
        assert found[1][0].data is None
        assert (found[1][0].topic, found[1][0].msg_type) == ("/count", "std_msgs/msg/Int32")
    with pytest.raises(ValueError, match="std_msgs/msg/Int32 of `/count`"):
        list(ROSLoader(bag, error_policy=LoaderErrorPolicy.RAISE))


def test_patterns_without_a_match(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loader = ROSLoader(write_bag(tmp_path, "mcap", rows()), topics=["/lidar*"])

    assert list(loader) == []
    assert loader.topics == []
    assert "no topic matches /lidar*; the bag has: /count, /mixed, /wheel" in caplog.text
    assert loader.msg_count("/count") == 0


@pytest.mark.parametrize("kind", ["db3", "mcap"])
@pytest.mark.parametrize("mode", [CompressionMode.MESSAGE, CompressionMode.FILE])
def test_compressed_bags(kind: str, mode: CompressionMode, tmp_path: Path) -> None:
    bag = write_bag(tmp_path, kind, rows(), mode)

    with ROSLoader(bag.parent) as loader:
        assert [error for _, error in loader] == [None] * 5
    [file] = [path for path in bag.parent.iterdir() if path.name != "metadata.yaml"]
    with ROSLoader(file) as loader:
        assert [error for _, error in loader] == [None] * 5


def test_paths_without_a_bag(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ROSLoader(tmp_path / "missing.bag")
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(ValueError, match=r"its extension is `\.txt`; supported are \.bag, \.db3, \.mcap"):
        ROSLoader(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match=r"has no \.mcap, \.db3 or \.bag file"):
        ROSLoader(tmp_path)
    write_bag(tmp_path, "mcap", rows())
    with pytest.raises(ValueError, match=r"is a folder of 1 recordings; ingest each of them: flight"):
        ROSLoader(tmp_path)
    for suffix in ROSLoader.ACCEPTED_EXTENSIONS:
        empty = tmp_path / f"empty{suffix}"
        empty.touch()
        with pytest.raises(OSError, match="cannot be opened"):
            len(ROSLoader(empty).topics)


def test_definitions_of_registry_and_caller(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bag = write_bag(tmp_path, "db3", rows())
    with sqlite3.connect(bag) as database:
        database.execute("DELETE FROM message_definitions WHERE topic_type = 'my_msgs/msg/Wheel'")
        database.execute("UPDATE topics SET type_description_hash = ''")
    database.close()

    [(_, error)] = ROSLoader(bag, topics="/wheel")
    assert "the bag has no definition of my_msgs/msg/Wheel" in str(error)
    # The other topics bring their definitions along.
    assert [error for _, error in ROSLoader(bag, topics="!/wheel")] == [None] * 4

    wheel: Any = "std_msgs/Header header\nuint8 LEFT=1\nfloat64 rpm\nuint8[] raw\nint32[] ticks"
    given = {"my_msgs/msg/Wheel": wheel, "my_msgs/msg/Broken": "float64 ]"}
    [(message, error)] = ROSLoader(
        bag, "/wheel", Stores.ROS2_HUMBLE, LoaderErrorPolicy.IGNORE, custom_types=given
    )
    assert error is None
    assert message.data is not None
    assert message.data["ticks"] == [-7, 8]
    assert "definition of my_msgs/msg/Broken is skipped" in caplog.text


def test_definition_of_another_publisher_is_not_trusted(tmp_path: Path) -> None:
    bag = write_bag(tmp_path, "db3", rows())
    with sqlite3.connect(bag) as database:
        database.execute(
            "UPDATE topics SET type_description_hash = 'RIHS01_' || hex(zeroblob(32)) WHERE name = '/wheel'"
        )
    database.close()

    errors = [(message.topic, error) for message, error in ROSLoader(bag) if error]

    assert [topic for topic, _ in errors] == ["/wheel"]
    assert "differs from that of its publisher" in str(errors[0][1])


def test_progress_counts(tmp_path: Path) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
    with (
        ROSLoader(write_bag(tmp_path, "mcap", rows())) as loader,
        ProgressManager(loader, terminal) as manager,
    ):
        manager.setup()
        manager.advance_all("/count")
        manager.advance_global()
        manager.update_status("/count", "odd", "red")

    done = {task.description: (task.completed, task.total) for task in manager.progress.tasks}
    assert done == {"all topics": (2, 5), "/count": (1, 2), "/mixed": (0, 2), "/wheel": (0, 1)}
    drawn = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "/mixed" in drawn
    assert "odd" in drawn


INJECT = """
import sys, time
from pathlib import Path
from mosaicolabs.models.data import Integer32
from mosaicolabs.ros_bridge import ROSAdapterBase, RosbagInjector, ROSInjectionConfig

class SlowAdapter(ROSAdapterBase):
    ros_msgtype = "std_msgs/msg/Int32"
    __mosaico_ontology_type__ = Integer32

    @classmethod
    def from_dict(cls, ros_data):
        if ros_data["data"] == 50:
            print("half", flush=True)
            time.sleep(30)
        return Integer32(data=ros_data["data"])

config = ROSInjectionConfig(
    Path(sys.argv[1]), "cut-short", {}, sys.argv[2], int(sys.argv[3]), adapter_overrides={"/t": SlowAdapter}
)
try:
    RosbagInjector(config).run()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_interrupted_injection_leaves_nothing(tmp_path: Path, daemon: Any) -> None:
    numbers: list[Row] = [("/t", "std_msgs/msg/Int32", START_NS + i, {"data": i}) for i in range(100)]
    bag = write_bag(tmp_path, "mcap", numbers)

    with Script(INJECT, bag, daemon.host, daemon.port) as script:
        assert script.hear() == "half"
        with MosaicoClient.connect(daemon.host, daemon.port) as client:
            assert client.list_sequences() == ["cut-short"]
            script.interrupt()
            assert client.list_sequences() == []
