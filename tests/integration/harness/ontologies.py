"""Values of any data class, generated from its Arrow struct, and their comparison."""

import math
import struct
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from pydantic import BaseModel

from mosaicolabs import Acceleration, Range, Serializable, Time, Velocity

TEXT = st.text(max_size=20) | st.sampled_from(["", "\x00", "größe", "🤖🛰", "e\u0301", "\u202e", "a" * 300])
BYTES = st.binary(max_size=40) | st.sampled_from([b"", b"\x00" * 100, bytes(range(256)) * 20])


def values(cls: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Any instance of a data class or of a part of one."""
    if cls is Time:
        return st.builds(Time, sec=_integers(64, True), nanosec=st.integers(0, 10**9 - 1))
    if cls is Range:
        return st.lists(_floats(32, finite=True), min_size=3, max_size=3).map(sorted).flatmap(_range)
    fields = {child.name: _optional(cls, child) for child in cls.__msco_pyarrow_struct__}
    made = st.fixed_dictionaries(fields)
    if cls in (Velocity, Acceleration):
        made = made.filter(lambda made: made["linear"] is not None or made["angular"] is not None)
    return made.map(lambda made: cls(**made))


def _range(sorted_values: list[float]) -> st.SearchStrategy[Range]:
    low, middle, high = sorted_values
    others = {
        child.name: _optional(Range, child)
        for child in Range.__msco_pyarrow_struct__
        if child.name not in ("min_range", "range", "max_range")
    }
    made = st.fixed_dictionaries(others)
    return made.map(lambda made: Range(min_range=low, range=middle, max_range=high, **made))


def _optional(cls: type[BaseModel], child: pa.Field) -> st.SearchStrategy[Any]:
    annotation, nullable = _without_none(cls.model_fields[child.name].annotation)
    value = _value(annotation, child.type)
    return st.none() | value if nullable else value


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    others = [argument for argument in get_args(annotation) if argument is not NoneType]
    assert len(others) == 1, f"{annotation} has no single type"
    return others[0], True


def _value(annotation: Any, type_: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_fixed_size_list(type_):
        item = _value(get_args(annotation)[0], type_.value_type)
        return st.lists(item, min_size=type_.list_size, max_size=type_.list_size)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return st.lists(_value(get_args(annotation)[0], type_.value_type), max_size=5)
    if pa.types.is_struct(type_):
        return values(annotation)
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    if pa.types.is_boolean(type_):
        return st.booleans()
    if pa.types.is_integer(type_):
        return _integers(type_.bit_width, pa.types.is_signed_integer(type_))
    if pa.types.is_floating(type_):
        return _floats(type_.bit_width)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return TEXT
    assert pa.types.is_binary(type_) or pa.types.is_large_binary(type_), f"no values for {type_}"
    return BYTES


def _integers(bits: int, signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high) | st.sampled_from([low, 0, high])


def _floats(bits: int, *, finite: bool = False) -> st.SearchStrategy[float]:
    if finite:
        return st.floats(allow_nan=False, allow_infinity=False, width=bits)
    return st.floats(width=bits) | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 0.0])


def same(left: Any, right: Any) -> bool:
    """Equality of type and value, where NaN equals NaN and -0.0 differs from 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, BaseModel):
        return all(same(value, getattr(right, field)) for field, value in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return struct.pack("d", left) == struct.pack("d", right) or (math.isnan(left) and math.isnan(right))
    return bool(left == right)


def rounded(value: float, bits: int) -> float:
    """The value as a column of that width keeps it."""
    return float({16: np.float16, 32: np.float32}[bits](value))


def shipped() -> list[type[Serializable]]:
    """Every data class of `models.data` and `models.sensors`."""
    classes = map(Serializable._get_class_type, Serializable._list_registered())
    packages = ("mosaicolabs.models.data.", "mosaicolabs.models.sensors.")
    return [cls for cls in classes if cls is not None and cls.__module__.startswith(packages)]
