"""`TopicWriter.appender`: plain values become the rows that messages with these values would be."""

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from harness.record import topic_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaicolabs import (
    IMU,
    Appender,
    Floating64,
    Header,
    Image,
    Integer8,
    Message,
    MosaicoClient,
    Serializable,
    String,
    Time,
    TopicWriter,
    Vector3d,
)
from mosaicolabs.exceptions import ClosedError, InvalidInputError

AXES = ("acceleration.x", "acceleration.y", "acceleration.z")


def record(
    client: MosaicoClient, name: str, cls: type[Serializable], fill: Callable[[TopicWriter], None]
) -> pa.Table:
    with client.sequence_create(name) as sequence:
        fill(sequence.topic_create("t", {}, cls))
    return topic_of(client, name, "t").to_arrow()


def test_rows_are_those_of_messages(either: MosaicoClient, new_name: Callable[[], str]) -> None:
    def append(topic: TopicWriter) -> None:
        row = topic.appender(*AXES, "angular_velocity.z")
        assert row.columns == [*AXES, "angular_velocity.z"]
        for n in range(100):
            row(n * 5_000_000, 0.1 * n, -n, np.float64(9.81), None if n % 3 else float(n))

    def push(topic: TopicWriter) -> None:
        for n in range(100):
            turn = None if n % 3 else Vector3d.model_construct(x=None, y=None, z=float(n), covariance=None)
            data = IMU.model_construct(acceleration=Vector3d(x=0.1 * n, y=-n, z=9.81), angular_velocity=turn)
            topic.push(Message(timestamp_ns=n * 5_000_000, data=data))

    found = record(either, new_name(), IMU, append)
    expected = record(either, new_name(), IMU, push)
    assert found.num_rows == 100
    assert found.to_pylist() == expected.to_pylist()
    assert found["header"][99].as_py()["stamp"] == {"sec": 0, "nanosec": 495_000_000}


def test_times_before_the_epoch_have_a_header(either: MosaicoClient, name: str) -> None:
    table = record(either, name, Floating64, lambda topic: topic.appender("data")(-1, 2.5))
    assert table["header"][0].as_py() == {
        "stamp": {"sec": -1, "nanosec": 999_999_999},
        "frame_id": None,
        "seq": None,
    }


def test_a_header_is_as_given(either: MosaicoClient, name: str) -> None:
    def append(topic: TopicWriter) -> None:
        row = topic.appender("header.frame_id", "header.stamp.sec", "header.stamp.nanosec", "data")
        row(5, "map", 7, 8, 1.0)
        topic.appender("header", "data", "recording_timestamp_ns")(
            6, Header(stamp=Time(sec=1, nanosec=2)), 2.0, 60
        )

    table = record(either, name, Floating64, append)
    headers = table["header"].to_pylist()
    assert [header["frame_id"] for header in headers] == ["map", None]
    assert [header["stamp"] for header in headers] == [{"sec": 7, "nanosec": 8}, {"sec": 1, "nanosec": 2}]
    assert table["recording_timestamp_ns"].to_pylist() == [None, 60]


CELLS: dict[str, st.SearchStrategy[Any]] = {
    "recording_timestamp_ns": st.none() | st.integers(-(2**63), 2**63 - 1),
    "angular_velocity.x": st.none() | st.floats(allow_nan=False),
    "angular_velocity.y": st.none() | st.floats(allow_nan=False),
    "orientation.covariance": st.none() | st.lists(st.floats(allow_nan=False), max_size=3),
    "header.frame_id": st.none() | st.text(max_size=4),
    "header.seq": st.none() | st.integers(0, 2**32 - 1),
}


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[str], list[tuple[Any, ...]]]:
    optional = draw(st.lists(st.sampled_from(sorted(CELLS)), unique=True))
    names = draw(st.permutations([*optional, *AXES]))
    row = st.tuples(*(CELLS.get(name, st.floats(allow_nan=False)) for name in names))
    return names, draw(st.lists(row, min_size=1, max_size=8))


