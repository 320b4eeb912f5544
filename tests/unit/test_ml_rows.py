"""Cutting, flattening and merging the rows of topics against row-by-row models."""

import logging
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs.ml._topic_rows import TopicRows
from mosaicolabs.ml._wide_table import Merged, wide_table
from mosaicolabs.ml._windows import windows

INNER = pa.struct([("sec", pa.int64()), ("name", pa.string())])
SCHEMA = pa.schema(
    [
        pa.field("timestamp_ns", pa.int64(), nullable=False),
        ("number", pa.float32()),
        ("nested", pa.struct([("inner", INNER), ("flag", pa.bool_())])),
        ("items", pa.list_(pa.int64())),
        ("matrix", pa.list_(pa.float64(), 2)),
    ],
    metadata={"from": "the daemon"},
)
NAMES = ["/t.tag.number", "/t.tag.nested.inner.sec", "/t.tag.nested.inner.name", "/t.tag.nested.flag"]
NAMES += ["/t.tag.items", "/t.tag.matrix"]

INT64 = (-(2**63), 2**63 - 1)
big = st.integers(*INT64)
none = st.none()
inner = st.fixed_dictionaries({"sec": none | big, "name": none | st.text(max_size=3)})
rows = st.fixed_dictionaries(
    {
        "timestamp_ns": st.integers(-50, 50) | st.sampled_from(INT64),
        "number": none | st.floats(width=32, allow_nan=False),
        "nested": none | st.fixed_dictionaries({"inner": none | inner, "flag": none | st.booleans()}),
        "items": none | st.lists(big, max_size=3),
        "matrix": none | st.lists(st.floats(allow_nan=False), min_size=2, max_size=2),
    }
)
topics = st.lists(rows, max_size=12).map(lambda found: sorted(found, key=lambda row: row["timestamp_ns"]))


def flat(row: dict[str, Any], prefix: str = "/t.tag") -> dict[str, Any]:
    """What a row is in the wide table."""
    nested = row["nested"] or {}
    deep = nested.get("inner") or {}
    values = [
        row["number"],
        deep.get("sec"),
        deep.get("name"),
        nested.get("flag"),
        row["items"],
        row["matrix"],
    ]
    names = [name.replace("/t.tag", prefix) for name in NAMES]
    return {"timestamp_ns": row["timestamp_ns"]} | dict(zip(names, values, strict=True))


def batches(found: list[dict[str, Any]], sizes: list[int]) -> Iterator[pa.RecordBatch]:
    """The rows in batches of these sizes, some of them empty; the rest in one."""
    for size in [*sizes, len(found)]:
        yield pa.RecordBatch.from_pylist(found[:size], schema=SCHEMA)
        found = found[size:]


@given(topic=topics, sizes=st.lists(st.integers(0, 4)), edges=st.lists(st.integers(-60, 60)).map(sorted))
def test_rows_are_flattened_up_to_each_edge(
    topic: list[dict[str, Any]], sizes: list[int], edges: list[int]
) -> None:
    cut = TopicRows("/t.tag", SCHEMA, batches(topic, sizes))
    left = [flat(row) for row in topic]
    for edge in [*edges, INT64[1] + 1]:
        due = [row for row in left if row["timestamp_ns"] < edge]
        left = left[len(due) :]
        table = cut.until(edge)
        assert table.schema.names == ["timestamp_ns", *NAMES]
        assert table.to_pylist() == due
        assert cut.next_time() == (left[0]["timestamp_ns"] if left else None)
    assert not left


def test_at_most_one_batch_is_read_beyond_the_edge() -> None:
    taken = []

    def endless() -> Iterator[pa.RecordBatch]:
        for time in range(1000):
            taken.append(time)
            yield pa.RecordBatch.from_pylist([{"timestamp_ns": time}], schema=SCHEMA)

    assert TopicRows("/t.tag", SCHEMA, endless()).until(5).num_rows == 5
    assert taken == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("given_", "made"),
    [
        (pa.string_view(), pa.large_string()),
        (pa.binary_view(), pa.large_binary()),
        (pa.dictionary(pa.int8(), pa.string()), pa.large_string()),
        (pa.list_(pa.uint8()), pa.large_list(pa.uint8())),
        (pa.float16(), pa.float16()),
    ],
)
def test_types_that_other_daemons_send(given_: pa.DataType, made: pa.DataType) -> None:
    schema = pa.schema([("timestamp_ns", pa.int64()), ("x", given_)])
    batch = pa.record_batch([pa.array([1, 2]), pa.array([None, None], made).cast(given_)], schema=schema)
    table = TopicRows("p", schema, iter([batch])).until(9)
    assert table.schema.types == [pa.int64(), made]
    assert table.num_rows == 2


