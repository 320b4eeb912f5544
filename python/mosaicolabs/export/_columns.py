"""Columns in the shape that a format needs: flattened, or with types that text can represent."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from mosaicolabs.helpers.json_values import to_json

from ._errors import ExportError


def flattened(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The fields of structs as columns with dotted names; null where any struct around them is null.

    Raises:
        ExportError: Two columns have the same dotted name.

    Example:
        >>> batch = pa.RecordBatch.from_pylist([{"position": {"x": 1.0, "y": None}}])
        >>> flattened(batch).to_pylist()
        [{'position.x': 1.0, 'position.y': None}]
    """
    arrays, fields = [], []
    for field, array in zip(batch.schema, batch.columns, strict=True):
        for inner, values in _leaves(field, array):
            fields.append(inner)
            arrays.append(values)
    names = [field.name for field in fields]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ExportError(f"two columns are named {', '.join(doubled)} if structs are flattened; use nested")
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, batch.schema.metadata))


def flattened_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of `flattened` batches."""
    return flattened(
        pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
    ).schema


def _leaves(field: pa.Field, array: pa.Array) -> Iterable[tuple[pa.Field, pa.Array]]:
    if not pa.types.is_struct(field.type):
        yield field, array
        return
    # `flatten` applies the nulls of the struct to its fields.
    for inner, values in zip(field.type, array.flatten(), strict=True):
        nullable = field.nullable or inner.nullable
        named = pa.field(f"{field.name}.{inner.name}", inner.type, nullable, inner.metadata)
        yield from _leaves(named, values)


def with_nullable_fields(schema: pa.Schema) -> pa.Schema:
    """The schema with nullable fields inside of nullable structs, where a null struct has no values.

    Arrow allows required fields there, writers of Parquet refuse them.
    """
    fields = [field.with_type(_below(field.type, field.nullable)) for field in schema]
    return pa.schema(fields, schema.metadata)


def _below(type_: pa.DataType, nullable: bool) -> pa.DataType:
    if not pa.types.is_struct(type_):
        return type_
    inner = [
        pa.field(
            field.name,
            _below(field.type, nullable or field.nullable),
            nullable or field.nullable,
            field.metadata,
        )
        for field in type_
    ]
    return pa.struct(inner)


def plain_type(type_: pa.DataType) -> pa.DataType:
    """The type in which text formats write a value: dates and times as ISO 8601, float16 as float32."""
    if pa.types.is_temporal(type_) and not pa.types.is_duration(type_):
        return pa.string()
    if pa.types.is_duration(type_):
        return pa.int64()
    if pa.types.is_decimal(type_):
        return pa.string()
    if pa.types.is_float16(type_):
        return pa.float32()
    if pa.types.is_dictionary(type_):
        return plain_type(type_.value_type)
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(plain_type(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(plain_type(type_.key_type), plain_type(type_.item_type))
    if _is_list(type_):
        item = type_.value_field
        return _list_like(type_, item.with_type(plain_type(item.type)))
    return type_


def plain(array: pa.Array) -> pa.Array:
    """The values in their `plain_type`."""
    target = plain_type(array.type)
    return array if target == array.type else array.cast(target)


def documents(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as JSON types."""
    columns = [_json_values(column) for column in batch.columns]
    names = batch.schema.names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def cells(array: pa.Array) -> pa.Array:
    """A column of CSV: numbers, booleans and text as they are, bytes as base64, lists and maps as JSON."""
    values = plain(array)
    if not (pa.types.is_nested(values.type) or _is_binary(values.type)):
        return values
    written = [_cell(value) for value in _json_values(values)]
    return pa.array(written, pa.string())


def cell_type(type_: pa.DataType) -> pa.DataType:
    """The type of `cells`."""
    target = plain_type(type_)
    return pa.string() if pa.types.is_nested(target) or _is_binary(target) else target


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):  # base64
        return value
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _json_values(array: pa.Array) -> list[Any]:
    values = plain(array).to_pylist()
    return values if _is_json(plain_type(array.type)) else [to_json(value) for value in values]


def _is_json(type_: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string)
    return any(test(type_) for test in tests)


def _is_binary(type_: pa.DataType) -> bool:
    tests = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_binary_view,
    )
    return any(test(type_) for test in tests)


def _is_list(type_: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(type_) for test in tests)


def _list_like(type_: pa.DataType, item: pa.Field) -> pa.DataType:
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(item, type_.list_size)
    return pa.large_list(item) if pa.types.is_large_list(type_) else pa.list_(item)
