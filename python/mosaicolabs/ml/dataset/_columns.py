"""Columns of record batches as one array of numbers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mosaicolabs.exceptions import InvalidInputError


def numbers(
    table: pa.Table, columns: Sequence[str], topic: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The columns side by side, and which rows have values in all of them.

    Args:
        table: Rows with nested columns.
        columns: Dotted paths.
        topic: For errors.

    Returns:
        Values of shape (rows, channels), zero where a row is not complete, and a mask of shape (rows,).

    Raises:
        InvalidInputError: A column does not contain numbers, or its lists differ in length.
    """
    present = np.ones(table.num_rows, np.bool_)
    arrays = [_leaf(table, path) for path in columns]
    for array in arrays:
        present &= array.is_valid().to_numpy(zero_copy_only=False)
    parts = [
        _values(array.filter(pa.array(present)), path, topic)
        for path, array in zip(columns, arrays, strict=True)
    ]
    found = np.zeros((table.num_rows, sum(part.shape[1] for part in parts)))
    found[present] = np.concatenate(parts, axis=1)
    return found, present


def _leaf(table: pa.Table, path: str) -> pa.Array:
    first, *names = path.split(".")
    array = table.column(first).combine_chunks()
    for name in names:
        # Null where any struct around it is null.
        array = pc.struct_field(array, name)
    return array


def _values(array: pa.Array, path: str, topic: str) -> npt.NDArray[np.float64]:
    type_ = array.type
    if pa.types.is_boolean(type_) or pa.types.is_integer(type_) or pa.types.is_floating(type_):
        return np.asarray(array.cast(pa.float64()), np.float64).reshape(-1, 1)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        lengths = pc.list_value_length(array).unique().to_pylist()
        if len(lengths) > 1:
            raise InvalidInputError(
                f"column {path!r} of {topic} has lists of {min(lengths)} to {max(lengths)} values; "
                "an array needs one length"
            )
        return _values(array.flatten(), path, topic).reshape(len(array), -1)
    raise InvalidInputError(f"column {path!r} of {topic} has the type {type_}; give columns with numbers")