@given(found=st.lists(topics, min_size=1, max_size=4), sizes=st.lists(st.integers(0, 4)))
def test_topics_are_merged_by_time_and_by_their_order(
    found: list[list[dict[str, Any]]], sizes: list[int]
) -> None:
    tables = [
        TopicRows(f"/t{n}.tag", SCHEMA, batches(topic, sizes)).until(2**63) for n, topic in enumerate(found)
    ]
    wide = wide_table(Merged(tables))
    wide.validate(full=True)
    everything = [
        name for n in range(len(found)) for name in flat(BLANK, f"/t{n}.tag") if n == 0 or "." in name
    ]
    expected = [
        dict.fromkeys(everything) | flat(row, f"/t{n}.tag") for n, topic in enumerate(found) for row in topic
    ]
    expected.sort(key=lambda row: row["timestamp_ns"])
    assert wide.schema.names == everything
    assert wide.to_pylist() == expected


BLANK: dict[str, Any] = dict.fromkeys(["timestamp_ns", "number", "nested", "items", "matrix"])


spans = st.tuples(st.integers(-60, 60), st.integers(0, 90), st.integers(1, 130))
near = st.lists(rows.map(lambda row: row | {"timestamp_ns": row["timestamp_ns"] % 50}), max_size=12)


@given(
    found=st.lists(near.map(lambda topic: sorted(topic, key=lambda row: row["timestamp_ns"])), min_size=1),
    sizes=st.lists(st.integers(0, 4)),
    span=spans,
)
def test_windows_together_are_the_whole(
    found: list[list[dict[str, Any]]], sizes: list[int], span: tuple[int, int, int]
) -> None:
    start, length, step = span
    end = start + length
    later = [[row for row in topic if start <= row["timestamp_ns"]] for topic in found]
    inside = [[row for row in topic if row["timestamp_ns"] < end] for topic in later]
    tables = [TopicRows(f"/t{n}.tag", SCHEMA, batches(topic, sizes)) for n, topic in enumerate(later)]
    got = list(map(wide_table, windows(tables, start, end, step)))
    whole = [
        TopicRows(f"/t{n}.tag", SCHEMA, batches(topic, [])).until(2**63) for n, topic in enumerate(inside)
    ]
    assert [row for table in got for row in table.to_pylist()] == wide_table(Merged(whole)).to_pylist()
    for number, table in enumerate(got):
        for time in table["timestamp_ns"].to_pylist():
            assert start + number * step <= time < start + (number + 1) * step
    times = [row["timestamp_ns"] for topic in inside for row in topic]
    assert len(got) == ((max(times) - start) // step + 1 if times else 0)


def test_gap_of_many_windows_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    times = [{"timestamp_ns": time} for time in (0, 2000, 5000)]
    topic = TopicRows("/t.tag", SCHEMA, batches(times, []))
    with caplog.at_level(logging.WARNING, logger="mosaicolabs"):
        counts = [len(merged.times) for merged in windows([topic], 0, 5001, 1)]
    assert counts == [1, 1, 1]
    assert "1999 windows from 1 ns on have no rows" in caplog.text
    assert len(caplog.records) == 1


def test_window_after_a_gap_has_the_place_that_it_would_have_without() -> None:
    times = [{"timestamp_ns": time} for time in (1, 5, 10**18, 10**18 + 4)]
    topic = TopicRows("/t.tag", SCHEMA, batches(times, []))
    found = [list(merged.times) for merged in windows([topic], 0, 10**18 + 5, 3)]
    # 10**18 is 1 more than a multiple of 3.
    assert [[int(time) for time in window] for window in found] == [[1], [5], [10**18], [10**18 + 4]]
