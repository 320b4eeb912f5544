"""Columns given by users as Arrow data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from mosaicolabs.exceptions import InvalidInputError


def record_batch(columns: Mapping[str, Any]) -> pa.RecordBatch:
    """One batch of the columns.

    Args:
        columns: Arrays by column name, each of shape (rows,) or (rows, n, ...); the latter become lists.

    Raises:
        InvalidInputError: Arrow cannot represent a column, or the columns differ in length.
    """
    arrays = {name: _array(name, values) for name, values in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidInputError(f"the columns differ in length: {lengths}")
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def _array(name: str, values: Any) -> pa.Array:
    try:
        if isinstance(values, np.ndarray) and values.ndim != 1:
            return _rows(values)
        if isinstance(getattr(values, "dtype", None), np.dtype) and not isinstance(values, np.ndarray):
            # pandas would export NaN as null.
            values = np.asarray(values)
        if hasattr(values, "__arrow_c_stream__"):
            array = pa.chunked_array(values)
        else:
            array = pa.array(values, from_pandas=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"column `{name}` cannot be built from {type(values).__name__}: {error}"
        ) from error
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _rows(values: np.ndarray[Any, Any]) -> pa.Array:
    """An array of more than one dimension as lists of equal length."""
    if values.ndim == 0:
        raise ValueError("it is a single value; give one value per row")
    if 0 in values.shape[1:]:
        raise ValueError(f"its shape {values.shape} has no values per row")
    array = pa.array(values.reshape(-1))
    for size in reversed(values.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def table(columns: Any) -> pa.Table:
    """A table of the Arrow columns of any library.

    Sliced nested columns are copied, since arrow-rs cannot import them.

    Raises:
        InvalidInputError: The columns cannot be read.
    """
    try:
        given = pa.table(columns)
    except (pa.ArrowException, TypeError, ValueError, OSError) as error:
        raise InvalidInputError(f"the columns of {type(columns).__name__} cannot be read: {error}") from error
    arrays = [pa.chunked_array(map(_unsliced, column.chunks), column.type) for column in given.columns]
    return pa.Table.from_arrays(arrays, schema=given.schema)


def _unsliced(array: pa.Array) -> pa.Array:
    return array.take(np.arange(len(array))) if _is_sliced(array) else array


def _is_sliced(array: pa.Array) -> bool:
    if isinstance(array, pa.StructArray):
        fields = range(array.type.num_fields)
        return array.offset > 0 or any(_is_sliced(array.field(index)) for index in fields)
    is_list = isinstance(array, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray)
    return is_list and (array.offset > 0 or _is_sliced(array.values))
