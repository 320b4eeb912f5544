"""`push_batch` and `push_columns`: columns become rows of the topic, all of them or none, in order."""

import random
import threading
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from harness.daemon import Daemon
from harness.proxy import Proxy
from harness.record import number, replay, topic_of
from harness.script import Script
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaicolabs import (
    GPS,
    IMU,
    Boolean,
    CompressedImage,
    Floating32,
    HeaderMixin,
    Integer8,
    Integer64,
    Message,
    MosaicoClient,
    Point3d,
    Serializable,
    String,
    TopicWriter,
    Vector3d,
)
from mosaicolabs.exceptions import ClosedError, InvalidInputError
from mosaicolabs.models.futures import LaserScan, MultiEchoLaserScan
from mosaicolabs.models.ros.point_cloud import PointCloud2, PointField, PointFieldDataType


class ColumnsScan(Serializable, HeaderMixin):
    """Lists of both kinds, and a struct below a struct that may be missing."""

    __msco_pyarrow_struct__ = pa.struct(
        [
            pa.field("ranges", pa.list_(pa.float32())),
            pa.field("corners", pa.list_(pa.float64(), 2), nullable=True),
            pa.field("label", pa.large_string()),
        ]
    )

    ranges: list[float] | None = None
    corners: list[float] | None = None
    label: str | None = None


ONTOLOGIES = [IMU, GPS, String, Boolean, ColumnsScan, CompressedImage]


def schema_of(cls: type[Serializable]) -> pa.Schema:
    """The columns of a topic."""
    fields = [pa.field("timestamp_ns", pa.int64(), False), pa.field("recording_timestamp_ns", pa.int64())]
    return pa.schema([*fields, *cls.__msco_pyarrow_struct__])


def values_of(type_: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_struct(type_):
        return st.fixed_dictionaries({field.name: cell_of(field) for field in type_})
    if pa.types.is_fixed_size_list(type_):
        cell = cell_of(type_.value_field)
        return st.lists(cell, min_size=type_.list_size, max_size=type_.list_size)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return st.lists(cell_of(type_.value_field), max_size=4)
    if pa.types.is_boolean(type_):
        return st.booleans()
    if pa.types.is_integer(type_):
        bits, signed = type_.bit_width, pa.types.is_signed_integer(type_)
        return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)
    if pa.types.is_floating(type_):
        return st.floats(width=type_.bit_width, allow_nan=False)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return st.text(max_size=5)
    return st.binary(max_size=5)


def cell_of(field: pa.Field) -> st.SearchStrategy[Any]:
    return st.none() | values_of(field.type) if field.nullable else values_of(field.type)


@st.composite
def tables(draw: st.DrawFn, schema: pa.Schema) -> list[pa.RecordBatch]:
    """Batches of rows in ascending time, some of them slices, some of them empty."""
    fields = {field.name: cell_of(field) for field in schema if field.name != "timestamp_ns"}
    rows = draw(st.lists(st.fixed_dictionaries(fields), max_size=8))
    rows = [{"timestamp_ns": time, **row} for time, row in enumerate(rows)]
    whole = pa.RecordBatch.from_pylist(rows, schema)
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    ends = zip([0, *cuts], [*cuts, len(rows)], strict=True)
    return [whole.slice(start, end - start) for start, end in ends]


@pytest.mark.parametrize("cls", ONTOLOGIES)
def test_what_is_pushed_as_columns_is_read_as_columns(
    standing_store: MosaicoClient, new_name: Callable[[], str], cls: type[Serializable]
) -> None:
    schema = schema_of(cls)

    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(tables(schema), st.sampled_from([1, 3, 1000]))
    def check(batches: list[pa.RecordBatch], most: int) -> None:
        table = pa.Table.from_batches(batches, schema)
        name = new_name()
        with standing_store.sequence_create(name, max_batch_size_records=most) as sequence:
            topic = sequence.topic_create("t", {}, cls)
            topic.push_batch(table)
        if table.num_rows:
            found = topic_of(standing_store, name, "t").to_arrow()
            assert found.to_pylist() == table.to_pylist()

    check()


def record(
    client: MosaicoClient, name: str, cls: type[Serializable], push: Callable[[TopicWriter], None]
) -> None:
    with client.sequence_create(name) as sequence:
        push(sequence.topic_create("t", {}, cls))


