"""Conversions to data frames of pandas and polars, which are optional."""

from typing import Any

import pyarrow as pa

from mosaicolabs.helpers.optional_packages import import_optional


def to_pandas(table: pa.Table, *, time_index: bool = False) -> Any:
    """A pandas frame: fields of structs are columns with dotted names; with the times as index on request.

    Integers and booleans with nulls get pandas' nullable types, since floats cannot represent 64-bit times.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    pandas = _library("pandas")
    nullable = {
        pa.bool_(): pandas.BooleanDtype(),
        **{getattr(pa, name.lower())(): getattr(pandas, f"{name}Dtype")() for name in _INTEGERS},
    }
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    columns = {
        name: column.to_pandas(types_mapper=nullable.get if column.null_count else None)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    frame = pandas.DataFrame(columns)
    if time_index:
        frame.index = pandas.to_datetime(frame["timestamp_ns"].array, unit="ns", utc=True).rename("time")
    return frame


def to_polars(stream: Any) -> Any:
    """A polars frame of the rows of an Arrow stream.

    Raises:
        ModuleNotFoundError: polars is not installed.
    """
    return _library("polars").DataFrame(stream)


_INTEGERS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")


def _library(name: str) -> Any:
    return import_optional(name, f"to_{name}()")
