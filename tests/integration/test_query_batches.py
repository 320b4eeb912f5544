"""Query results read as columns: the rows equal the messages, and only selected ones are sent."""

import itertools
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from harness.daemon import Daemon
from harness.record import record_numbers
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs import (
    GPS,
    IMU,
    Boolean,
    Floating64,
    Integer64,
    Message,
    MosaicoClient,
    Point3d,
    QueryOntologyCatalog,
    QueryResponse,
    QueryResponseItem,
    QuerySequence,
    TimestampRange,
    Vector3d,
)
from mosaicolabs.exceptions import ClosedError, InvalidInputError, MosaicoError
from mosaicolabs.models.query import QueryResponseItemSequence, QueryResponseItemTopic

pytestmark = pytest.mark.catalog

X, Y, Z = IMU.Q.acceleration.x, IMU.Q.acceleration.y, GPS.Q.position.z

DEEP = X.gt(0)
for _ in range(2000):
    DEEP = ~(DEEP & Y.gt(0))


def imu(step: int) -> Message:
    data = IMU(acceleration=Vector3d(x=step, y=0.0, z=9.81))
    return Message(timestamp_ns=step * 10, recording_timestamp_ns=step if step % 2 else None, data=data)


def record(client: MosaicoClient, name: str) -> None:
    """Three sequences: IMU twice and GPS, IMU alone, GPS alone."""
    with client.sequence_create(f"{name}-a") as sequence:
        left, right = (sequence.topic_create(f"imu/{side}", {}, IMU) for side in ("left", "right"))
        gps = sequence.topic_create("gps", {}, GPS)
        for step in range(100):
            left.push(imu(step))
            right.push(imu(99 - step))
            gps.push(Message(timestamp_ns=step * 10, data=GPS(position=Point3d(x=1, y=2, z=step))))
    with client.sequence_create(f"{name}-b") as sequence:
        only = sequence.topic_create("imu", {}, IMU)
        for step in range(50, 150):
            only.push(imu(step))
        sequence.topic_create("silent", {}, Boolean)
    with client.sequence_create(f"{name}-c") as sequence:
        only = sequence.topic_create("fix", {}, GPS)
        only.push(Message(timestamp_ns=1, data=GPS(position=Point3d(x=1, y=2, z=-1))))


def whole(client: MosaicoClient, name: str) -> QueryResponse:
    return client.query(QuerySequence().with_name_match(f"{name}-"))


def matching(client: MosaicoClient, name: str, condition: Any) -> QueryResponse:
    query = QueryOntologyCatalog(condition, include_timestamp_range=True)
    return client.query(QuerySequence().with_name_match(f"{name}-"), query)


def keys(table: pa.Table) -> list[tuple[str, str, int]]:
    rows = zip(table["sequence"], table["topic"], table["timestamp_ns"], strict=True)
    return [(sequence.as_py(), topic.as_py(), time.as_py()) for sequence, topic, time in rows]


def messages(response: QueryResponse) -> list[tuple[str, str, Message]]:
    return list(response.get_data_streamer())


@pytest.fixture
def recorded(either: MosaicoClient, name: str) -> str:
    record(either, name)
    return name


def test_columns_are_the_messages(either: MosaicoClient, recorded: str) -> None:
    response = whole(either, recorded)
    table = response.get_data_streamer().to_arrow()
    head = ["timestamp_ns", "sequence", "topic", "recording_timestamp_ns"]
    assert table.column_names == [*head, "gps", "imu"]
    expected = messages(response)
    assert len(expected) == 401
    assert keys(table) == [(sequence, topic, message.timestamp_ns) for sequence, topic, message in expected]
    assert table["recording_timestamp_ns"].to_pylist() == [
        message.recording_timestamp_ns for _, _, message in expected
    ]
    for tag, other, path in (("imu", "gps", ("acceleration", "x")), ("gps", "imu", ("position", "z"))):
        for row, (_, _, message) in zip(table.to_pylist(), expected, strict=True):
            if message.ontology_tag() == tag:
                assert row[tag][path[0]][path[1]] == message.data.model_dump()[path[0]][path[1]]
                assert row[other] is None


def test_each_topic_comes_from_its_first_to_its_last_match(either: MosaicoClient, recorded: str) -> None:
    response = matching(either, recorded, X.between(20, 30))
    spans = {topic.name: topic.timestamp_range for item in response for topic in item.topics}
    assert spans == {"/imu/left": TimestampRange(200, 300), "/imu/right": TimestampRange(200, 300)}
    apart = matching(either, recorded, X.between(97, 99) | Z.between(3, 4))
    spans = {topic.name: topic.timestamp_range for item in apart for topic in item.topics}
    assert spans["/imu"] == spans["/imu/left"] == TimestampRange(970, 990)
    assert spans["/gps"] == TimestampRange(30, 40)
    for found in (response, apart):
        table = found.get_data_streamer().to_arrow()
        assert keys(table) == [
            (name, topic, message.timestamp_ns) for name, topic, message in messages(found)
        ]
    assert table.num_rows == 2 * 3 + 3 + 2


