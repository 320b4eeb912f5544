"""Values of annotated fields, converted to what is stored and back.

Only what the encoder and the decoder do not do themselves is converted: times, dicts, arrays, enumerations of
numbers. A field whose class declares another column than `_annotations` gives it is not converted.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from enum import Enum
from functools import cache, partial
from typing import Annotated, Any, TypeAlias, get_args, get_origin

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
import pydantic

from mosaicolabs.models._annotations import ENTRY, is_model, scalar_of, without_none

Convert: TypeAlias = Callable[[Any], Any] | None
"""Converts a value; None: it stays as it is."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


class UnstorableError(Exception):
    """A value that does not fit its column.

    Attributes:
        path: The field.
        reason: What is wrong.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"field `{path}` does not encode: {reason}")
        self.path = path
        self.reason = reason


def is_list(type_: pa.DataType) -> bool:
    """Whether a column is a list of any kind."""
    return bool(pt.is_list(type_) or pt.is_large_list(type_) or pt.is_fixed_size_list(type_))


def _is_entries(type_: pa.DataType) -> bool:
    item = type_.value_type if is_list(type_) else None
    return item is not None and pt.is_struct(item) and tuple(field.name for field in item) == ENTRY


def _plain(annotation: Any) -> Any:
    annotation = without_none(annotation)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _or_none(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)


# -- to what is stored -----------------------------------------------------------------------------


@cache
def storing(cls: type[pydantic.BaseModel], struct: pa.StructType) -> Convert:
    """Converts an object to a dict that the encoder takes; None if it takes the object itself."""
    needed: dict[str, Callable[[Any], Any]] = {}
    for column in struct:
        if column.name in cls.model_fields:
            convert = _storing_value(cls.model_fields[column.name].annotation, column.type)
            if convert is not None:
                needed[column.name] = partial(_or_none, convert)
    return partial(_stored_model, needed) if needed else None


def _storing_value(annotation: Any, type_: pa.DataType) -> Convert:
    annotation = _plain(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if is_list(type_):
        if origin is np.ndarray:
            return _stored_array
        if origin is dict and _is_entries(type_):
            return partial(
                _stored_dict, *map(_storing_value, args, (field.type for field in type_.value_type))
            )
        item = _storing_value(args[0], type_.value_type) if origin in (list, tuple) and args else None
        return item and partial(_stored_list, partial(_or_none, item))
    if is_model(annotation):
        return storing(annotation, type_) if pt.is_struct(type_) else None
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, Enum):
        return None if issubclass(annotation, int | str) else _stored_enum
    stored = _TIMES.get(annotation)
    return stored[0] if stored and stored[2](type_) else None


def _stored_model(needed: dict[str, Callable[[Any], Any]], value: Any) -> Any:
    if not isinstance(value, pydantic.BaseModel):
        return value
    stored = dict(value.__dict__)
    for name, convert in needed.items():
        try:
            stored[name] = convert(stored[name])
        except UnstorableError as error:
            raise UnstorableError(f"{name}.{error.path}", error.reason) from error.__cause__
        except (TypeError, ValueError, AttributeError) as error:
            raise UnstorableError(name, str(error)) from error
    return stored


def _stored_array(value: Any) -> Any:
    array = np.asarray(value)
    if array.ndim != 1:
        raise ValueError(f"an array of shape {array.shape}; columns are of shape (n,), give array.ravel()")
    return array.tolist()


def _stored_list(item: Callable[[Any], Any], values: Any) -> Any:
    return [item(value) for value in values]


def _stored_dict(key: Convert, value: Convert, entries: Any) -> Any:
    if not isinstance(entries, dict):
        return entries
    return [
        {"key": key(one) if key else one, "value": value(other) if value and other is not None else other}
        for one, other in entries.items()
    ]


def _stored_enum(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _stored_datetime(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError(
            f"{value!r} has no time zone; write datetime.now(timezone.utc), or value.astimezone()"
        )
    return (value - _EPOCH) // _MICROSECOND * 1000


def _stored_timedelta(value: Any) -> Any:
    return value // _MICROSECOND * 1000 if isinstance(value, timedelta) else value


def _stored_date(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


# -- to what was given -----------------------------------------------------------------------------


def restored_fields(
    cls: type[pydantic.BaseModel], struct: pa.StructType, values: dict[str, Any]
) -> dict[str, Any]:
    """The fields that the class validates, from those that are stored."""
    convert = restoring(cls, struct)
    return {
        **values,
        **{name: function(values[name]) for name, function in convert.items() if name in values},
    }


@cache
def restoring(cls: type[pydantic.BaseModel], struct: pa.StructType) -> dict[str, Callable[[Any], Any]]:
    """Converts the stored fields that validation would refuse or misunderstand."""
    needed: dict[str, Callable[[Any], Any]] = {}
    for column in struct:
        annotation = cls.model_fields[column.name].annotation if column.name in cls.model_fields else None
        convert = (
            restoring_value(annotation, column.type)
            if _is_beyond_validation(annotation, column.type)
            else None
        )
        if convert is not None:
            needed[column.name] = partial(_or_none, convert)
    return needed


@cache
def restoring_model(cls: type[pydantic.BaseModel], struct: pa.StructType) -> Callable[[Any], Any]:
    """Converts the stored fields of an object, a dict, to the validated object."""
    return partial(_restored_model, cls, struct)


def restoring_value(annotation: Any, type_: pa.DataType) -> Convert:
    """Converts a stored value that is not None; None: it stays as it is."""
    annotation = _plain(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if is_list(type_):
        if origin is np.ndarray:
            return partial(np.asarray, dtype=scalar_of(annotation))
        if origin is dict and _is_entries(type_):
            return partial(
                _restored_dict, *map(restoring_value, args, (field.type for field in type_.value_type))
            )
        if origin not in (list, tuple) or not args:
            return None
        item = restoring_value(args[0], type_.value_type)
        return None if item is None and origin is list else partial(_restored_list, origin, item)
    if is_model(annotation):
        return restoring_model(annotation, type_) if pt.is_struct(type_) else None
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, Enum):
        return annotation
    stored = _TIMES.get(annotation)
    return stored[1] if stored and stored[2](type_) else None


def _is_beyond_validation(annotation: Any, type_: pa.DataType) -> bool:
    annotation = _plain(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if is_list(type_):
        return (
            origin is np.ndarray
            or (origin is dict and _is_entries(type_))
            or (origin in (list, tuple) and bool(args) and _is_beyond_validation(args[0], type_.value_type))
        )
    if is_model(annotation):
        return pt.is_struct(type_) and bool(restoring(annotation, type_))
    return annotation in _TIMES and bool(_TIMES[annotation][2](type_))


def _restored_model(cls: type[pydantic.BaseModel], struct: pa.StructType, values: dict[str, Any]) -> Any:
    return cls.model_validate(restored_fields(cls, struct, values))


def _restored_list(make: Callable[[Any], Any], item: Convert, values: Any) -> Any:
    return make([None if value is None else item(value) for value in values] if item else values)


def _restored_dict(key: Convert, value: Convert, entries: Any) -> dict[Any, Any]:
    return {
        key(entry["key"]) if key else entry["key"]: (
            value(entry["value"]) if value and entry["value"] is not None else entry["value"]
        )
        for entry in entries
    }


def _restored_datetime(timestamp_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=timestamp_ns // 1000)


def _restored_timedelta(duration_ns: int) -> timedelta:
    return timedelta(microseconds=duration_ns // 1000)


_TIMES: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], bool]]] = {
    datetime: (_stored_datetime, _restored_datetime, pt.is_integer),
    timedelta: (_stored_timedelta, _restored_timedelta, pt.is_integer),
    date: (_stored_date, date.fromisoformat, pt.is_string),
}
"""To what is stored, back, and the columns for which that holds."""
