"""Bad messages in bags are reported and counted, never dropped silently."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from harness.bags import KINDS, Row, header, serialize, types_of, write_bag
from harness.daemon import Daemon

from mosaicolabs import MosaicoClient
from mosaicolabs.enum import OnErrorPolicy, TopicLevelErrorPolicy
from mosaicolabs.exceptions import MosaicoError
from mosaicolabs.ingest import RecordingError
from mosaicolabs.models.data import Vector3d
from mosaicolabs.models.sensors import IMU
from mosaicolabs.ros_bridge import (
    BagError,
    NoMatchingTopicError,
    ROSAdapterBase,
    RosbagInjector,
    ROSInjectionConfig,
    ROSTypeRegistry,
)
from mosaicolabs.ros_bridge.adapters import IMUAdapter

START_NS = 1_700_000_000_000_000_000
SCRIPT = "from mosaicolabs.ros_bridge.injector import ros_injector; ros_injector()"


def numbers(topic: str, count: int, *, first: int = 0) -> list[Row]:
    return [
        (topic, "std_msgs/msg/Int32", START_NS + 1000 * (first + i), {"data": first + i})
        for i in range(count)
    ]


def flawed_rows(kind: str) -> list[Row]:
    """Two good topics, one of them with two broken messages, and a type without an adapter."""
    good = serialize(kind, types_of(kind), "std_msgs/msg/String", {"data": "a text of some length"})
    said: list[Row] = [
        ("/said", "std_msgs/msg/String", START_NS + i, {"data": f"number {i}"}) for i in range(10)
    ]
    said[3] = (*said[3][:3], good[:-9])
    said[6] = (*said[6][:3], b"")
    wheels: list[Row] = [("/wheel", "my_msgs/msg/Wheel", START_NS + i, {"rpm": i}) for i in range(7)]
    return sorted([*said, *wheels, *numbers("/count", 5)], key=lambda row: row[2])


def injection(bag: Path, name: str, daemon: Daemon, **more: Any) -> ROSInjectionConfig:
    return ROSInjectionConfig(bag, name, {}, daemon.host, daemon.port, **more)


def texts(client: MosaicoClient, name: str, topic: str) -> list[str]:
    handler = client.sequence_handler(name)
    assert handler is not None
    return [message.data.data for message in handler.get_topic_handler(topic).get_data_streamer()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS)
def test_failed_messages_do_not_end_their_topic(
    kind: str, tmp_path: Path, standing_daemon: Daemon, name: str
) -> None:
    bag = write_bag(tmp_path, kind, flawed_rows(kind))

    result = RosbagInjector(injection(bag, name, standing_daemon)).run()

    assert result.messages == {"/count": 5, "/said": 8}
    assert result.failed.keys() == {"/said"}
    assert result.failed["/said"].messages == 2
    assert f"std_msgs/msg/String of `/said` at {START_NS + 3} ns" in result.failed["/said"].first
    [skipped] = result.recording.skipped
    assert (skipped.source, skipped.messages) == ("/wheel (my_msgs/msg/Wheel)", 7)
    assert "no adapter" in skipped.reason
    with standing_daemon.connect() as client:
        assert texts(client, name, "/said") == [f"number {i}" for i in (0, 1, 2, 4, 5, 7, 8, 9)]
        [note] = client.list_topic_notify(name, "/said")
        assert "2 messages of the input are not stored" in note.message
        assert client.list_topic_notify(name, "/count") == []


def test_topic_is_completed_at_its_first_failure(tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    bag = write_bag(tmp_path, "mcap", flawed_rows("mcap"))

    policies = {"/said": TopicLevelErrorPolicy.Finalize}
    result = RosbagInjector(injection(bag, name, standing_daemon, topics_on_error=policies)).run()

    assert result.messages == {"/count": 5, "/said": 3}
    assert result.failed["/said"].messages == 7


@pytest.mark.parametrize("on_error", OnErrorPolicy)
def test_failure_may_end_the_injection(
    on_error: OnErrorPolicy, tmp_path: Path, standing_daemon: Daemon, name: str
) -> None:
    bag = write_bag(tmp_path, "mcap", flawed_rows("mcap"))
    policy = TopicLevelErrorPolicy.Raise
    config = injection(bag, name, standing_daemon, topics_on_error=policy, on_error=on_error)

    with pytest.raises(RecordingError, match="topic `/said`: std_msgs/msg/String"):
        RosbagInjector(config).run()

    with standing_daemon.connect() as client:
        if on_error is OnErrorPolicy.Delete:
            assert name not in client.list_sequences()
        else:
            assert texts(client, name, "/said") == ["number 0", "number 1", "number 2"]


def test_message_that_cannot_be_encoded_is_skipped(
    tmp_path: Path, standing_daemon: Daemon, name: str
) -> None:
    class LimitedAdapter(ROSAdapterBase[Vector3d]):
        ros_msgtype = "std_msgs/msg/Int32"
        __mosaico_ontology_type__ = Vector3d

        @classmethod
        def from_dict(cls, ros_data: dict[str, Any]) -> Vector3d:
            if ros_data["data"] == 2:
                return Vector3d.model_construct(x="no number", y=0.0, z=0.0)
            if ros_data["data"] == 3:
                raise RuntimeError("not this one")
            return Vector3d(x=ros_data["data"], y=0, z=0)

    bag = write_bag(tmp_path, "mcap", numbers("/count", 6))

    config = injection(bag, name, standing_daemon, adapter_overrides={"/count": LimitedAdapter})
    result = RosbagInjector(config).run()

    assert result.messages == {"/count": 4}
    assert result.failed["/count"].messages == 2


def test_override_of_another_type_is_refused(tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    bag = write_bag(tmp_path, "mcap", numbers("/count", 6))
    config = injection(bag, name, standing_daemon, adapter_overrides={"/count": IMUAdapter})

    with pytest.raises(RecordingError, match="'IMUAdapter' translates sensor_msgs/msg/Imu, not /count"):
        RosbagInjector(config).run()


def test_illegal_names_are_replaced_and_reported(tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    rows = [
        row
        for i, topic in enumerate(("/a:b", "/a_b", "/_hidden", "rel"))
        for row in numbers(topic, 1, first=i)
    ]
    bag = write_bag(tmp_path, "mcap", rows)

    result = RosbagInjector(injection(bag, name, standing_daemon)).run()

    assert result.messages == {"/a_b": 1, "/a_b_2": 1, "/x_hidden": 1, "/rel": 1}
    names = {topic.name: topic.metadata["ros_topic"] for topic in result.recording.topics}
    assert names == {"/a_b": "/a_b", "/a_b_2": "/a:b", "/x_hidden": "/_hidden", "/rel": "rel"}
    found = {skip.source: skip.reason for skip in result.recording.skipped}
    assert found.keys() == {"/a:b", "/_hidden"}
    assert "/a_b_2" in found["/a:b"]


def test_topic_of_two_classes_keeps_the_more_frequent_one(
    tmp_path: Path, standing_daemon: Daemon, name: str
) -> None:
    rows = [*numbers("/t", 2), ("/t", "std_msgs/msg/String", START_NS, {"data": "a"})]
    bag = write_bag(tmp_path, "mcap", rows)

    result = RosbagInjector(injection(bag, name, standing_daemon)).run()

    assert result.messages == {"/t": 2}
    [skipped] = result.recording.skipped
    assert (skipped.source, skipped.messages) == ("/t (std_msgs/msg/String)", 1)
    assert "that of this topic is Integer32" in skipped.reason


def test_two_types_of_one_class_share_a_topic(tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    xyz = {"x": 1.0, "y": 2.0, "z": 3.0}
    bag = write_bag(
        tmp_path,
        "mcap",
        [
            ("/p", "geometry_msgs/msg/Point", START_NS, xyz),
            (
                "/p",
                "geometry_msgs/msg/PointStamped",
                START_NS + 1,
                {"header": header(START_NS), "point": xyz},
            ),
        ],
    )

    assert RosbagInjector(injection(bag, name, standing_daemon)).run().messages == {"/p": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_cut_bag_is_refused(kind: str, tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    bag = write_bag(tmp_path, kind, numbers("/count", 2000))
    bag.write_bytes(bag.read_bytes()[: bag.stat().st_size // 2])

    with pytest.raises(BagError, match=f"{re.escape(str(bag))} is damaged") as raised:
        RosbagInjector(injection(bag, name, standing_daemon)).run()

    assert isinstance(raised.value, OSError)
    with standing_daemon.connect() as client:
        assert name not in client.list_sequences()


@pytest.mark.parametrize("kind", KINDS)
def test_rest_of_a_cut_bag_is_kept(kind: str, tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    rows = numbers("/count", 20_000)
    bag = write_bag(tmp_path, kind, rows)
    bag.write_bytes(bag.read_bytes()[: bag.stat().st_size // 2])
    config = injection(bag, name, standing_daemon, on_error=OnErrorPolicy.Report)

    with pytest.raises(BagError, match="is damaged"):
        RosbagInjector(config).run()

    with standing_daemon.connect() as client:
        handler = client.sequence_handler(name)
        assert handler is not None
        stored = [message.data.data for _, message in handler.get_data_streamer()]  # type: ignore[attr-defined]
    assert len(stored) > 8_000
    assert stored == list(range(len(stored)))


@pytest.mark.parametrize("kind", ["bag", "mcap"])
def test_messages_around_the_damage_are_kept(
    kind: str, tmp_path: Path, standing_daemon: Daemon, name: str
) -> None:
    rows: list[Row] = [
        ("/image", "sensor_msgs/msg/CompressedImage", START_NS + i, {"format": "png", "data": bytes(200_000)})
        for i in range(40)
    ]
    bag = write_bag(tmp_path, kind, rows)
    content = bytearray(bag.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300_000] = b"\xff" * 300_000
    bag.write_bytes(content)
    config = injection(bag, name, standing_daemon, on_error=OnErrorPolicy.Report)

    with pytest.raises(BagError) as raised:
        RosbagInjector(config).run()

    found = re.search(r"is damaged: .*; (\d+) messages can be read", str(raised.value))
    assert found, raised.value
    # Chunks after the damage too.
    assert 30 < int(found[1]) < 40
    with standing_daemon.connect() as client:
        handler = client.sequence_handler(name)
        assert handler is not None
        assert sum(1 for _ in handler.get_data_streamer()) == int(found[1])
        assert "is damaged: " in client.list_sequence_notify(name)[0].message


def test_bag_with_a_write_ahead_log(tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    bag = write_bag(tmp_path, "db3", numbers("/count", 10))
    with sqlite3.connect(bag) as writing:
        writing.execute("PRAGMA journal_mode=WAL")
        writing.execute("DELETE FROM messages WHERE id > 5")
        writing.commit()
        for path in (bag, bag.with_name(f"{bag.name}-wal")):
            shutil.copy(path, tmp_path / path.name)
    writing.close()
    before = sorted(path.name for path in tmp_path.iterdir())

    result = RosbagInjector(injection(tmp_path / bag.name, name, standing_daemon)).run()

    assert result.messages == {"/count": 5}
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def without_definitions(folder: Path, rows: list[Row]) -> Path:
    bag = write_bag(folder, "db3", rows)
    with sqlite3.connect(bag) as database:
        database.execute("DELETE FROM message_definitions")
        database.execute("UPDATE topics SET type_description_hash = ''")
    database.close()
    return bag


class WheelAdapter(ROSAdapterBase[Vector3d]):
    ros_msgtype = "my_msgs/msg/Wheel"
    __mosaico_ontology_type__ = Vector3d

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> Vector3d:
        assert ros_data["LEFT"] == 1
        return Vector3d(x=ros_data["rpm"], y=sum(ros_data["ticks"]), z=len(ros_data["raw"]))


def test_bag_without_definitions_needs_a_distribution(
    tmp_path: Path, standing_daemon: Daemon, new_name: Any
) -> None:
    bag = without_definitions(tmp_path, numbers("/count", 3))
    config = injection(bag, new_name(), standing_daemon)

    with pytest.raises(RecordingError, match="the bag has no definition of std_msgs/msg/Int32; give the ROS"):
        RosbagInjector(config).run()

    name = new_name()
    ingest = cli(
        "ingest",
        bag,
        *("--name", name, "--host", standing_daemon.host, "--port", standing_daemon.port),
        *("--option", "ros_distro=ros2_humble", "--json"),
    )
    assert json.loads(ingest.stdout)["messages"] == 3


def test_definitions_of_the_user(tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    rows: list[Row] = [
        ("/wheel", "my_msgs/msg/Wheel", START_NS + i, {"rpm": i, "raw": b"\1\2", "ticks": [i, 10]})
        for i in range(3)
    ]
    bag = without_definitions(tmp_path, rows)
    messages = tmp_path / "msg"
    messages.mkdir()
    (messages / "Wheel.msg").write_text(
        "std_msgs/Header header\nuint8 LEFT=1\nfloat64 rpm\nuint8[] raw\nint32[] ticks\n"
    )

    config = injection(bag, name, standing_daemon, adapter_overrides={"/wheel": WheelAdapter})
    config.ros_distro = None
    config.custom_msgs = [("my_msgs", messages, None)]
    ROSTypeRegistry.register("std_msgs/msg/Header", "builtin_interfaces/Time stamp\nstring frame_id")
    try:
        result = RosbagInjector(config).run()
    finally:
        ROSTypeRegistry.reset()

    assert result.failed == {}
    with standing_daemon.connect() as client:
        handler = client.sequence_handler(name)
        assert handler is not None
        wheels = [message.get_data(Vector3d) for _, message in handler.get_data_streamer()]
    assert [(v.x, v.y, v.z) for v in wheels] == [(0.0, 10.0, 2.0), (1.0, 11.0, 2.0), (2.0, 12.0, 2.0)]


def test_patterns_select_topics(tmp_path: Path, standing_daemon: Daemon, new_name: Any) -> None:
    rows = [row for topic in ("/cam0", "/cam1", "/imu") for row in numbers(topic, 2)]
    bag = write_bag(tmp_path, "bag", rows)

    def stored(patterns: list[str]) -> set[str]:
        config = injection(bag, new_name(), standing_daemon, topics=patterns)
        return set(RosbagInjector(config).run().messages)

    assert stored(["/cam*"]) == {"/cam0", "/cam1"}
    assert stored(["/*", "!/cam*", "/cam1"]) == {"/cam1", "/imu"}
    with pytest.raises(NoMatchingTopicError, match="no topic matches /lidar"):
        stored(["/lidar"])
    chosen = cli(
        "ingest", bag, "--name", new_name(), "--topics", "/cam*", "!/cam0", "--store", tmp_path, "--json"
    )
    assert [topic["name"] for topic in json.loads(chosen.stdout)["topics"]] == ["/cam1"]


def test_stamp_that_was_not_set(tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    bag = write_bag(tmp_path, "bag", [("/imu", "sensor_msgs/msg/Imu", START_NS, {"header": header(0)})])

    RosbagInjector(injection(bag, name, standing_daemon)).run()

    with standing_daemon.connect() as client:
        handler = client.sequence_handler(name)
        assert handler is not None
        [(_, message)] = handler.get_data_streamer()
    assert message.timestamp_ns == START_NS
    assert message.get_data(IMU).header.stamp.to_nanoseconds() == 0  # type: ignore[union-attr]


def cli(*args: object, code: int = 0, script: str = "") -> subprocess.CompletedProcess[str]:
    start = ["-c", script] if script else ["-m", "mosaicolabs.cli"]
    command = [sys.executable, *start, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def test_ingest_reports_failed_messages(tmp_path: Path) -> None:
    bag = write_bag(tmp_path, "db3", flawed_rows("db3"))

    done = cli(
        "ingest", bag.parent, "--name", "flawed", "--known-only", "--store", tmp_path / "store", code=1
    )

    assert "my_msgs/msg/Wheel" in done.stdout
    assert "no adapter for this type" in done.stdout
    assert done.stderr.startswith(
        "mosaico: 2 messages are not stored (topics /said); first error: std_msgs/msg"
    )
    assert done.stderr.count("\n") == 1
    with MosaicoClient.embedded(tmp_path / "store") as client:
        assert len(texts(client, "flawed", "/said")) == 8


def test_ingest_of_bags_creates_nothing_when_refused(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bag = write_bag(tmp_path, "mcap", numbers("/count", 3))

    def refused(*args: object) -> str:
        return cli("ingest", *args, "--name", "x", "--store", store, code=1).stderr

    assert "no topic matches /nothing" in refused(bag, "--topics", "/nothing")
    assert "reader `rosbag` has no option `distro`" in refused(bag, "--option", "distro=x")
    assert "'nothing' is not a valid Stores" in refused(bag, "--option", "ros_distro=nothing")
    wheels = write_bag(tmp_path, "bag", [("/w", "my_msgs/msg/Wheel", START_NS, {})])
    assert "nothing can be stored: /w (my_msgs/msg/Wheel): no adapter" in refused(wheels, "--known-only")
    wheels.write_bytes(wheels.read_bytes()[:100])
    assert "cannot be opened" in refused(wheels)
    assert not store.exists()


def test_console_script_of_the_contract(
    tmp_path: Path, standing_daemon: Daemon, name: str, shared: Path
) -> None:
    scripts = {entry.name: entry.value for entry in entry_points(group="console_scripts")}
    [command] = json.loads((shared / "contract/api.json").read_text())["cli"].keys() & scripts.keys()
    assert scripts[command] == scripts["mosaicolabs.ros_injector"]
    bag = write_bag(tmp_path, "bag", [*numbers("/count", 3), *numbers("/more", 1)])
    metadata = tmp_path / "metadata.json"
    metadata.write_text('{"site": "north"}')
    place = ("--host", standing_daemon.host, "--port", standing_daemon.port)

    done = cli(
        bag,
        *("-n", name, *place, "--topics", "/count", "--metadata", metadata, "-l", "warning"),
        script=SCRIPT,
    )

    assert "/count" in done.stdout
    with standing_daemon.connect() as client:
        handler = client.sequence_handler(name)
        assert handler is not None
        assert handler.user_metadata == {"rosbag_injection": "flight.bag", "site": "north"}
        assert handler.topics == ["/count"]
    assert "exists" in cli(bag, "-n", name, *place, code=1, script=SCRIPT).stderr
    assert "neither JSON nor a file" in (
        cli(bag, "-n", name, *place, "--metadata", "{no", code=1, script=SCRIPT).stderr
    )
    assert "no such bag" in cli(tmp_path / "a.bag", "-n", name, *place, code=1, script=SCRIPT).stderr
    cli(bag, *place, code=2, script=SCRIPT)


def test_console_script_fails_when_messages_do(tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    bag = write_bag(tmp_path, "mcap", flawed_rows("mcap"))
    place = ("--host", standing_daemon.host, "--port", standing_daemon.port)

    done = cli(bag, "-n", name, *place, code=1, script=SCRIPT)

    assert "mosaicolabs.ros_injector: 2 messages are not stored" in done.stderr
    assert "/wheel" in done.stdout


def test_injection_without_a_daemon(tmp_path: Path, unused_port: int) -> None:
    bag = write_bag(tmp_path, "mcap", numbers("/count", 3))

    with pytest.raises(MosaicoError):
        RosbagInjector(ROSInjectionConfig(bag, "x", {}, "127.0.0.1", unused_port)).run()
