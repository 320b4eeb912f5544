"""Decodes raw messages to plain dicts, with the definitions of the bag or of the user."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rosbags.interfaces import MessageDefinitionFormat, Nodetype
from rosbags.interfaces.typing import Typesdict
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.ingest.containers import Channel
from mosaicolabs.ingest.encodings import EncodingError, decoder_of
from mosaicolabs.logging_config import get_logger

from ._bag import ROS_ENCODINGS, definition, ros_type
from ._generic import generic_tag, ros_schema
from ._text import decode_any_text
from .registry import ROSTypeRegistry, definition_text

Plain = Callable[[Any], Any]
Decode = Callable[[bytes], dict[str, Any]]

_logger = get_logger(__name__)
# ROS joins definitions of several types with this separator.
_SEPARATOR = "=" * 80 + "\n"


class UndecodableError(InvalidInputError):
    """A message, or all messages of a type, cannot be decoded."""


def given_types(store: Stores, custom_types: Mapping[str, str | Path]) -> Typestore:
    """Types for bags without definitions: of a distribution, of the registry, of the caller; later ones win.

    A definition that cannot be used is skipped, with a warning in the log.
    """
    typestore = get_typestore(store)
    for name, source in {**ROSTypeRegistry.get_types(store), **custom_types}.items():
        try:
            types = get_types_from_msg(definition_text(source), name)
            for replaced in types:
                typestore.fielddefs.pop(replaced, None)
            typestore.register(types)
        except Exception as error:  # files, and what the parser raises for broken text
            _logger.warning("definition of %s is skipped: %s", name, error)
    return typestore


class Decoders:
    """Decoders of the channels of one bag.

    Every definition has a type store of its own: types may change during a recording, and a broken
    definition affects only its own topics.
    """

    def __init__(self, given: Typestore) -> None:
        self._given = given
        self._stores: dict[Channel, Typestore] = {}

    def of(self, channel: Channel, *, octets_as_bytes: bool, constants: bool = True) -> Decode:
        """The function that decodes the messages of a channel, to fields and, if wanted, constants.

        Raises:
            UndecodableError: The type is unknown, or its definition is broken.
        """
        if channel.encoding not in ROS_ENCODINGS:
            try:
                return decoder_of(channel).decode
            except EncodingError as error:
                raise UndecodableError(str(error)) from error
        name = ros_type(channel)
        store = self._store(channel)
        try:
            octets = _octets if octets_as_bytes else _to_list
            plain = _plain_message(store, name, octets, constants=constants)
            store.get_msgdef(name)
        except Exception as error:
            raise UndecodableError(f"the definition of {name} is incomplete: {error!r}") from error
        deserialize = store.deserialize_ros1 if channel.encoding == "ros1" else store.deserialize_cdr
        return lambda raw: decode_any_text(lambda octets: plain(deserialize(octets, name)), raw)

    def columns(self, channel: Channel) -> tuple[str, pa.Schema]:
        """The ontology tag and the columns of a channel without a data class.

        Raises:
            UndecodableError: As for `of`, or a type has no column.
        """
        if channel.encoding not in ROS_ENCODINGS:
            try:
                decoder = decoder_of(channel)
            except EncodingError as error:
                raise UndecodableError(str(error)) from error
            return decoder.tag, decoder.schema
        self.of(channel, octets_as_bytes=True)
        name = ros_type(channel)
        try:
            return generic_tag(name), ros_schema(self._store(channel), name)
        except (ValueError, RecursionError) as error:
            raise UndecodableError(f"the definition of {name}: {error}") from error

    def _store(self, channel: Channel) -> Typestore:
        if channel not in self._stores:
            try:
                self._stores[channel] = self._embedded(channel)
            except UndecodableError as error:
                if ros_type(channel) not in self._given.fielddefs:
                    raise
                if definition(channel).format is not MessageDefinitionFormat.NONE:
                    _logger.warning("%s; using the given definition", error)
                self._stores[channel] = self._given
        return self._stores[channel]

    def _embedded(self, channel: Channel) -> Typestore:
        name, embedded = ros_type(channel), definition(channel)
        if embedded.format is MessageDefinitionFormat.NONE:
            raise UndecodableError(
                f"the bag has no definition of {name}; give the ROS distribution that recorded it, "
                "or register the definition"
            )
        store = get_typestore(Stores.EMPTY)
        is_idl = embedded.format is not MessageDefinitionFormat.MSG
        try:
            store.register(parse_definition(embedded.data, name, is_idl=is_idl))
            is_ros1 = channel.encoding == "ros1"
            digest = store.generate_msgdef(name)[1] if is_ros1 else store.hash_rihs01(name)
        except Exception as error:  # parsers raise many kinds for broken text
            raise UndecodableError(f"the bag's definition of {name} cannot be read: {error!r}") from error
        # Tools that do not know the type write `*`.
        if channel.digest not in ("", "*", digest):
            raise UndecodableError(
                f"the bag's definition of {name} differs from that of its publisher: checksums "
                f"{digest} and {channel.digest}"
            )
        return store


def parse_definition(text: str, name: str, *, is_idl: bool) -> Typesdict:
    """The type and those that it contains, from a definition of `.msg` or IDL.

    Raises:
        Exception: Of many kinds, for broken text.
    """
    if not is_idl:
        return get_types_from_msg(text, name)
    types: Typesdict = {}
    for part in text.split(_SEPARATOR):
        head, _, rest = part.partition("\n")
        text = rest if head.startswith("IDL: ") else part
        if text.strip():
            types.update(get_types_from_idl(text))
    return types


def _plain_message(store: Typestore, name: str, octets: Plain, *, constants: bool) -> Plain:
    """A function that converts an object of rosbags to a dict of its fields and constants."""
    defined, fields = store.fielddefs[name]
    template = {constant: value for constant, _, value in defined} if constants else {}
    plan = [
        (field, normalize_fieldname(field), _plain_field(store, desc, octets, constants=constants))
        for field, desc in fields
    ]

    def plain(message: Any) -> dict[str, Any]:
        values = template.copy()
        for field, attribute, convert in plan:
            value = getattr(message, attribute)
            values[field] = value if convert is None else convert(value)
        return values

    return plain


def _plain_field(store: Typestore, desc: Any, octets: Plain, *, constants: bool) -> Plain | None:
    """A function that converts a field; None: it needs no conversion."""
    kind, detail = desc
    if kind == Nodetype.BASE:
        return None
    if kind == Nodetype.NAME:
        return _plain_message(store, detail, octets, constants=constants)
    (item_kind, item), _ = detail
    if item_kind == Nodetype.NAME:
        convert = _plain_message(store, item, octets, constants=constants)
        return lambda values: [convert(value) for value in values]
    return octets if item[0] == "uint8" else _to_list


def _to_list(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _octets(values: Any) -> bytes:
    return bytes(values)