NUMBERS = itertools.count()
ROWS = st.lists(st.integers(0, 20), min_size=1, max_size=20)
WINDOW = st.none() | st.tuples(st.integers(-1, 21), st.integers(-1, 21)).map(sorted)


@given(topics=st.lists(st.tuples(ROWS, WINDOW), min_size=1, max_size=4))
def test_windows_of_topics_may_overlap(
    standing_store: MosaicoClient, topics: list[tuple[list[int], list[int] | None]]
) -> None:
    name = f"windows-{next(NUMBERS)}"
    record_numbers(
        standing_store, name, {f"t{n}": [(time, 0) for time in times] for n, (times, _) in enumerate(topics)}
    )
    response = standing_store.query(QuerySequence().with_name(name))
    ranges = [None if window is None else TimestampRange(*window) for _, window in topics]
    response.items = [
        QueryResponseItem(
            QueryResponseItemSequence(name),
            [QueryResponseItemTopic(f"/t{number}", span) for number, span in enumerate(ranges)],
        )
    ]
    expected = [
        (name, f"/t{number}", time)
        for number, (times, window) in enumerate(topics)
        for time in sorted(times)
        if window is None or window[0] <= time <= window[1]
    ]
    table = response.get_data_streamer().to_arrow()
    assert keys(table) == sorted(expected, key=lambda row: row[2])


def test_some_columns(either: MosaicoClient, recorded: str) -> None:
    response = whole(either, recorded)
    table = response.get_data_streamer().to_arrow(columns=["gps.position.z", X])
    assert table.column_names == ["timestamp_ns", "sequence", "topic", "gps", "imu"]
    assert {str(table.schema.field(tag).type) for tag in ("gps", "imu")} == {
        "struct<position: struct<z: double> not null>",
        "struct<acceleration: struct<x: double> not null>",
    }
    assert table.num_rows == 401, "columns choose no rows"
    assert table.slice(400).to_pylist() == [
        {
            "timestamp_ns": 1,
            "sequence": f"{recorded}-c",
            "topic": "/fix",
            "gps": {"position": {"z": -1.0}},
            "imu": None,
        }
    ]
    times = response.get_data_streamer().to_arrow(columns=["recording_timestamp_ns"])
    assert times.column_names == ["timestamp_ns", "sequence", "topic", "recording_timestamp_ns"]
    bare = response.get_data_streamer().to_arrow(columns=[])
    assert bare.column_names == ["timestamp_ns", "sequence", "topic"]
    assert keys(bare) == keys(times) == keys(table)


def value(message: Message, tag: str) -> float | None:
    if message.ontology_tag() != tag:
        return None
    data = message.data
    return data.acceleration.x if isinstance(data, IMU) else data.position.z  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("where", "accepts"),
    [
        (X.lt(60), lambda x, z: x is not None and x < 60),
        (Z.lt(0), lambda x, z: z is not None and z < 0),
        (X.gt(90) | Z.gt(90), lambda x, z: (x or 0) > 90 or (z or 0) > 90),
        (X.gt(90) & Z.gt(90), lambda x, z: False),
        (~X.gt(10), lambda x, z: x is None or x <= 10),
        (~X.gt(10) & Z.geq(98), lambda x, z: z is not None and z >= 98),
        (X.missing() & ~Z.gt(3), lambda x, z: x is None and not (z is not None and z > 3)),
        (X.missing() | X.eq(70), lambda x, z: x is None or x == 70),
        (X.lt(3) | X.gt(97), lambda x, z: x is not None and (x < 3 or x > 97)),
        (X.missing() & Y.missing(), lambda x, z: x is None),
        (X.neq(0) | Z.exists() & ~X.exists(), lambda x, z: x != 0),
    ],
)
def test_some_rows(either: MosaicoClient, name: str, where: Any, accepts: Any) -> None:
    record(either, name)
    response = whole(either, name)
    table = response.get_data_streamer().to_arrow(columns=["imu"], where=where)
    expected = [
        (sequence, topic, message.timestamp_ns)
        for sequence, topic, message in messages(response)
        if accepts(value(message, "imu"), value(message, "gps"))
    ]
    assert keys(table) == expected
    assert table.column_names == ["timestamp_ns", "sequence", "topic", "imu"]


