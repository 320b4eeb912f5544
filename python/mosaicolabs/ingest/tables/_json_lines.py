"""JSON lines: one object per line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from mosaicolabs.ingest._reader_api import RecordingError

from ._source import BATCH_ROWS, Source


def open_json_lines(path: Path) -> Source:
    """Reads a file once to find a schema that holds every value; a value that varies in type is JSON text.

    Raises:
        RecordingError: No line is an object.
    """
    bad: list[str] = []
    rows = 0
    merged: pa.Schema | None = None
    varying: set[str] = set()
    for objects in _groups(path, bad):
        rows += len(objects)
        for name in dict.fromkeys(name for entry in objects for name in entry):
            field = _field(name, [entry.get(name) for entry in objects])
            merged = _merged(merged, field, varying)
    if merged is None:
        raise RecordingError(f"{path}: no line is a JSON object{f'; {bad[0]}' if bad else ''}")
    schema = pa.schema(
        [pa.field(field.name, pa.string()) if field.name in varying else field for field in merged]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for objects in _groups(path, []):
            columns = []
            for field in schema:
                values = [entry.get(field.name) for entry in objects]
                if field.name in varying:
                    values = [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
                columns.append(pa.array(values, field.type))
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return Source(schema, rows, len(bad), bad[0] if bad else "", batches)


def _groups(path: Path, bad: list[str]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    with path.open(encoding="utf-8-sig", errors="backslashreplace") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                if not isinstance(entry, dict):
                    raise ValueError("not an object")
            except ValueError as error:
                bad.append(f"{path}:{number}: {error}")
                continue
            group.append(entry)
            if len(group) == BATCH_ROWS:
                yield group
                group = []
    if group:
        yield group


def _field(name: str, values: list[Any]) -> pa.Field:
    try:
        return pa.field(name, pa.array(values).type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.field(name, _VARIES)


_VARIES = pa.binary()  # JSON has no bytes


def _merged(schema: pa.Schema | None, field: pa.Field, varying: set[str]) -> pa.Schema:
    if field.type == _VARIES:
        varying.add(field.name)
    if schema is None:
        return pa.schema([field])
    if field.name in varying:
        known = field.name in schema.names
        return schema if known else schema.append(field)
    try:
        return pa.unify_schemas([schema, pa.schema([field])], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        varying.add(field.name)
        return schema
