"""Arrow columns of annotated fields.

| Annotation | Column |
| --- | --- |
| `bool`, `int`, `float`, `str`, `bytes` | bool, int64, float64, string, binary |
| `datetime`, `timedelta` | int64, ns; a datetime since the Unix epoch |
| `date` | string, ISO 8601 |
| `Enum`, `Literal` | string or int64, by its values |
| `list[T]`, `tuple[T, ...]`, `NDArray[np.float32]` | list |
| `tuple[T, T, T]` | list of fixed size |
| `dict[K, V]` | list of structs of `key` and `value` |
| a pydantic class | struct |

`Optional` makes a column nullable. `Annotated[float, pa.float32()]` names the Arrow type.
"""

import types
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

import numpy as np
import pyarrow as pa
import pydantic

from mosaicolabs.models._arrow import column

_SCALARS: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    datetime: pa.int64(),
    timedelta: pa.int64(),
    date: pa.string(),
}
ENTRY = ("key", "value")
"""Columns of the entries of a dict."""


def columns_of(cls: type[pydantic.BaseModel], names: Iterable[str]) -> list[pa.Field]:
    """The columns of these fields of a class.

    Raises:
        TypeError: An annotation has no Arrow type.
    """
    return [_column_of(cls, name, (cls,)) for name in names]


def _column_of(cls: type[pydantic.BaseModel], name: str, inside: tuple[type, ...]) -> pa.Field:
    field = cls.model_fields[name]
    given = next((extra for extra in field.metadata if isinstance(extra, pa.DataType)), None)
    try:
        type_ = given or _type_of(field.annotation, inside)
    except _UnsupportedError as error:
        raise TypeError(
            f"field '{name}' of '{cls.__name__}' has the type {error}, which has no Arrow type; use bool, "
            "int, float, str, bytes, datetime, date, timedelta, Enum, list, tuple, dict, NDArray, Optional, "
            "a pydantic class, Annotated[..., pyarrow type], or set __msco_pyarrow_struct__"
        ) from None
    required = without_none(field.annotation) is field.annotation
    return column(name, type_, field.description or "", required=required)


class _UnsupportedError(Exception):
    """Names an annotation without an Arrow type."""


def _type_of(annotation: Any, inside: tuple[type, ...]) -> pa.DataType:
    annotation = without_none(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return next((arg for arg in args if isinstance(arg, pa.DataType)), None) or _type_of(args[0], inside)
    if origin is Literal:
        return _type_of_values(annotation, args)
    if origin is np.ndarray:
        return pa.list_(_dtype_of(annotation))
    if origin is list and args:
        return pa.list_(_type_of(args[0], inside))
    if origin is tuple and args:
        return pa.list_(_type_of(args[0], inside), _tuple_size(annotation))
    if origin is dict and args:
        entry = [pa.field(name, _type_of(arg, inside)) for name, arg in zip(ENTRY, args, strict=True)]
        return pa.list_(pa.struct(entry))
    if not isinstance(annotation, type):
        raise _UnsupportedError(str(annotation))
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if issubclass(annotation, Enum):
        return _type_of_values(annotation, [member.value for member in annotation])
    if is_model(annotation):
        return _struct_of(annotation, inside)
    raise _UnsupportedError(annotation.__name__)


def _type_of_values(annotation: Any, values: Iterable[Any]) -> pa.DataType:
    kinds = {next((kind for kind in (bool, int, str) if isinstance(value, kind)), None) for value in values}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind not in (int, str):
        raise _UnsupportedError(f"{annotation} (its values are neither all int nor all str)")
    return _SCALARS[kind]


def _tuple_size(annotation: Any) -> int:
    """Number of items of a tuple; -1 if any."""
    args = get_args(annotation)
    if len(args) == 2 and args[1] is Ellipsis:
        return -1
    if len(set(args)) > 1:
        raise _UnsupportedError(f"{annotation} (items of several types)")
    return len(args)


def _dtype_of(annotation: Any) -> pa.DataType:
    try:
        dtype = np.dtype(scalar_of(annotation))
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise _UnsupportedError("NDArray (its items are no numbers of a certain type)")
    return pa.from_numpy_dtype(dtype)


def scalar_of(annotation: Any) -> Any:
    """`np.float32` of `NDArray[np.float32]`."""
    return get_args(get_args(annotation)[1])[0]


def _struct_of(cls: type[pydantic.BaseModel], inside: tuple[type, ...]) -> pa.StructType:
    known = getattr(cls, "__msco_pyarrow_struct__", None)
    if isinstance(known, pa.StructType):
        return known
    if cls in inside:
        raise _UnsupportedError(f"{cls.__name__} (it contains itself)")
    if not cls.__pydantic_complete__:
        cls.model_rebuild()
    return pa.struct([_column_of(cls, name, (*inside, cls)) for name in cls.model_fields])


def without_none(annotation: Any) -> Any:
    """`T` of `T | None`; any other annotation unchanged."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    others = [arg for arg in get_args(annotation) if arg is not type(None)]
    return others[0] if len(others) == 1 else annotation


def is_model(annotation: Any) -> TypeGuard[type[pydantic.BaseModel]]:
    """Whether an annotation is a pydantic class."""
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