def test_other_libraries_read_the_stream(either: MosaicoClient, recorded: str) -> None:
    response = matching(either, recorded, X.geq(98) | Z.lt(0))
    columns = ["imu.acceleration.x", "gps.position.z"]
    table = response.get_data_streamer().to_arrow(columns=columns)
    assert len({name for name, _, _ in keys(table)}) == 3
    flat = response.get_data_streamer().to_pandas(columns=columns)
    assert isinstance(flat, pd.DataFrame)
    assert list(zip(flat["sequence"], flat["topic"], flat["timestamp_ns"], strict=True)) == keys(table)
    assert flat["gps.position.z"].iloc[-1] == -1.0
    frame = response.get_data_streamer().to_polars(columns=columns, where=X.exists())
    assert isinstance(frame, pl.DataFrame)
    assert set(frame["sequence"].cast(pl.String)) == {f"{recorded}-a", f"{recorded}-b"}
    assert pa.table(response.get_data_streamer()).num_rows == table.num_rows
    stream = response.get_data_streamer()  # noqa: F841 - duckdb finds it by name
    found = duckdb.sql("select sequence, count(*) from stream group by sequence order by sequence").fetchall()
    names = [name for name, _, _ in keys(table)]
    assert found == [(name, names.count(name)) for name in sorted(set(names))]
    reader = pa.RecordBatchReader.from_stream(response.get_data_streamer().batches(columns))
    assert reader.read_all() == table


def test_rows_of_a_recording_in_progress(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(f"{name}-live") as sequence:
        topic = sequence.topic_create("n", {}, Floating64)
        for step in range(10):
            topic.push(Message(timestamp_ns=step, data=Floating64(data=step)))
        topic.flush()
        response = matching(either, name, Floating64.Q.data.between(2.0, 4.0))
        table = response.get_data_streamer().to_arrow()
        assert [time for _, _, time in keys(table)] == [2, 3, 4]


def test_nothing_found_has_no_rows(either: MosaicoClient, recorded: str) -> None:
    response = matching(either, recorded, X.gt(1e9))
    table = response.get_data_streamer().to_arrow(columns=["imu.acceleration.x"], where=X.gt(3))
    assert table.num_rows == 0
    assert table.column_names == ["timestamp_ns", "sequence", "topic"]


@pytest.mark.parametrize(
    ("selection", "error", "named"),
    [
        ({"columns": ["imu.speed"]}, InvalidInputError, "no column `speed`; there are .*`acceleration`"),
        ({"columns": ["acceleration"]}, InvalidInputError, "tags that were found: gps, imu"),
        ({"columns": ["imux"]}, InvalidInputError, "tags that were found: gps, imu"),
        ({"columns": "imu"}, TypeError, "takes a list"),
        ({"where": DEEP}, InvalidInputError, "nested too deeply"),
        ({"columns": [3]}, TypeError, "3 does not name a column"),
        ({"where": Boolean.Q.data.eq(True)}, InvalidInputError, "boolean.data.* gps, imu"),
        ({"where": X.gt(1) | ~Integer64.Q.data.gt(1)}, InvalidInputError, "integer64.data"),
        ({"where": "imu.x > 3"}, TypeError, "takes a condition"),
    ],
)
def test_errors_name_the_wrong_value(
    standing_store: MosaicoClient, selection: dict[str, Any], error: type[Exception], named: str
) -> None:
    if "misasked-a" not in standing_store.list_sequences():
        record(standing_store, "misasked")
    streamer = whole(standing_store, "misasked").get_data_streamer()
    with pytest.raises(error, match=named):
        streamer.batches(**selection)
    assert streamer.to_arrow(columns=[]).num_rows == 401, "the streamer is still good"


def test_streamer_yields_messages_or_columns(either: MosaicoClient, recorded: str) -> None:
    response = whole(either, recorded)
    streamer = response.get_data_streamer()
    next(streamer)
    with pytest.raises(RuntimeError, match="message by message"):
        streamer.batches()
    streamer = response.get_data_streamer()
    batches = streamer.batches()
    first = next(batches)
    assert first.num_rows > 0
    for again in (streamer.next, streamer.next_timestamp, streamer.batches):
        with pytest.raises(ClosedError):
            again()
    streamer.close()
    with pytest.raises(ClosedError):
        next(batches)
    with pytest.raises(ClosedError):
        streamer.batches()


def test_exported_stream_ends_with_its_batches(either: MosaicoClient, recorded: str) -> None:
    batches = whole(either, recorded).get_data_streamer().batches()
    reader = pa.RecordBatchReader.from_stream(batches)
    batches.close()
    with pytest.raises(pa.ArrowException, match="request new ones"):
        reader.read_all()


def test_broken_stream_does_not_look_like_an_end(daemon: Daemon) -> None:
    with daemon.connect() as client:
        record(client, "cut")
        batches = whole(client, "cut").get_data_streamer().batches()
        next(batches)
        daemon.kill()
        for _ in range(2):
            with pytest.raises(MosaicoError):
                list(batches)