def test_rows_equal_columns(standing_store: MosaicoClient, new_name: Callable[[], str]) -> None:
    """A row of values is the same as a row of `push_columns`, but for the header that it fills in."""

    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(rows())
    def check(drawn: tuple[list[str], list[tuple[Any, ...]]]) -> None:
        names, values = drawn

        def append(topic: TopicWriter) -> None:
            row = topic.appender(*names)
            for time_ns, cells in enumerate(values):
                row(time_ns, *cells)

        def push(topic: TopicWriter) -> None:
            arrays = {
                name: pa.array([cells[index] for cells in values], type_of(name))
                for index, name in enumerate(names)
            }
            topic.push_batch(pa.table({"timestamp_ns": list(range(len(values))), **arrays}))

        found = record(standing_store, new_name(), IMU, append)
        expected = record(standing_store, new_name(), IMU, push)
        if not any(name.startswith("header.") for name in names):
            found, expected = (table.drop_columns("header") for table in (found, expected))
        assert found.to_pylist() == expected.to_pylist()

    check()


def type_of(column: str) -> pa.DataType:
    if column == "recording_timestamp_ns":
        return pa.int64()
    found: Any = IMU.__msco_pyarrow_struct__
    for part in column.split("."):
        found = found.field(part).type
    return found


@pytest.fixture
def topics(either: MosaicoClient, name: str) -> Any:
    with either.sequence_create(name) as sequence:
        yield sequence


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["acceleration.w"], "there is no column `acceleration.w`"),
        (["speed"], "acceleration.x"),
        ([*AXES, "acceleration.x"], "`acceleration.x` is given twice"),
        (["acceleration", "acceleration.x"], "`acceleration.x` is part of column `acceleration`"),
        (["acceleration.x", "acceleration"], "`acceleration.x` is part of column `acceleration`"),
        (["timestamp_ns"], "the time is the first argument"),
        (["acceleration.x.y"], "there is no column `acceleration.x.y`"),
        ([""], "there is no column ``"),
        (["angular_velocity.x"], "column `acceleration` is required"),
    ],
)
def test_columns_that_do_not_fit(topics: Any, columns: list[str], message: str) -> None:
    topic = topics.topic_create("t", {}, IMU)
    with pytest.raises(InvalidInputError) as caught:
        topic.appender(*columns)
    assert str(caught.value).startswith("topic `")
    assert message in str(caught.value)


def test_a_required_struct_needs_a_value(topics: Any) -> None:
    append = topics.topic_create("t", {}, IMU).appender(*AXES)
    with pytest.raises(InvalidInputError, match="field `acceleration` does not encode: a value is required"):
        append(0, None, None, None)


def test_required_columns_are_named(topics: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"column `\w+` is required"):
        topics.topic_create("picture", {}, Image).appender("width")


@pytest.mark.parametrize(
    ("time_ns", "values", "message"),
    [
        (0, (1.0,), "1 values are given for the 3 columns `acceleration.x`"),
        (0, (1.0, 2.0, 3.0, 4.0), "4 values are given"),
        (0, (1.0, 2.0, "3"), "field `acceleration.z` does not encode"),
        (0, (1.0, object(), 3.0), "field `acceleration.y` does not encode"),
        ("0", (1.0, 2.0, 3.0), "field `timestamp_ns` does not encode"),
        (None, (1.0, 2.0, 3.0), "a value is required"),
        (2**63, (1.0, 2.0, 3.0), "out of range"),
    ],
)
def test_a_row_that_does_not_fit_leaves_no_trace(
    either: MosaicoClient, name: str, time_ns: Any, values: tuple[Any, ...], message: str
) -> None:
    def append(topic: TopicWriter) -> None:
        row = topic.appender(*AXES)
        row(1, 1.0, 2.0, 3.0)
        with pytest.raises(InvalidInputError) as caught:
            row(time_ns, *values)
        assert message in str(caught.value)
        row(2, 4.0, None, 6.0)

    table = record(either, name, IMU, append)
    assert table["timestamp_ns"].to_pylist() == [1, 2]
    found = [[row[axis] for axis in "xyz"] for row in table["acceleration"].to_pylist()]
    assert found == [[1.0, 2.0, 3.0], [4.0, None, 6.0]]


