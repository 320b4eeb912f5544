"""Columns of exports: every Arrow type, as itself in Parquet and Arrow, and as text in CSV and JSON lines."""

import base64
import csv
import gzip
import json
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from mosaicolabs.export import ExportError, load_writer
from mosaicolabs.export._columns import flattened
from mosaicolabs.export._tables import Settings, TableWriter

NS = 1_577_836_800_000_000_007  # 2020-01-01, and 7 ns
POINT = pa.struct([("x", pa.float32()), ("tags", pa.map_(pa.string(), pa.int8()))])
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "half": (pa.float16(), [0.5, None]),
    "double": (pa.float64(), [0.1, float("nan")]),
    "big": (pa.uint64(), [2**64 - 1, None]),
    "flag": (pa.bool_(), [True, None]),
    "text": (pa.string(), ['a,"b"\n', None]),
    "empty": (pa.large_string(), ["", None]),
    "bytes": (pa.binary(), [b"\x00\xff", None]),
    "fixed": (pa.binary(2), [b"ab", None]),
    "word": (pa.dictionary(pa.int32(), pa.string()), ["on", None]),
    "at": (pa.timestamp("ns", "UTC"), [NS, None]),
    "lasting": (pa.duration("us"), [5, None]),
    "price": (pa.decimal128(10, 2), [Decimal("1.50"), None]),
    "items": (pa.list_(pa.float64()), [[1.0, float("inf")], []]),
    "pair": (pa.list_(pa.int16(), 2), [[1, 2], None]),
    "blobs": (pa.large_list(pa.binary()), [[b"a", None], None]),
    "points": (pa.list_(POINT), [[{"x": 1.5, "tags": [("k", 1)]}], None]),
    "inner": (POINT, [{"x": 2.5, "tags": []}, None]),
}
AS_JSON = [
    {
        "half": 0.5,
        "double": 0.1,
        "big": 2**64 - 1,
        "flag": True,
        "text": 'a,"b"\n',
        "empty": "",
        "bytes": base64.b64encode(b"\x00\xff").decode(),
        "fixed": base64.b64encode(b"ab").decode(),
        "word": "on",
        "at": "2020-01-01 00:00:00.000000007Z",
        "lasting": 5,
        "price": "1.50",
        "items": [1.0, "Infinity"],
        "pair": [1, 2],
        "blobs": [base64.b64encode(b"a").decode(), None],
        "points": [{"x": 1.5, "tags": [["k", 1]]}],
        "inner": {"x": 2.5, "tags": []},
    },
    dict.fromkeys(COLUMNS) | {"double": "NaN", "items": []},
]


def batch() -> pa.RecordBatch:
    arrays = [pa.array(values, type_) for type_, values in COLUMNS.values()]
    return pa.RecordBatch.from_arrays(arrays, names=list(COLUMNS))


def written(path: Path, format: str, rows: pa.RecordBatch, compression: str = "none") -> Path:
    writer = load_writer(format)
    assert isinstance(writer, TableWriter)
    sink = writer.open_sink(path, rows.schema, Settings(False, False, compression, None))
    sink.write(rows)
    sink.write(rows)
    sink.close()
    return path


@pytest.mark.parametrize("codec", ["none", "zstd", "lz4"])
def test_arrow(tmp_path: Path, codec: str) -> None:
    path = written(tmp_path / "a", "arrow", batch(), codec)

    with pa.ipc.open_file(path) as file:
        assert file.read_all().to_pylist().__repr__() == (batch().to_pylist() * 2).__repr__()
        assert file.schema == batch().schema


@pytest.mark.parametrize("codec", ["zstd", "snappy", "gzip", "brotli", "lz4", "none"])
def test_parquet(tmp_path: Path, codec: str) -> None:
    rows = batch()
    path = written(tmp_path / "a", "parquet", rows, codec)

    read = pa.parquet.read_table(path)
    assert read.num_rows == 4
    for name in rows.schema.names:
        expected = rows.column(name).to_pylist() * 2
        assert repr(read.column(name).to_pylist()) == repr(expected), name
    used = pa.parquet.read_metadata(path).row_group(0).column(0).compression
    assert used == ("UNCOMPRESSED" if codec == "none" else codec.upper())


def test_json_lines(tmp_path: Path) -> None:
    lines = written(tmp_path / "a", "jsonl", batch()).read_text().splitlines()

    assert [json.loads(line) for line in lines] == AS_JSON * 2


def test_csv(tmp_path: Path) -> None:
    rows = flattened(batch())
    text = written(tmp_path / "a", "csv", rows).read_text()

    header, first, *_ = csv.reader(text.splitlines(keepends=True))
    cells = dict(zip(header, first, strict=True))
    expected = dict(AS_JSON[0])
    expected |= {f"inner.{name}": value for name, value in expected.pop("inner").items()}
    assert header == rows.schema.names
    for name, value in expected.items():
        if isinstance(value, list):
            assert json.loads(cells[name]) == value, name
        elif isinstance(value, bool):
            assert cells[name] == "true"
        else:
            assert cells[name] == (
                value if isinstance(value, str) else f"{value:g}" if value == 0.5 else str(value)
            )


def test_csv_tells_missing_from_empty_text(tmp_path: Path) -> None:
    rows = pa.RecordBatch.from_pydict({"a": pa.array(["", None], pa.string()), "b": [1, 2]})

    assert written(tmp_path / "a", "csv", rows).read_text().splitlines()[1:3] == ['"",1', ",2"]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_compressed_text(tmp_path: Path, format: str) -> None:
    plain = written(tmp_path / "plain", format, flattened(batch())).read_bytes()

    assert gzip.decompress(written(tmp_path / "g", format, flattened(batch()), "gzip").read_bytes()) == plain
    packed = written(tmp_path / "z", format, flattened(batch()), "zstd").read_bytes()
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == plain


def test_nulls_of_structs_reach_their_fields() -> None:
    inner = pa.struct([pa.field("x", pa.int8(), nullable=False)])
    rows = pa.RecordBatch.from_arrays([pa.array([{"x": 1}, None], inner)], names=["a"])

    assert flattened(rows).to_pylist() == [{"a.x": 1}, {"a.x": None}]
    assert flattened(rows).schema.field("a.x").nullable


def test_flattened_names_that_collide() -> None:
    rows = pa.RecordBatch.from_pylist([{"a.x": 1, "a": {"x": 2}}])

    with pytest.raises(ExportError, match=r"two columns are named a\.x"):
        flattened(rows)


def test_times_before_1970() -> None:
    old = pa.array([datetime(1969, 12, 31, 23, 59, 59, 999_999, timezone.utc)], pa.timestamp("us", "UTC"))
    rows = pa.RecordBatch.from_arrays([old], names=["at"])
    from mosaicolabs.export._columns import documents

    assert documents(rows) == [{"at": "1969-12-31 23:59:59.999999Z"}]
