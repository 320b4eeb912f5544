"""Topics whose class is not known: recorded from a schema, or by another program."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from harness.record import sequence_of, topic_of, within

from mosaicolabs import (
    IMU,
    GenericData,
    Message,
    MosaicoClient,
    QueryOntologyCatalog,
    Vector3d,
    data_field,
    generic_class,
)

BATTERY = pa.schema(
    {
        "voltage_v": pa.float64(),
        "cells": pa.list_(pa.struct([("v", pa.float32()), ("ok", pa.bool_())])),
        "raw": pa.binary(),
        "limits": pa.struct([("low", pa.uint16()), ("names", pa.list_(pa.string()))]),
        "scale": pa.list_(pa.int8(), 2),
    }
)
Battery = generic_class("px4.battery_status", BATTERY)
WRITE_CLASSES = """
import sys
import pyarrow as pa
from mosaicolabs import HeaderMixin, IMU, Message, MosaicoClient, Serializable, Vector3d

class OnlyThere(Serializable, HeaderMixin):
    __msco_pyarrow_struct__ = pa.struct([pa.field("value", pa.int32(), nullable=False)])
    value: int

if __name__ == "__main__":
    with MosaicoClient.embedded(sys.argv[1]) as client, client.sequence_create("s") as sequence:
        own = sequence.topic_create("own", {}, OnlyThere)
        for step in range(3):
            own.push(Message(timestamp_ns=2 + step, data=OnlyThere(value=5 * step)))
        imu = IMU(acceleration=Vector3d(x=1, y=2, z=3))
        sequence.topic_create("imu", {}, IMU).push(Message(timestamp_ns=1, data=imu))
"""


def battery(volts: float) -> GenericData:
    cells = [{"v": 1.5, "ok": True}, {"v": 0.25, "ok": None}]
    return Battery(
        voltage_v=volts, cells=cells, raw=b"\x00\xff", limits={"low": 7, "names": ["a"]}, scale=[1, -1]
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a class that this process does not know; its module lies beside."""
    (tmp_path / "only_there_classes.py").write_text(WRITE_CLASSES)
    command = [sys.executable, str(tmp_path / "only_there_classes.py"), str(tmp_path / "store")]
    subprocess.run(command, check=True, timeout=60)
    return tmp_path / "store"


