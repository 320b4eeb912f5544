"""JSON messages, with the columns of their JSON Schema or as text."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from mosaicolabs.ingest.containers import Channel

from ._decoder import ChannelDecoder, EncodingError, column_name

_TEXT = "json"
"""The column with the text of a message that the other columns do not contain completely."""

Convert = Callable[[Any], Any]


class _UnfitError(ValueError):
    """A value that its schema does not describe."""


def json_decoder(channel: Channel) -> ChannelDecoder:
    """Properties of the JSON Schema become columns, and `json` the text of messages that differ from it.

    Objects without properties, values of several types and references are JSON text in their columns.

    Raises:
        EncodingError: The schema is no JSON.
    """
    tag = channel.type_name or "json"
    columns = {column_name(name): (name, *_column(inner)) for name, inner in _properties(channel).items()}
    columns.pop(_TEXT, None)  # its value is part of the text
    schema = pa.schema([(column, arrow) for column, (_, arrow, _) in columns.items()])
    schema = schema.append(pa.field(_TEXT, pa.string()))

    def decode(raw: bytes) -> dict[str, Any]:
        text = raw.decode("utf-8")
        message = json.loads(text)
        if not isinstance(message, dict):
            return {_TEXT: text}
        values, complete = {}, True
        for column, (name, _, convert) in columns.items():
            try:
                values[column] = None if (value := message.pop(name, None)) is None else convert(value)
            except _UnfitError:
                complete = False
        if message or not complete:
            values[_TEXT] = text
        return values

    return ChannelDecoder(tag, schema, decode)


def _properties(channel: Channel) -> dict[str, Any]:
    if channel.schema_encoding != "jsonschema" or not channel.schema.strip():
        return {}
    try:
        document = json.loads(channel.schema)
    except ValueError as error:
        raise EncodingError(f"its JSON Schema cannot be read: {error}") from error
    found = document.get("properties") if isinstance(document, dict) else None
    return dict(found) if isinstance(found, dict) else {}


def _column(schema: Any) -> tuple[pa.DataType, Convert]:
    """The type of a column, and the function that checks and converts its values."""
    kind, schema = _kind(schema)
    if kind == "object" and isinstance(schema.get("properties"), Mapping) and schema["properties"]:
        return _struct(schema["properties"])
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        arrow, convert = _column(schema["items"])
        return pa.list_(arrow), lambda values: [
            None if value is None else convert(value) for value in _of(values, list)
        ]
    if kind == "string" and schema.get("contentEncoding") == "base64":
        return pa.binary(), _octets
    if kind == "string":
        return pa.string(), lambda value: _of(value, str)
    if kind == "boolean":
        return pa.bool_(), lambda value: _of(value, bool)
    if kind == "integer":
        return pa.int64(), _integer
    if kind == "number":
        return pa.float64(), _number
    return pa.string(), lambda value: json.dumps(value, ensure_ascii=False)


def _struct(properties: Mapping[str, Any]) -> tuple[pa.DataType, Convert]:
    fields = {name: _column(inner) for name, inner in properties.items()}

    def convert(value: Any) -> dict[str, Any]:
        if _of(value, dict).keys() - fields.keys():
            raise _UnfitError
        return {
            name: None if value.get(name) is None else inner(value[name])
            for name, (_, inner) in fields.items()
        }

    return pa.struct([pa.field(name, arrow) for name, (arrow, _) in fields.items()]), convert


def _kind(schema: Any) -> tuple[str, Mapping[str, Any]]:
    """The one type of a schema; `null` besides it makes no difference, since every column may be null."""
    if not isinstance(schema, Mapping):
        return "", {}
    kinds = schema.get("type")
    if isinstance(kinds, list):
        rest = [kind for kind in kinds if kind != "null"]
        kinds = rest[0] if len(rest) == 1 else ""
    return kinds if isinstance(kinds, str) else "", schema


def _of(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise _UnfitError
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise _UnfitError
    if not -(2**63) <= value < 2**63:
        raise _UnfitError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _UnfitError
    if isinstance(value, int) and abs(value) > 2**53:
        raise _UnfitError
    return float(value)


def _octets(value: Any) -> bytes:
    try:
        return base64.b64decode(_of(value, str), validate=True)
    except ValueError as error:
        raise _UnfitError from error