def test_small_columns_refuse_large_values(topics: Any) -> None:
    append = topics.topic_create("t", {}, Integer8).appender("data")
    append(0, 127)
    with pytest.raises(InvalidInputError, match="128 is out of range for int8"):
        append(1, 128)


def test_a_closed_topic_refuses_rows(either: MosaicoClient, name: str) -> None:
    kept: list[Appender] = []

    def append(topic: TopicWriter) -> None:
        kept.append(topic.appender("data"))
        kept[0](0, "in time")

    assert record(either, name, String, append)["data"].to_pylist() == ["in time"]
    with pytest.raises(ClosedError):
        kept[0](1, "late")


class Slow:
    """A number that lets other threads run while it is encoded."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile = meanwhile

    def __float__(self) -> float:
        self.meanwhile()
        return 1.0


def test_another_thread_waits_while_a_value_runs_python(either: MosaicoClient, name: str) -> None:
    """The other thread pushes while this one holds the lane and has given up the interpreter."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:

        def append(topic: TopicWriter) -> None:
            row = topic.appender("data")
            pushed = threading.Thread(target=lambda: row(1, 2.0))

            def meanwhile() -> None:
                pushed.start()
                pushed.join(0.05)
                assert pushed.is_alive(), "it waits for the row in progress"

            row(0, Slow(meanwhile))
            pushed.join()

        table = record(either, name, Floating64, append)
    finally:
        sys.setswitchinterval(interval)
    assert table["data"].to_pylist() == [1.0, 2.0]


def test_data_and_time_are_the_row_of_a_message(either: MosaicoClient, new_name: Callable[[], str]) -> None:
    """`push(ontology_obj=...)` stores what the message would be, and leaves the object as it is."""

    def fresh() -> list[IMU]:
        stamped = IMU(acceleration=Vector3d(x=3, y=0, z=0), header=Header(stamp=Time(sec=9, nanosec=9)))
        earlier = IMU(acceleration=Vector3d(x=4, y=0, z=0))
        Message(timestamp_ns=77, data=earlier)  # fills in a header, which belongs to that message
        none = IMU(acceleration=Vector3d(x=5, y=0, z=0), header=None)
        return [IMU(acceleration=Vector3d(x=1, y=0, z=0)), stamped, earlier, none]

    def push_data(topic: TopicWriter) -> None:
        for time_ns, data in enumerate(fresh()):
            before = data.model_copy(deep=True)
            topic.push(ontology_obj=data, message_timestamp_ns=time_ns)
            assert data == before

    def push_messages(topic: TopicWriter) -> None:
        for time_ns, data in enumerate(fresh()):
            topic.push(Message(timestamp_ns=time_ns, data=data))

    found = record(either, new_name(), IMU, push_data)
    expected = record(either, new_name(), IMU, push_messages)
    assert found.to_pylist() == expected.to_pylist()
    assert [header["stamp"]["sec"] for header in found["header"].to_pylist()] == [0, 9, 0, 0]


def test_objects_with_other_dictionaries_are_read_by_name(
    either: MosaicoClient, new_name: Callable[[], str]
) -> None:
    """The order of the keys is learned from the first object; others may have another order, or more keys."""

    def objects() -> list[IMU]:
        plain = IMU(acceleration=Vector3d(x=1, y=2, z=3))
        turned, extended = plain.model_copy(), plain.model_copy()
        turned.__dict__.update(dict.fromkeys(turned.__dict__))
        values = dict(reversed(list(plain.__dict__.items())))
        turned.__dict__.clear()
        turned.__dict__.update(values)
        extended.__dict__["note"] = "not a field"
        vector = Vector3d.model_construct(z=3.0, y=2.0, x=1.0)
        constructed = plain.model_copy(update={"acceleration": vector})
        return [turned, plain, extended, constructed, plain] * 10

    def push(topic: TopicWriter) -> None:
        for time_ns, data in enumerate(objects()):
            topic.push(ontology_obj=data, message_timestamp_ns=time_ns)

    table = record(either, new_name(), IMU, push)
    found = [[row[axis] for axis in "xyz"] for row in table["acceleration"].to_pylist()]
    assert found == [[1.0, 2.0, 3.0]] * 50
