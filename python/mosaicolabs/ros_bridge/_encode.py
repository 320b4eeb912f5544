"""Encodes plain dicts as raw messages: the reverse of `_decode`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.base import normalize_fieldname
from rosbags.typesys.store import Typestore

_OPTIONAL = frozenset({"seq", "variance"})
"""Fields that some distributions have; elsewhere they have no place."""

Make = Callable[[Any], Any]


def encoder(store: Typestore, name: str, *, is_ros1: bool) -> Callable[[dict[str, Any]], bytes]:
    """The function that encodes the fields of messages of a type.

    Fields that a dict lacks, or that are None, are zero or empty. Names of fields match in either case: ROS 1
    names some in upper case.

    Raises:
        KeyError: The type is unknown.
    """
    make = _message(store, name)
    serialize = store.serialize_ros1 if is_ros1 else store.serialize_cdr
    return lambda fields: bytes(serialize(make(fields), name))


def _message(store: Typestore, name: str) -> Make:
    """A function that makes an object of rosbags from its fields."""
    made = store.types[name]
    plan = {
        field.lower(): (normalize_fieldname(field), _field(store, f"{name}.{field}", desc))
        for field, desc in store.fielddefs[name][1]
    }

    def make(fields: dict[str, Any] | None) -> Any:
        given = {key.lower(): value for key, value in (fields or {}).items()}
        values = {attribute: convert(given.pop(key, None)) for key, (attribute, convert) in plan.items()}
        if unknown := given.keys() - _OPTIONAL:
            raise ValueError(f"{name} has no fields {', '.join(sorted(unknown))}; it has: {', '.join(plan)}")
        return made(**values)

    return make


def _field(store: Typestore, path: str, desc: Any) -> Make:
    """A function that makes the value of a field."""
    kind, detail = desc
    if kind == Nodetype.NAME:
        return _message(store, detail)
    if kind == Nodetype.BASE:
        return _base(path, detail[0])
    (item_kind, item), size = detail
    length = size if kind == Nodetype.ARRAY else None
    if item_kind == Nodetype.NAME:
        make = _message(store, item)
        return lambda values: _sized(path, [make(value) for value in values or ()], length)
    if item[0] == "string":
        return lambda values: _sized(path, list(values or ()), length)
    return _numbers(path, np.dtype(item[0]), length)


def _base(path: str, name: str) -> Make:
    if name == "string":
        return lambda value: "" if value is None else value
    if name == "bool":
        return bool
    if name in ("float32", "float64"):
        return lambda value: 0.0 if value is None else float(value)
    limits = np.iinfo(name)

    def whole(value: Any) -> int:
        number = 0 if value is None else int(value)
        if not limits.min <= number <= limits.max:
            raise ValueError(f"{path}: {number} does not fit into {name}")
        return number

    return whole


def _numbers(path: str, dtype: "np.dtype[Any]", length: int | None) -> Make:
    def make(values: Any) -> Any:
        if values is None:
            return np.zeros(length or 0, dtype)
        if isinstance(values, bytes):
            return _sized(path, np.frombuffer(values, dtype), length)
        return _sized(path, np.array(values, dtype), length)

    return make


def _sized(path: str, values: Any, length: int | None) -> Any:
    if length is not None and len(values) != length:
        raise ValueError(f"{path} has {length} values, not {len(values)}")
    return values
