"""Files of rows: types, times, mappings and bad rows."""

import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mosaicolabs import MosaicoClient
from mosaicolabs.ingest import FailedMessage, Recording, RecordingError, find_reader, ingest
from mosaicolabs.ingest.table import TableReader
from mosaicolabs.ingest.tables import open_csv, storable, time_column
from mosaicolabs.models.sensors import IMU

T0 = 1_796_036_400_000_000_000  # 2026-11-30T11:00:00Z
ROWS = [{"t": T0 // 1000 + i, "v": i / 4, "name": f"row {i}"} for i in range(5)]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows in the format of the file's name."""
    table = pa.Table.from_pylist(rows)
    if path.suffix in (".csv", ".tsv"):
        separator = "\t" if path.suffix == ".tsv" else ","
        lines = [separator.join(rows[0]), *(separator.join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: np.array([row[name] for row in rows]) for name in rows[0]})
    else:
        new = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
        with path.open("wb") as file, new(file, table.schema) as writer:
            writer.write_table(table)
    return path


def read(recording: Recording) -> list[dict[str, Any]]:
    """All rows; failures as their number and reason."""
    found: list[dict[str, Any]] = []
    for _, item in recording.messages():
        if isinstance(item, FailedMessage):
            found.append({"failed": item.messages, "reason": item.reason})
        else:
            assert isinstance(item, pa.RecordBatch)
            found += item.to_pylist()
    return found


SUFFIXES = [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".arrows", ".feather", ".npz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"run 7{suffix}", ROWS)
    reader = find_reader(path)
    assert reader.name == "table"

    recording = TableReader().open(path, time="t:us")

    [topic] = recording.topics
    assert (topic.name, topic.messages) == ("/run_7", 5)
    assert topic.ontology.ontology_tag() == "table.run_7"
    assert read(recording) == [
        {"timestamp_ns": row["t"] * 1000, "v": row["v"], "name": row["name"]} for row in ROWS
    ]


def test_rows_are_stored_and_queried(tmp_path: Path) -> None:
    recording = TableReader().open(write(tmp_path / "run.csv", ROWS), time="t:us")
    with MosaicoClient.embedded(tmp_path / "store") as client:
        result = ingest(client, recording, "run")
        [*messages] = client.topic_handler("run", "/run").get_data_streamer()  # type: ignore[union-attr]

    assert (result.messages, result.failed) == ({"/run": 5}, {})
    assert [(m.timestamp_ns, m.data.v) for m in messages] == [  # type: ignore[attr-defined]
        (T0 // 1000 * 1000 + 1000 * i, i / 4) for i in range(5)
    ]


def test_columns_of_a_class(tmp_path: Path) -> None:
    path = tmp_path / "imu.csv"
    path.write_text("t;ax;ay;az;extra\n1.5;1;2;3.5;x\n2.5;4;5;6;y\n")
    options = {"time": "t:s", "map": "acceleration.x=ax,acceleration.y=ay,acceleration.z=az", "as": "*=imu"}

    recording = TableReader().open(path, **options)
    with MosaicoClient.embedded(tmp_path / "store") as client:
        result = ingest(client, recording, "run")
        messages = list(client.topic_handler("run", "/imu").get_data_streamer())  # type: ignore[union-attr]

    assert result.failed == {}
    assert [(m.timestamp_ns, m.get_data(IMU).acceleration.z) for m in messages] == [
        (1_500_000_000, 3.5),
        (2_500_000_000, 6.0),
    ]
    assert [(skip.source, skip.reason) for skip in recording.skipped] == [
        ("extra", "the class imu has no such column")
    ]


def test_mapping_of_the_import_is_understood(tmp_path: Path) -> None:
    write(tmp_path / "imu-00.parquet", [{"t": 7, "ax": 1.0, "deg": 180.0, "note": "n"}])
    (tmp_path / "map.toml").write_text(
        """
[[sequence]]
name = "log-{flight}"
[[sequence.topic]]
name = "sensors/imu"
files = "{flight}/imu-*.parquet"
ontology_tag = "imu"
ignore = ["no*"]
[sequence.topic.columns]
timestamp_ns = { column = "t", unit = "us" }
"acceleration.x" = "ax"
"acceleration.y" = { column = "ax", scale = 2, offset = 1 }
"acceleration.z" = { constant = 9.5 }
"angular_velocity.z" = { column = "deg", scale = 0.017453292519943295 }
"""
    )

    recording = TableReader().open(tmp_path / "imu-00.parquet", mapping=str(tmp_path / "map.toml"))

    assert recording.topics[0].name == "/sensors/imu"
    assert read(recording) == [
        {
            "timestamp_ns": 7000,
            "acceleration.x": 1.0,
            "acceleration.y": 3.0,
            "acceleration.z": 9.5,
            "angular_velocity.z": math.pi,
        }
    ]
    with pytest.raises(RecordingError, match=r"the `files` of no topic fit other\.csv"):
        TableReader().open(write(tmp_path / "other.csv", ROWS), mapping=str(tmp_path / "map.toml"))


@pytest.mark.parametrize(
    ("texts", "kind", "values"),
    [
        (["1", "-2", ""], pa.int64(), [1, -2, None]),
        (["1", "2.5"], pa.float64(), [1.0, 2.5]),
        (["1", "18446744073709551615"], pa.uint64(), [1, 2**64 - 1]),
        (["-1", "18446744073709551615"], pa.string(), ["-1", "18446744073709551615"]),
        (["007", "12"], pa.string(), ["007", "12"]),
        (["9007199254740993", "0.5"], pa.string(), ["9007199254740993", "0.5"]),
        (["nan", "inf", "1e3"], pa.float64(), [math.nan, math.inf, 1000.0]),
        (["true", "False"], pa.bool_(), [True, False]),
        (["true", "no"], pa.string(), ["true", "no"]),
        ([" 5", "6 "], pa.int64(), [5, 6]),
        (['"a,b"', "c"], pa.string(), ["a,b", "c"]),
        (["", ""], pa.int64(), [None, None]),
    ],
)
def test_types_hold_every_value(
    tmp_path: Path, texts: list[str], kind: pa.DataType, values: list[Any]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t,v\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)))

    source = open_csv(path)

    assert source.schema.field("v").type == kind
    found = [value for batch in source.batches() for value in batch["v"].to_pylist()]
    assert repr(found) == repr(values)


def test_type_of_a_value_far_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t,v\n" + "".join(f"{i},{i}\n" for i in range(200_000)) + "200000,late\n")

    source = open_csv(path)

    assert (source.rows, source.schema.field("v").type) == (200_001, pa.string())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_and_comment_signs(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("#timestamp_ns,w\u00e4rme\n5,1.5\n".encode(encoding))

    assert read(TableReader().open(path)) == [{"timestamp_ns": 5, "w\u00e4rme": 1.5}]


def test_bad_rows_are_counted_and_cost_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t,v\n1,1\n2\n3,3,3\n,4\n5,5\n")

    recording = TableReader().open(path, time="t:s")
    bad, timeless, *good = read(recording)

    assert recording.topics[0].messages == 5
    assert bad["failed"] == 2
    assert "row with 1 columns, expected 2" in bad["reason"]
    assert (timeless["failed"], timeless["reason"]) == (1, "no time in the column `t`")
    assert [row["v"] for row in good] == [1, 5]


@pytest.mark.parametrize(("bad", "failed"), [({700}, 1), ({0, 5, 999}, 3)])
def test_rows_that_do_not_fit_their_class_cost_few_others(tmp_path: Path, bad: set[int], failed: int) -> None:
    path = tmp_path / "small.csv"
    path.write_text("t,v\n" + "".join(f"{i},{300 if i in bad else 7}\n" for i in range(1000)) + "1000,1\n")
    recording = TableReader().open(path, **{"time": "t:s", "map": "data=v", "as": "*=integer8"})

    with MosaicoClient.embedded(tmp_path / "store") as client:
        result = ingest(client, recording, "run")

    assert result.messages["/small"] == 1001 - failed
    assert result.failed["/small"].messages == failed
    assert "data" in result.failed["/small"].first


def test_file_whose_rows_do_not_fit_is_refused_soon(tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    path.write_text("t,v\n" + "".join(f"{i},300\n" for i in range(20_000)))
    recording = TableReader().open(path, **{"time": "t:s", "map": "data=v", "as": "*=integer8"})

    with (
        MosaicoClient.embedded(tmp_path / "store") as client,
        pytest.raises(RecordingError, match="none of the 20000 messages can be stored"),
    ):
        ingest(client, recording, "run")


def test_json_values_of_any_form(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        {"t": 1, "v": 1, "o": {"x": 1}},
        {"t": 2, "v": "text", "l": [1.5]},
        {"t": 3, "v": [1], "o": None},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n{broken\n[1]\n")

    bad, *rows = read(TableReader().open(path, time="t:s"))

    assert (bad["failed"], f"{path}:4" in bad["reason"]) == (2, True)
    assert [(row["v"], row["o"], row["l"]) for row in rows] == [
        ("1", {"x": 1}, None),
        ('"text"', None, [1.5]),
        ("[1]", None, None),
    ]


def test_arrays_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(
        path,
        t=np.arange(3),
        matrix=np.arange(12.0).reshape(3, 2, 2),
        big=np.array([1, 2, 3], ">i4"),
        names=np.array(["a", "b", "c"]),
        other=np.zeros(7),
        scalar=np.float64(1),
    )

    recording = TableReader().open(path, time="t:ms")

    assert read(recording)[1] == {
        "timestamp_ns": 1_000_000,
        "matrix": [4.0, 5.0, 6.0, 7.0],
        "big": 2,
        "names": "b",
    }
    assert [skip.source for skip in recording.skipped] == ["other", "scalar"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([timedelta(seconds=1)]), [10**9]),
        (pa.array([date(2026, 11, 30)]), ["2026-11-30"]),
        (pa.array([Decimal("1.10")]), ["1.10"]),
        (pa.array([datetime(2026, 11, 30, 11, tzinfo=timezone.utc)]), [T0]),
        (pa.array([None, None]), [None, None]),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), [[{"key": "a", "value": 1}]]),
        (pa.array([{"d": date(2026, 1, 2)}, None]), [{"d": "2026-01-02"}, None]),
        (pa.array([[date(2026, 1, 2)], []]), [["2026-01-02"], []]),
    ],
)
def test_types_that_topics_do_not_have(values: pa.Array, expected: list[Any]) -> None:
    assert storable(values).to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        (pa.array([1.123456789]), "s", [1_123_456_789]),
        (pa.array([1_796_036_400.0]), "s", [T0]),
        (pa.array([T0 // 1000], pa.uint64()), "us", [T0]),
        (
            pa.array(["2026-11-30T11:00:00", "2026-11-30 12:00:00+01:00", "x", None]),
            None,
            [T0, T0, None, None],
        ),
        (pa.array([datetime(2026, 11, 30, 11)]), None, [T0]),
    ],
)
def test_times(values: pa.Array, unit: str | None, expected: list[int | None]) -> None:
    assert time_column(values, unit).to_pylist() == expected


def test_what_is_not_said_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ROWS)

    with pytest.raises(
        RecordingError, match=r"which column is the time\? .* --time t:us; it has: t, v, name"
    ):
        TableReader().open(path)
    with pytest.raises(RecordingError, match="the time `t`: numbers need a unit"):
        TableReader().open(path, time="t")
    with pytest.raises(RecordingError, match="it has no column `x` for `timestamp_ns`; it has: t, v"):
        TableReader().open(path, time="x:us")
    with pytest.raises(RecordingError, match="no row has a time in the column `name`"):
        TableReader().open(path, time="name")
    (tmp_path / "b.csv").write_text("a,a\n1,2\n")
    with pytest.raises(RecordingError, match="two columns are named `a`"):
        TableReader().open(tmp_path / "b.csv")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".npz"])
def test_damaged_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", ROWS)
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(RecordingError, match=rf"a\{suffix}: "):
        TableReader().open(path, time="t:us")
