"""One schema for the merged batches of several sequences."""

import pyarrow as pa
import pytest

from mosaicolabs._streams.schema_union import SchemaUnion
from mosaicolabs.exceptions import InvalidInputError

TOPIC = pa.dictionary(pa.int32(), pa.utf8())


def merged(topics: list[str], **classes: pa.Array) -> pa.RecordBatch:
    """A batch as a merge gives it, with times from 0."""
    columns = {
        "timestamp_ns": pa.array(range(len(topics)), pa.int64()),
        "topic": pa.array(topics).dictionary_encode(),
        **classes,
    }
    fields = [
        pa.field(name, array.type, nullable=array.null_count > 0 or name == "recording_timestamp_ns")
        for name, array in columns.items()
    ]
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=pa.schema(fields))


def structs(fields: list[pa.Field], rows: list[dict[str, object] | None]) -> pa.Array:
    return pa.array(rows, pa.struct(fields))


def required(name: str, data_type: pa.DataType) -> pa.Field:
    return pa.field(name, data_type, nullable=False)


OLD = merged(["/b", "/a"], imu=structs([required("x", pa.int64())], [{"x": 1}, {"x": 2}]))
NEW = merged(
    ["/c"],
    recording_timestamp_ns=pa.array([7], pa.int64()),
    imu=structs([pa.field("x", pa.int64()), required("y", pa.utf8())], [{"x": 3, "y": "new"}]),
    gps=structs([required("z", pa.float64())], [{"z": 9.0}]),
)


def test_what_a_sequence_lacks_is_null() -> None:
    same = SchemaUnion([("one", OLD.schema), ("two", NEW.schema)], ["/a", "/b", "/c"])
    assert same.schema == pa.schema(
        [
            required("timestamp_ns", pa.int64()),
            required("sequence", TOPIC),
            required("topic", TOPIC),
            pa.field("recording_timestamp_ns", pa.int64()),
            required("imu", pa.struct([pa.field("x", pa.int64()), pa.field("y", pa.utf8())])),
            pa.field("gps", pa.struct([required("z", pa.float64())])),
        ]
    )
    batches = [same.batch("one", OLD), same.batch("two", NEW), same.batch("one", OLD.slice(1))]
    for batch in batches:
        batch.validate(full=True)
    table = pa.Table.from_batches(batches, same.schema)
    old = {"sequence": "one", "recording_timestamp_ns": None, "gps": None}
    assert table.to_pylist() == [
        {"timestamp_ns": 0, "topic": "/b", "imu": {"x": 1, "y": None}, **old},
        {"timestamp_ns": 1, "topic": "/a", "imu": {"x": 2, "y": None}, **old},
        {
            "timestamp_ns": 0,
            "sequence": "two",
            "topic": "/c",
            "recording_timestamp_ns": 7,
            "imu": {"x": 3, "y": "new"},
            "gps": {"z": 9.0},
        },
        {"timestamp_ns": 1, "topic": "/a", "imu": {"x": 2, "y": None}, **old},
    ]


def test_one_dictionary_for_all_batches() -> None:
    same = SchemaUnion([("one", OLD.schema), ("two", NEW.schema)], ["/b", "/a", "/c"])
    for batch in (same.batch("one", OLD), same.batch("two", NEW)):
        assert batch["sequence"].dictionary.to_pylist() == ["one", "two"]
        assert batch["topic"].dictionary.to_pylist() == ["/b", "/a", "/c"]


def test_a_struct_that_is_null_stays_null() -> None:
    gaps = merged(["/a", "/a"], imu=structs([required("x", pa.int64())], [None, {"x": 2}]))
    wide = merged(
        ["/a"], imu=structs([required("x", pa.int64()), required("y", pa.int64())], [{"x": 1, "y": 1}])
    )
    same = SchemaUnion([("one", gaps.schema), ("two", wide.schema)], ["/a"])
    assert same.batch("one", gaps)["imu"].to_pylist() == [None, {"x": 2, "y": None}]
    assert same.batch("one", gaps.slice(1))["imu"].to_pylist() == [{"x": 2, "y": None}]


def test_columns_of_different_types_are_refused() -> None:
    other = merged(["/a"], imu=structs([required("x", pa.float32())], [{"x": 1.0}]))
    with pytest.raises(InvalidInputError, match=r"`imu\.x` is float in sequence 'two' and int64"):
        SchemaUnion([("one", OLD.schema), ("two", other.schema)], ["/a"])


def test_a_tag_that_is_a_column_of_all_is_refused() -> None:
    strange = merged(["/a"], sequence=structs([required("x", pa.int64())], [{"x": 1}]))
    with pytest.raises(
        InvalidInputError, match="sequence 'one' has a topic with the ontology tag `sequence`"
    ):
        SchemaUnion([("one", strange.schema)], ["/a"])
