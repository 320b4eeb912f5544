"""Protobuf messages, with the columns of their descriptors."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from mosaicolabs.ingest.containers import Channel

from ._decoder import ChannelDecoder, EncodingError, column_name

Convert = Callable[[Any], Any]


def protobuf_decoder(channel: Channel) -> ChannelDecoder:
    """Fields become columns of the same names.

    Enums are the names of their values, maps lists of `key` and `value`, fields with presence null if they
    are not set. A message that contains itself is `binary`: its encoded bytes.

    Raises:
        EncodingError: The descriptors are broken, or the package protobuf is missing.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise EncodingError("decoding needs the package protobuf: pip install protobuf") from error
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(channel.schema)
        pool = descriptor_pool.DescriptorPool()
        _add(pool, {file.name: file for file in files.file})
        descriptor = pool.FindMessageTypeByName(channel.type_name)
        message_class = message_factory.GetMessageClass(descriptor)
    except Exception as error:  # the library raises many kinds for broken descriptors
        raise EncodingError(f"its protobuf descriptors cannot be read: {error}") from error
    struct, convert = _message(descriptor, ())
    names = {field.name: column_name(field.name) for field in struct}
    schema = pa.schema([field.with_name(names[field.name]) for field in struct])
    if not len(schema):
        raise EncodingError("its messages have no fields")

    def decode(raw: bytes) -> dict[str, Any]:
        values: dict[str, Any] = convert(message_class.FromString(raw))
        return {names[name]: value for name, value in values.items()}

    return ChannelDecoder(channel.type_name, schema, decode)


def _add(pool: Any, files: dict[str, Any]) -> None:
    """Adds files after those that they import."""
    added: set[str] = set()

    def add(name: str) -> None:
        if name in added or name not in files:
            return
        added.add(name)
        for dependency in files[name].dependency:
            add(dependency)
        pool.Add(files[name])

    for name in files:
        add(name)


def _message(descriptor: Any, within: tuple[str, ...]) -> tuple[pa.StructType, Convert]:
    """The struct of a message type, and the function that converts a message to a dict."""
    within = (*within, descriptor.full_name)
    fields, plan = [], []
    for field in descriptor.fields:
        arrow, convert = _field(field, within)
        fields.append(pa.field(field.name, arrow))
        plan.append((field.name, field.has_presence, convert))

    def to_dict(message: Any) -> dict[str, Any]:
        return {
            name: None if presence and not message.HasField(name) else convert(getattr(message, name))
            for name, presence, convert in plan
        }

    return pa.struct(fields), to_dict


def _field(field: Any, within: tuple[str, ...]) -> tuple[pa.DataType, Convert]:
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    if is_map:
        return _map(field.message_type, within)
    arrow, convert = _single(field, within)
    if not field.is_repeated:
        return arrow, convert
    return pa.list_(arrow), lambda values: [convert(value) for value in values]


def _map(entry: Any, within: tuple[str, ...]) -> tuple[pa.DataType, Convert]:
    key_type, key = _single(entry.fields_by_name["key"], within)
    value_type, value = _single(entry.fields_by_name["value"], within)
    struct = pa.struct([pa.field("key", key_type), pa.field("value", value_type)])

    def convert(items: Any) -> list[dict[str, Any]]:
        return [{"key": key(name), "value": value(items[name])} for name in sorted(items)]

    return pa.list_(struct), convert


def _single(field: Any, within: tuple[str, ...]) -> tuple[pa.DataType, Convert]:
    if field.message_type is not None:
        if field.message_type.full_name in within or not field.message_type.fields:
            return pa.binary(), lambda message: message.SerializeToString()
        return _message(field.message_type, within)
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return pa.string(), lambda number: names.get(number, str(number))
    types = {
        field.CPPTYPE_INT32: pa.int32(),
        field.CPPTYPE_INT64: pa.int64(),
        field.CPPTYPE_UINT32: pa.uint32(),
        field.CPPTYPE_UINT64: pa.uint64(),
        field.CPPTYPE_DOUBLE: pa.float64(),
        field.CPPTYPE_FLOAT: pa.float32(),
        field.CPPTYPE_BOOL: pa.bool_(),
    }
    arrow = types.get(field.cpp_type)
    if arrow is None:
        arrow = pa.binary() if field.type == field.TYPE_BYTES else pa.string()
    return arrow, lambda value: value