def flight(rows: int = 1000) -> dict[str, Any]:
    times = np.arange(rows) * 5_000_000
    return {
        "timestamp_ns": times,
        "acceleration.x": np.sin(times / 1e9),
        "acceleration.y": np.zeros(rows),
        "acceleration.z": np.full(rows, 9.81),
        "angular_velocity.x": np.ma.masked_array(times / 1e9, times % 3 == 0),
        "angular_velocity.y": np.ma.masked_array(times / 2e9, times % 3 == 0),
        "angular_velocity.z": np.ma.masked_array(times / 3e9, times % 3 == 0),
    }


def test_arrays_become_messages(either: MosaicoClient, name: str) -> None:
    columns = flight()
    record(either, name, IMU, lambda topic: topic.push_columns(columns))
    messages = list(topic_of(either, name, "t").get_data_streamer())
    assert len(messages) == 1000
    for row, message in enumerate(messages):
        time = row * 5_000_000
        turn = None if time % 3 == 0 else Vector3d(x=time / 1e9, y=time / 2e9, z=time / 3e9)
        x = columns["acceleration.x"][row]
        assert message.timestamp_ns == time
        assert message.data == IMU(acceleration=Vector3d(x=x, y=0.0, z=9.81), angular_velocity=turn)


def test_arrays_of_all_kinds(either: MosaicoClient, name: str) -> None:
    times = np.array(["2026-01-01T00:00:00", "2026-01-01T00:00:01"], "datetime64[s]")
    strided = np.arange(8, dtype=np.float32).reshape(2, 4)[:, ::2]
    record(
        either,
        name,
        ColumnsScan,
        lambda topic: topic.push_columns(
            {"ranges": strided},
            timestamp_ns=times,
            corners=pl.Series([[1.0, 2.0], None]),
            label=pd.Series(["a", "b"]),
        ),
    )
    table = topic_of(either, name, "t").to_arrow(columns=["ranges", "corners", "label"])
    start = int(times[0].astype("datetime64[ns]").astype(int))
    assert table.to_pylist() == [
        {"timestamp_ns": start, "ranges": [0.0, 2.0], "corners": [1.0, 2.0], "label": "a"},
        {"timestamp_ns": start + 10**9, "ranges": [4.0, 6.0], "corners": None, "label": "b"},
    ]


def test_nan_is_not_null(either: MosaicoClient, name: str) -> None:
    nan = [1.0, float("nan")]
    frames = [np.array(nan), pd.Series(nan), pa.array(nan), nan]
    for index, values in enumerate(frames):
        with either.sequence_create(f"{name}-{index}") as sequence:
            topic = sequence.topic_create("t", {}, Floating32)
            topic.push_columns(timestamp_ns=[1, 2], data=values)
        found = topic_of(either, f"{name}-{index}", "t").to_arrow()["data"]
        assert found.null_count == 0
        assert np.isnan(found[1].as_py())


def test_columns_of_other_libraries(either: MosaicoClient, new_name: Callable[[], str]) -> None:
    source = new_name()
    record(either, source, IMU, lambda topic: topic.push_columns(flight()))
    original = topic_of(either, source, "t")
    expected = original.to_arrow()
    relation = duckdb.sql("select * from expected")
    for columns in (
        expected,
        expected.to_batches()[0],
        expected.to_reader(max_chunksize=77),
        original.to_pandas(),
        original.to_polars(),
        relation,
        original.batches(),
    ):
        name = new_name()
        record(either, name, IMU, lambda topic, columns=columns: topic.push_batch(columns))  # type: ignore[misc]
        assert topic_of(either, name, "t").to_arrow().equals(expected), type(columns)


def test_columns_and_messages_keep_their_order(either: MosaicoClient, name: str) -> None:
    draw = random.Random(5)
    count = 0
    with either.sequence_create(name, max_batch_size_records=10) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        while count < 500:
            rows = list(range(count, count + draw.randrange(30)))
            if draw.random() < 0.5:
                # One time for all: ties stay in the order of their arrival.
                topic.push_columns(timestamp_ns=[7] * len(rows), data=rows)
            else:
                for value in rows:
                    topic.push(number(7, value))
            count += len(rows)
        assert f"{count} pushed" in repr(topic)
        topic.flush()
        assert f"{count} durable" in repr(topic)
    assert replay(either, name) == [("/t", 7, value) for value in range(count)]