def test_what_is_recorded_from_a_schema_is_read_back_equal(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("battery", {"format": "test"}, Battery)
        topic.push(Message(timestamp_ns=1, data=battery(12.5)))
        topic.push(ontology_obj=battery(13.5), message_timestamp_ns=2)
        topic.push_batch(pa.table({"timestamp_ns": [3], "voltage_v": [14.5]}))
        topic.appender("voltage_v", "limits.low")(4, 15.5, 9)
        with pytest.raises(ValueError, match="field `voltage_v` does not encode"):
            topic.push(Message(timestamp_ns=5, data=Battery(voltage_v="high")))
        with pytest.raises(ValueError, match=r"holds px4\.battery_status, not IMU"):
            topic.push(Message(timestamp_ns=5, data=IMU(acceleration=Vector3d(x=1, y=2, z=3))))
    handler = topic_of(either, name, "battery")
    assert handler.ontology_tag == "px4.battery_status"
    assert handler.ontology_type is Battery
    assert "px4.battery_status" in repr(handler)
    pushed = [
        battery(12.5),
        battery(13.5),
        Battery(voltage_v=14.5),
        Battery(voltage_v=15.5, limits={"low": 9}),
    ]
    assert [message.data for message in handler.get_data_streamer()] == pushed
    merged = list(sequence_of(either, name).get_data_streamer())
    assert [message.data for _, message in merged] == pushed
    assert merged[0][1].ontology_tag() == "px4.battery_status"


def test_conditions_by_path(client: MosaicoClient) -> None:
    with client.sequence_create("s") as sequence:
        topic = sequence.topic_create("battery", {}, Battery)
        for step in range(10):
            topic.push(Message(timestamp_ns=step, data=battery(float(step))))
    for field in (data_field("px4.battery_status.voltage_v"), Battery.Q.voltage_v):
        found = client.query(QueryOntologyCatalog(field.gt(7.5), include_timestamp_range=True))
        times = found[0].topics[0].timestamp_range
        assert times is not None
        assert (times.start, times.end) == (8, 9)
        rows = sequence_of(client, "s").to_arrow(columns=[field], where=field.lt(2))
        assert rows.column("px4.battery_status").to_pylist() == [{"voltage_v": 0.0}, {"voltage_v": 1.0}]
        streamed = [message.data.voltage_v for _, _, message in found.get_data_streamer()]
        assert streamed == [8.0, 9.0]


def test_a_class_that_only_the_writer_knew(store: Path) -> None:
    with MosaicoClient.embedded(store) as client:
        handler = sequence_of(client, "s")
        streamer = handler.get_data_streamer()
        assert streamer.next_timestamp() == 1
        topics = [topic for topic, _ in streamer]
        assert topics == ["/imu", "/own", "/own", "/own"]
        own = handler.get_topic_handler("own")
        messages: list[Any] = list(own.get_data_streamer())
        assert [message.data.value for message in messages] == [0, 5, 10]
        assert messages[0].data.header.stamp.model_dump() == {"sec": 0, "nanosec": 2}
        assert messages[0].ontology_tag() == own.ontology_tag == "only_there"
        assert own.to_arrow(where=own.ontology_type.Q.value.geq(5)).num_rows == 2
        with client.sequence_create("copy") as copy:
            copied = copy.topic_create("own", {}, own.ontology_type)
            for message in messages:
                copied.push(message)
        again = list(topic_of(client, "copy", "own").get_data_streamer())
        assert [message.data for message in again] == [message.data for message in messages]


def test_followed_topics_that_join(client: MosaicoClient) -> None:
    seen: list[tuple[str, Any]] = []
    with client.sequence_create("live") as live:
        live.topic_create("first", {}, Battery).push(Message(timestamp_ns=1, data=battery(1.0)))
        reader = threading.Thread(
            target=lambda: seen.extend(sequence_of(client, "live").get_data_streamer(follow=True))
        )
        reader.start()
        second = live.topic_create("second", {}, generic_class("test.joined", pa.schema({"n": pa.int64()})))
        second.push(ontology_obj=second._data_class(n=7), message_timestamp_ns=2)
        second.flush()
        assert within(20, lambda: len(seen) == 2)
    reader.join(60)
    assert [(topic, message.timestamp_ns) for topic, message in seen] == [("/first", 1), ("/second", 2)]
    assert seen[1][1].data.n == 7


def run(store: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", "from mosaicolabs.cli import main; main()", *arguments]
    done = subprocess.run(
        [*command, "--store", str(store)], cwd=store.parent, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands(store: Path) -> None:
    text = run(store, "cat", "s", "--topics", "/own")
    assert text.splitlines()[1] == "+0.000000s /own value=5"
    documents = [json.loads(line) for line in run(store, "cat", "s", "--json").splitlines()]
    assert documents[3]["ontology"] == "only_there"
    assert documents[3]["data"]["value"] == 10
    found = json.loads(run(store, "query", "only_there.value > 7", "--times", "--json"))
    assert found["items"][0]["topics"] == [
        {"name": "/own", "timestamp_ns_first": 4, "timestamp_ns_last": 4},
    ]


def test_import_option(store: Path) -> None:
    (store.parent / "only_there_classes.py").write_text(f"{WRITE_CLASSES}\nprint('imported')\n")
    text = run(store, "cat", "s", "--import", "only_there_classes")
    assert text.splitlines()[0] == "imported"
    command = [
        sys.executable,
        "-c",
        "from mosaicolabs.cli import main; main()",
        "ls",
        "--import",
        "no_such_module",
    ]
    done = subprocess.run([*command, "--store", str(store)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "--import no_such_module failed: ModuleNotFoundError" in done.stderr


def test_entry_points(store: Path) -> None:
    """Two packages: the first cannot be imported, which must not hide the second."""
    for name, module in (("a_broken", "no_such_module"), ("b_there", "only_there_classes")):
        info = store.parent / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[mosaicolabs.ontologies]\n{name} = {module}\n")
    script = f"""
import sys
sys.path.insert(0, {str(store.parent)!r})
from mosaicolabs import MosaicoClient
with MosaicoClient.embedded({str(store)!r}) as client:
    print([type(message.data).__module__ for message in client.topic_handler("s", "own").get_data_streamer()])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(["only_there_classes"] * 3), done.stderr
    assert "entry point 'a_broken' (no_such_module) cannot be imported" in done.stderr
