"""Topics read as columns: the rows equal the messages, and only selected ones are sent."""

import itertools
import math
import sys
from collections.abc import Iterator
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.flight as flight
import pytest
from harness.daemon import Daemon
from harness.record import record_numbers, sequence_of, topic_of
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs import (
    GPS,
    IMU,
    Floating64,
    Integer64,
    Message,
    MosaicoClient,
    Point3d,
    SequenceHandler,
    Vector3d,
)
from mosaicolabs.exceptions import ClosedError, InvalidInputError


def imu(step: int, side: float) -> Message:
    rotation = None if step % 3 else Vector3d(x=0.0, y=step, z=side)
    data = IMU(acceleration=Vector3d(x=step * side, y=side, z=9.81), angular_velocity=rotation)
    return Message(timestamp_ns=step * 10, recording_timestamp_ns=step if step % 2 else None, data=data)


def gps(step: int) -> Message:
    return Message(timestamp_ns=step * 10 + 5, data=GPS(position=Point3d(x=step, y=9.0, z=120.0)))


def record_flight(client: MosaicoClient, name: str, steps: int = 300) -> SequenceHandler:
    with client.sequence_create(name) as flight:
        left = flight.topic_create("imu/left", {}, IMU)
        right = flight.topic_create("imu/right", {}, IMU)
        fix = flight.topic_create("gps", {}, GPS)
        for step in range(steps):
            left.push(imu(step, 1.0))
            right.push(imu(step, -1.0))
            if step % 7 == 0:
                fix.push(gps(step))
    return sequence_of(client, name)