def test_arrays_may_change_afterwards(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        values = np.arange(50_000)
        for _ in range(5):
            topic.push_columns(timestamp_ns=values, data=values)
            values += 50_000
    assert [value for _, _, value in replay(either, name)] == list(range(250_000))


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"acceleration.x": [1.0]}, "`timestamp_ns`: missing; Int64"),
        ({"timestamp_ns": [1]}, "`acceleration`: missing; Struct"),
        ({"timestamp_ns": [1], "accelaration.x": [1.0]}, "`accelaration.x`: there is no such column"),
        ({"timestamp_ns": [1], "acceleration.w": [1.0]}, r"`acceleration.w`: there is no .* `x`, `y`, `z`"),
        ({"timestamp_ns": [1], "acceleration.x": ["1"]}, "`acceleration.x`: Utf8 was given, Float64 is"),
        ({"timestamp_ns": [0.5], "acceleration.x": [1.0]}, "`timestamp_ns`, row 0: Int64 cannot hold 0.5"),
        ({"timestamp_ns": [1, None], "acceleration.x": [1.0, 1.0]}, "`timestamp_ns`, row 1: null was given"),
        ({"timestamp_ns": [1], "acceleration": [None]}, "`acceleration`, row 0: null was given, Struct"),
        ({"timestamp_ns": [1, 2], "acceleration.x": [1.0]}, "differ in length.*timestamp_ns.: 2"),
        ({"timestamp_ns": [1], "acceleration.x": [[1.0]]}, "`acceleration.x`: List"),
        ({"timestamp_ns": [1], "acceleration.x": np.array([1.0], ">f8")}, "`acceleration.x` cannot be built"),
        ({"timestamp_ns": 1, "acceleration.x": [1.0]}, "`timestamp_ns` cannot be built from int"),
        ({"timestamp_ns": np.array(1)}, "`timestamp_ns` cannot be built from ndarray"),
        (
            {"timestamp_ns": [1], "acceleration.x": np.ones((1, 0))},
            r"`acceleration.x`.*\(1, 0\) has no values",
        ),
    ],
)
def test_mismatch_names_the_column(
    either: MosaicoClient, name: str, columns: dict[str, Any], complaint: str
) -> None:
    good = {f"acceleration.{axis}": [1.0] for axis in "xyz"}
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, IMU)
        with pytest.raises(InvalidInputError, match=complaint) as caught:
            topic.push_columns(columns)
        assert isinstance(caught.value, ValueError)
        topic.push_columns(good, timestamp_ns=[5])
    assert topic_of(either, name, "t").to_arrow()["timestamp_ns"].to_pylist() == [5]


def test_an_error_in_the_last_chunk_leaves_nothing(either: MosaicoClient, name: str) -> None:
    schema = pa.schema([("timestamp_ns", pa.int64()), ("data", pa.int64())])
    good = pa.record_batch([[1, 2], [3, 4]], schema)
    bad = pa.record_batch([[3, 4], [5, 300]], schema)

    def broken() -> Any:
        yield good
        raise OSError("the cable was pulled")

    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer8)
        with pytest.raises(InvalidInputError, match=r"topic `.*/t`.*`data`, row 3: Int8 cannot hold 300"):
            topic.push_batch(pa.Table.from_batches([good, bad]))
        with pytest.raises(InvalidInputError, match="the cable was pulled"):
            topic.push_batch(pa.RecordBatchReader.from_batches(schema, broken()))
        with pytest.raises(InvalidInputError, match="given twice"):
            topic.push_columns({"data": [1]}, data=[1], timestamp_ns=[1])
        with pytest.raises(TypeError, match="push_columns"):
            topic.push_batch({"timestamp_ns": [1], "data": [1]})  # type: ignore[arg-type]
        assert "0 pushed" in repr(topic)
        topic.push_batch(good)
    assert topic_of(either, name, "t").to_arrow()["data"].to_pylist() == [3, 4]
    with pytest.raises(ClosedError):
        topic.push_batch(good)


MEMORY = """
import sys
import numpy as np, psutil
from mosaicolabs import Floating64, MosaicoClient

me = psutil.Process()
client = MosaicoClient.connect("127.0.0.1", int(sys.argv[1]))
times = np.arange(100_000_000 // 16)
limits = {"max_batch_size_bytes": 100_000, "max_buffered_bytes": 8_000_000}
with client.sequence_create("large", **limits) as sequence:
    topic = sequence.topic_create("t", {}, Floating64)
    topic.push_columns(timestamp_ns=times[:10], data=times[:10].astype(float))
    topic.flush()
    values = times.astype(float)
    before = me.memory_info().rss
    topic.push_columns(timestamp_ns=times, data=values)
    print(me.memory_info().rss - before, flush=True)
"""


def test_a_large_batch_takes_little_memory(daemon: Daemon, remote: MosaicoClient) -> None:
    with Script(MEMORY, daemon.port) as script:
        grown = int(script.hear())
        assert grown < 60_000_000, grown


