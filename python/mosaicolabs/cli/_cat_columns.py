"""`mosaico cat --format csv|table`: messages as rows of flat columns."""

import base64
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from mosaicolabs._printable import printable
from mosaicolabs._terminal.output import counted, echo
from mosaicolabs._terminal.tables import Table, print_table
from mosaicolabs.handlers import Batches
from mosaicolabs.helpers.json_values import to_json

ROWS_OF_A_TABLE = 40
"""Rows of a table, unless `--limit` gives another number: it needs all of them to choose its widths."""


def print_csv(batches: Batches, limit: int | None) -> None:
    """Prints all columns, lists as JSON and bytes as base64; a missing value is an empty cell."""
    # Files keep the text as it is recorded; on a terminal, it could contain commands.
    shown = printable if sys.stdout.isatty() else str
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow([shown(name) for name in flat_names(batches.schema)])
    for row in islice(_rows(batches), limit):
        out.writerow([shown(_csv_cell(value)) for value in row])


def print_rows(batches: Batches, limit: int | None, origin_ns: int) -> None:
    """Prints the columns that have values, with times relative to `origin_ns`."""
    names = flat_names(batches.schema)
    wanted = ROWS_OF_A_TABLE if limit is None else limit
    found = list(islice(_rows(batches), wanted + 1))
    rows = found[:wanted]
    kept = [
        at
        for at, name in enumerate(names)
        if at > 1 and not _is_header(name) and any(row[at] is not None for row in rows)
    ]
    topics = {row[1] for row in rows}
    head = ["time", *(["topic"] if len(topics) > 1 else [])]
    tags = {names[at].partition(".")[0] for at in kept}
    columns = [*head, *(names[at].partition(".")[2] if len(tags) == 1 else names[at] for at in kept)]
    table = Table(*columns, numbers=set(columns) - {"topic"}, spare=columns[: len(head) : -1])
    for row in rows:
        start = [f"{(row[0] - origin_ns) / 1e9:+.6f} s", *([row[1]] if len(topics) > 1 else [])]
        table.add_row(*start, *(_table_cell(row[at]) for at in kept))
    if not rows:
        return
    print_table(table)
    if len(found) > wanted and limit is None:
        echo()
        echo(f"the first {counted(wanted, 'message')}; --limit N prints N of them, --format csv all")


def flat_names(schema: pa.Schema) -> list[str]:
    """Names of the columns after structs became columns with dotted names.

    Example:
        >>> flat_names(pa.schema({"t": pa.int64(), "imu": pa.struct({"x": pa.int8(), "y": pa.int8()})}))
        ['t', 'imu.x', 'imu.y']
    """
    return list(chain.from_iterable(_names(field.name, field.type) for field in schema))


def _names(name: str, type_: pa.DataType) -> Iterator[str]:
    if not pa.types.is_struct(type_):
        yield name
        return
    for field in type_:
        yield from _names(f"{name}.{field.name}", field.type)


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        columns = chain.from_iterable(map(_flat, batch.columns))
        yield from zip(*(column.to_pylist() for column in columns), strict=True)


def _flat(column: pa.Array) -> Iterator[pa.Array]:
    if not pa.types.is_struct(column.type):
        yield column
        return
    for part in column.flatten():  # null where the struct is
        yield from _flat(part)


def _is_header(name: str) -> bool:
    """Whether a column repeats the time of the message, or one of its parts."""
    return "header" in name.split(".") or name == "recording_timestamp_ns"


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list | tuple | dict):
        return json.dumps(to_json(value, summarise_bytes=False), ensure_ascii=False)
    return repr(value) if isinstance(value, float) else str(value)


def _table_cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple | dict):
        text = json.dumps(to_json(value, summarise_bytes=True), ensure_ascii=False)
        return text if len(text) <= 40 else f"{len(value)} values"
    return str(value)