def expected_rows(flight: SequenceHandler, **window: Any) -> list[dict[str, Any]]:
    """What the merged columns have to be, from the messages."""
    rows = []
    for topic, message in flight.get_data_streamer(**window):
        tag = message.ontology_tag()
        row = {
            "timestamp_ns": message.timestamp_ns,
            "topic": topic,
            "recording_timestamp_ns": message.recording_timestamp_ns,
            "imu": None,
            "gps": None,
        }
        row[tag] = message.data.model_dump()
        rows.append(row)
    return rows


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without the structs whose values are all missing, which messages do not tell from missing ones."""

    def cleaned(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        below = {key: cleaned(item) for key, item in value.items()}
        return below if any(item is not None for item in below.values()) else None

    return [{key: cleaned(value) for key, value in row.items()} for row in rows]


def test_merged_columns_are_the_messages(either: MosaicoClient, name: str) -> None:
    flight = record_flight(either, name)
    table = flight.to_arrow()
    assert table.schema.names[:3] == ["timestamp_ns", "topic", "recording_timestamp_ns"]
    assert table.schema.field("topic").type == pa.dictionary(pa.int32(), pa.utf8())
    assert plain(table.to_pylist()) == plain(expected_rows(flight))
    window = {"start_timestamp_ns": 105, "end_timestamp_ns": 200}
    assert plain(flight.to_arrow(**window).to_pylist()) == plain(expected_rows(flight, **window))


def test_one_topic_has_its_stored_columns(either: MosaicoClient, name: str) -> None:
    flight = record_flight(either, name)
    topic = flight.get_topic_handler("imu/left")
    messages = list(topic.get_data_streamer())
    table = topic.to_arrow()
    assert table.schema.names == [
        "timestamp_ns",
        "recording_timestamp_ns",
        "acceleration",
        "angular_velocity",
        "orientation",
        "header",
    ]
    assert table["timestamp_ns"].to_pylist() == [message.timestamp_ns for message in messages]
    rows = plain(
        [{"data": row} for row in table.drop(["timestamp_ns", "recording_timestamp_ns"]).to_pylist()]
    )
    assert rows == plain([{"data": message.data.model_dump()} for message in messages])


def test_only_selected_columns_are_transferred(either: MosaicoClient, name: str) -> None:
    flight = record_flight(either, name)
    topic = flight.get_topic_handler("imu/left")
    where = IMU.Q.acceleration.x.between(5.0, 7.0) & IMU.Q.acceleration.z.gt(9.0)
    table = topic.to_arrow(columns=["acceleration.x", IMU.Q.header.stamp.sec], where=where)
    assert table.schema.field("acceleration").type == pa.struct(
        [table.schema.field("acceleration").type["x"]]
    )
    assert [row["acceleration"] for row in table.to_pylist()] == [{"x": 5.0}, {"x": 6.0}, {"x": 7.0}]
    assert table.schema.names == ["timestamp_ns", "acceleration", "header"]
    assert topic.to_arrow(columns=[], where=where)["timestamp_ns"].to_pylist() == [50, 60, 70]
    assert topic.to_arrow(50, 60, columns=[], where=where)["timestamp_ns"].to_pylist() == [50]

    merged = flight.to_arrow(columns=["imu.acceleration.x", GPS.Q.position.x], where=where)
    assert merged.schema.names == ["timestamp_ns", "topic", "imu", "gps"]
    assert set(merged["topic"].to_pylist()) == {"/imu/left"}, "fields of other classes are missing"
    either_of = flight.to_arrow(
        columns=["gps.position.x"], where=IMU.Q.acceleration.x.eq(-3) | GPS.Q.position.x.eq(14)
    )
    assert either_of.to_pylist() == [
        {"timestamp_ns": 30, "topic": "/imu/right", "gps": None},
        {"timestamp_ns": 145, "topic": "/gps", "gps": {"position": {"x": 14.0}}},
    ]
    assert flight.to_arrow(["gps"], columns=["gps"]).num_rows == math.ceil(300 / 7)
    rest = flight.to_arrow(where=~IMU.Q.timestamp_ns.exists())
    assert set(rest["topic"].to_pylist()) == {"/gps"}


NUMBERS = itertools.count()
ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(-5, 5)), max_size=40)


@given(left=ROWS, right=ROWS, bounds=st.tuples(st.integers(-6, 6), st.integers(-6, 6)), more=st.booleans())
def test_conditions_select_the_same_rows_as_python(
    standing_store: MosaicoClient,
    left: list[tuple[int, int]],
    right: list[tuple[int, int]],
    bounds: tuple[int, int],
    more: bool,
) -> None:
    name = f"conditions-{next(NUMBERS)}"
    topics = {"a": [(0, 0), *left], "b": [(0, 0), *right]}
    record_numbers(standing_store, name, topics, max_batch_size_records=7)
    low, high = bounds
    value = Integer64.Q.data
    where = value.lt(low) | ~(value.leq(high)) if more else value.geq(low) & value.neq(high)
    accepts = (lambda v: v < low or not v <= high) if more else (lambda v: v >= low and v != high)
    table = sequence_of(standing_store, name).to_arrow(columns=[Integer64.Q.data], where=where)
    found = [(row["timestamp_ns"], row["topic"], row["integer64"]["data"]) for row in table.to_pylist()]
    expected = [
        (time_ns, f"/{topic}", number)
        for topic, rows in topics.items()
        for time_ns, number in sorted(rows, key=lambda row: row[0])
        if accepts(number)
    ]
    assert found == sorted(expected, key=lambda row: row[:2])


def test_rows_of_a_recording_in_progress(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("n", {}, Floating64)
        for step in range(100):
            topic.push(Message(timestamp_ns=step, data=Floating64(data=step)))
        topic.flush()
        table = topic_of(either, name, "n").to_arrow(columns=["data"], where=Floating64.Q.data.lt(3.0))
        assert table.to_pylist() == [{"timestamp_ns": n, "data": float(n)} for n in range(3)]


def test_followed_topics_as_batches(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("n", {}, Floating64)
        topic.push(Message(timestamp_ns=0, data=Floating64(data=0)))
        topic.flush()
        handler = sequence_of(either, name)
        joining = handler.get_data_streamer(follow=True)
        with pytest.raises(InvalidInputError, match="name the `topics`"):
            joining.batches()
        streamer = handler.get_data_streamer(["n"], follow=True)
        batches = streamer.batches(["floating64.data"], Floating64.Q.data.lt(50.0))
        assert next(batches)["timestamp_ns"].to_pylist() == [0]
        for step in range(1, 100):
            topic.push(Message(timestamp_ns=step, data=Floating64(data=step)))
    times = [time_ns for batch in batches for time_ns in batch["timestamp_ns"].to_pylist()]
    assert times == list(range(1, 50))


def test_other_libraries_read_the_stream(either: MosaicoClient, name: str) -> None:
    flight = record_flight(either, name)
    table = flight.to_arrow(columns=["imu.acceleration.x", "recording_timestamp_ns"])

    frame = flight.to_polars(columns=["imu.acceleration.x", "recording_timestamp_ns"])
    assert isinstance(frame, pl.DataFrame)
    assert frame["timestamp_ns"].to_list() == table["timestamp_ns"].to_pylist()
    assert frame["topic"].cast(pl.String).to_list() == table["topic"].to_pylist()
    assert frame["imu"].to_list()[:1] == [{"acceleration": {"x": 0.0}}]

    flat = flight.to_pandas(columns=["imu.acceleration.x", "recording_timestamp_ns"])
    assert list(flat.columns) == ["timestamp_ns", "topic", "recording_timestamp_ns", "imu.acceleration.x"]
    assert flat["timestamp_ns"].dtype == "int64"
    assert isinstance(flat["recording_timestamp_ns"].dtype, pd.Int64Dtype), "floats do not hold ns"
    assert flat["imu.acceleration.x"].isna().sum() == math.ceil(300 / 7)

    stream = flight.get_topic_handler("imu/left").get_data_streamer()  # noqa: F841 - duckdb finds it by name
    (found,) = duckdb.sql("select count(*), sum(acceleration.x) from stream").fetchall()
    assert found == (300, sum(range(300)))
    assert pa.table(flight.batches(["gps"])).num_rows == math.ceil(300 / 7)


def test_missing_library_is_named(either: MosaicoClient, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record_numbers(either, name, {"a": [(1, 1)]})

    for library in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError, match=r"to_pandas\(\) needs pandas; .*: pip install pandas$"):
        sequence_of(either, name).to_pandas()
    with pytest.raises(ModuleNotFoundError, match=r"pip install polars$"):
        topic_of(either, name, "a").to_polars()


@pytest.mark.parametrize(
    ("selection", "error", "named"),
    [
        ({"columns": ["imu.speed"]}, InvalidInputError, "no column `speed`; there are .*`acceleration`"),
        ({"columns": ["acceleration"]}, InvalidInputError, "one of the tags `gps`, `imu`"),
        ({"columns": ["imu.acceleration.covariance.item"]}, InvalidInputError, "imu.acceleration.covariance"),
        ({"columns": "imu"}, TypeError, "takes a list"),
        ({"columns": [3]}, TypeError, "3 does not name a column"),
        ({"where": Floating64.Q.data.gt(1)}, InvalidInputError, "floating64.data"),
        ({"where": "imu.x > 3"}, TypeError, "takes a condition"),
        ({"topics": ["nope"]}, ValueError, "nope"),
    ],
)
def test_errors_name_the_wrong_value(
    standing_store: MosaicoClient, selection: dict[str, Any], error: type[Exception], named: str
) -> None:
    if "wrong" not in standing_store.list_sequences():
        record_flight(standing_store, "wrong", steps=10)
    with pytest.raises(error, match=named):
        sequence_of(standing_store, "wrong").to_arrow(**selection)


def test_fields_of_another_class_are_refused(either: MosaicoClient, name: str) -> None:
    topic = record_flight(either, name, steps=10).get_topic_handler("gps")
    with pytest.raises(InvalidInputError, match=r"imu.acceleration.x is not a column of .*/gps.*'gps'"):
        topic.to_arrow(columns=[IMU.Q.acceleration.x])
    with pytest.raises(InvalidInputError, match=r"imu\.acceleration\.x"):
        topic.to_arrow(where=IMU.Q.acceleration.x.gt(0.0))


def test_streamer_yields_messages_or_columns(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"a": [(n, n) for n in range(10)]})
    for handler in (sequence_of(either, name), topic_of(either, name, "a")):
        streamer = handler.get_data_streamer()
        next(iter(streamer))
        with pytest.raises(RuntimeError, match="message by message"):
            streamer.batches()
        streamer = handler.get_data_streamer()
        batches = streamer.batches()
        with pytest.raises(ClosedError):
            streamer.next()
        streamer.close()
        with pytest.raises(ClosedError):
            next(batches)
        batches.close()
        with pytest.raises(ClosedError, match="request new ones"):
            next(batches)
        assert handler.get_data_streamer().to_arrow().num_rows == 10


class Mosaico02(flight.FlightServerBase):  # type: ignore[misc]
    """A server of Mosaico 0.2: it hands on what ours answers, and ignores what our tickets ask for."""

    def __init__(self, ours: flight.FlightClient) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.ours = ours
        self.asked: list[bytes] = []

    def list_flights(self, context: Any, criteria: bytes) -> Iterator[flight.FlightInfo]:
        return iter(())

    def get_flight_info(self, context: Any, descriptor: Any) -> flight.FlightInfo:
        return self.ours.get_flight_info(descriptor)

    def do_action(self, context: Any, action: Any) -> list[bytes]:
        return [answer.body.to_pybytes() for answer in self.ours.do_action(action)]

    def do_get(self, context: Any, ticket: Any) -> flight.RecordBatchStream:
        self.asked.append(ticket.ticket)
        return flight.RecordBatchStream(self.ours.do_get(ticket).to_reader())


def test_server_without_pushdown_gives_the_same_result(daemon: Daemon) -> None:
    selection: dict[str, Any] = {
        "columns": ["imu.acceleration.x", "gps.position"],
        "where": IMU.Q.acceleration.x.gt(250.0) | GPS.Q.position.x.lt(50.0),
    }
    with daemon.connect() as client:
        everything = record_flight(client, "flight").to_arrow()
        expected = sequence_of(client, "flight").to_arrow(**selection)
    assert 0 < expected.num_rows < everything.num_rows
    with (
        flight.connect(f"grpc://127.0.0.1:{daemon.port}") as ours,
        Mosaico02(ours) as server,
        MosaicoClient.connect("127.0.0.1", server.port) as client,
    ):
        foreign = sequence_of(client, "flight")
        assert foreign.to_arrow(**selection) == expected
        assert not any(b"select:" in ticket for ticket in server.asked), (
            "nothing is sent that it does not know"
        )
        with pytest.raises(InvalidInputError, match="no column `speed`"):
            foreign.to_arrow(columns=["imu.speed"])