def test_every_row_once_over_lost_connections(daemon: Daemon, remote: MosaicoClient) -> None:
    draw, rows, rounds = random.Random(12), 20_000, 20
    with Proxy(daemon.port) as proxy, MosaicoClient.connect("127.0.0.1", proxy.port) as shaky:
        done = threading.Event()

        def disturb() -> None:
            while not done.wait(draw.uniform(0.02, 0.15)):
                proxy.drop()

        thread = threading.Thread(target=disturb)
        try:
            with shaky.sequence_create("s", max_batch_size_records=700) as sequence:
                topic = sequence.topic_create("t", {}, Integer64)
                thread.start()
                for start in range(0, rounds * rows, rows):
                    values = np.arange(start, start + rows)
                    topic.push_columns(timestamp_ns=values, data=values)
                    if start % (5 * rows) == 0:
                        topic.flush()
        finally:
            done.set()
            if thread.is_alive():
                thread.join()
    found = topic_of(remote, "s", "t")
    assert found.resumed > 0
    assert found.to_arrow()["data"].to_numpy().tolist() == list(range(rounds * rows))


def test_messages_beyond_the_memory_limit_are_spilled(
    daemon: Daemon, remote: MosaicoClient, tmp_path: Any
) -> None:
    values = np.arange(2_000_000)
    limits = {"max_buffered_bytes": 4_000_000, "spill_folder": tmp_path, "max_spill_bytes": 100_000_000}
    with remote.sequence_create("s", **limits) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        topic.push(number(0, -1))
        topic.flush()
        daemon.kill()
        topic.push_columns(timestamp_ns=values, data=values)
        assert f"{len(values) + 1} pushed, 1 durable" in repr(topic)
        daemon.restart()
    found = topic_of(remote, "s", "t").to_arrow()["data"].to_numpy()
    assert found.tolist() == [-1, *values.tolist()]


def test_arrays_of_three_dimensions_are_lists_of_lists(either: MosaicoClient, name: str) -> None:
    echoes = np.arange(12.0).reshape(2, 3, 2)
    sweep = [key for key in LaserScan.model_fields if key not in ("header", "ranges", "intensities")]
    columns = {**dict.fromkeys(sweep, np.zeros(2)), "ranges": echoes}
    record(either, name, MultiEchoLaserScan, lambda topic: topic.push_columns(columns, timestamp_ns=[1, 2]))
    assert topic_of(either, name, "t").to_arrow()["ranges"].to_pylist() == echoes.tolist()


def test_points_come_back_as_objects(either: MosaicoClient, name: str) -> None:
    position = {"position.x": [45.0, 46.0], "position.y": [9.0, 9.0], "position.z": [1, 2]}
    record(either, name, GPS, lambda topic: topic.push_columns(position, timestamp_ns=[1, 2]))
    found = [message.data for message in topic_of(either, name, "t").get_data_streamer()]
    assert found == [GPS(position=Point3d(x=45.0, y=9.0, z=1.0)), GPS(position=Point3d(x=46.0, y=9.0, z=2.0))]


@pytest.mark.parametrize("start", [0, 2])
def test_lists_of_structs_that_are_slices(
    either: MosaicoClient, new_name: Callable[[], str], start: int
) -> None:
    source, copy = new_name(), new_name()
    fields = [
        PointField(name=f"n{index}", offset=index, datatype=PointFieldDataType.FLOAT32, count=1)
        for index in range(9)
    ]
    rest = {"height": 1, "width": 0, "is_bigendian": False, "point_step": 4, "row_step": 0}
    with either.sequence_create(source) as sequence:
        topic = sequence.topic_create("t", {}, PointCloud2)
        for row in range(5):
            data = PointCloud2(fields=fields[row : row + 2], data=b"", is_dense=True, **rest)
            topic.push(Message(timestamp_ns=row, data=data))
    whole = topic_of(either, source, "t").to_arrow().slice(start).combine_chunks()
    lists = whole["fields"].chunk(0)
    items = lists.flatten()[2:]  # the items are a slice, not the lists
    offsets = pa.array(range(0, len(items) + 1, 2), pa.int32())
    part = whole.slice(1).set_column(
        whole.column_names.index("fields"),
        whole.schema.field("fields"),
        pa.ListArray.from_arrays(offsets, items, type=lists.type),
    )
    record(either, copy, PointCloud2, lambda topic: topic.push_batch(part))
    assert topic_of(either, copy, "t").to_arrow().to_pylist() == whole.slice(1).to_pylist()
