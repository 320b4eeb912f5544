"""Converts merged rows to frames of pandas, which is optional."""

from collections import defaultdict
from collections.abc import Iterator
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from mosaicolabs.helpers.optional_packages import import_optional
from mosaicolabs.ml._topic_rows import TIME
from mosaicolabs.ml._wide_table import Merged, Spread

Block: TypeAlias = tuple[Any, list[int]]
"""Columns of one type and their positions: an array of shape (columns, rows), or one pandas column."""

Column: TypeAlias = tuple[int, Spread, pa.ChunkedArray]
"""Position in the frame, places of the values, values."""

_NULLABLE = (pa.int64(), pa.uint64(), pa.bool_())


def import_pandas() -> ModuleType:
    """The module pandas.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    return import_optional("pandas", "a frame")


def wide_frame(merged: Merged) -> Any:
    """The frame of a wide table: NaN for missing numbers, unless that would lose digits.

    64-bit integers and booleans get the nullable types of pandas, lists and bytes stay objects.
    """
    # One array for all columns of a type: with hundreds of columns, the work per column dominates.
    rows = len(merged.times)
    names = [TIME]
    blocks: list[Block] = [(merged.times.reshape(1, rows), [0])]
    numbers: defaultdict[np.dtype[Any], list[Column]] = defaultdict(list)
    others: list[Column] = []
    for at, (name, spread, column) in enumerate(merged.columns(), 1):
        names.append(name)
        type_ = column.type
        if type_ in _NULLABLE:
            blocks.append((_nullable(column, spread), [at]))
        elif pa.types.is_floating(type_) or pa.types.is_integer(type_):
            numbers[_with_nan(spread, column)].append((at, spread, column))
        else:
            others.append((at, spread, column))
    blocks += [_numbers(dtype, columns, rows) for dtype, columns in numbers.items()]
    blocks += _others(others, rows)
    return _frame(blocks, names)


def _with_nan(spread: Spread, column: pa.ChunkedArray) -> np.dtype[Any]:
    complete = len(spread.places) == spread.rows and column.null_count == 0
    dtype = np.dtype(column.type.to_pandas_dtype())
    return dtype if complete or dtype.kind == "f" else np.dtype(np.float64)


def _numbers(dtype: np.dtype[Any], columns: list[Column], rows: int) -> Block:
    block = np.full((len(columns), rows), np.nan if dtype.kind == "f" else 0, dtype)
    for values, (_, spread, column) in zip(block, columns, strict=True):
        if column.null_count < len(column):
            values[spread.places] = column.to_numpy()
    return block, [at for at, _, _ in columns]


def _nullable(column: pa.ChunkedArray, spread: Spread) -> Any:
    pandas = import_pandas()
    flags = pa.types.is_boolean(column.type)
    values = np.zeros(spread.rows, column.type.to_pandas_dtype())
    missing = np.ones(spread.rows, dtype=bool)
    if column.null_count < len(column):
        values[spread.places] = column.fill_null(False if flags else 0).to_numpy()
        missing[spread.places] = column.is_null().to_numpy()
    return (pandas.arrays.BooleanArray if flags else pandas.arrays.IntegerArray)(values, missing)


def _others(columns: list[Column], rows: int) -> Iterator[Block]:
    """Strings, bytes, lists and other types, as Arrow converts them."""
    sources: dict[int | pa.DataType, Any] = {}
    source_of: dict[int, int | pa.DataType] = {}
    for at, spread, column in columns:
        empty = column.null_count == len(column)
        source_of[at] = column.type if empty else at  # columns of nulls are converted once per type
        if source_of[at] not in sources:
            sources[source_of[at]] = pa.nulls(rows, column.type) if empty else spread(column)
    table = pa.table(list(sources.values()), list(map(str, range(len(sources)))))
    series = (column for _, column in table.to_pandas(use_threads=False).items())
    converted = {
        source: column.to_numpy() if column.dtype == object else column.array
        for source, column in zip(sources, series, strict=True)
    }
    objects: dict[int, Any] = {}
    for at, source in source_of.items():
        if isinstance(converted[source], np.ndarray):
            objects[at] = converted[source]
        else:
            yield converted[source].copy(), [at]
    if objects:
        yield np.stack(list(objects.values())), list(objects)


def _frame(blocks: list[Block], names: list[str]) -> Any:
    pandas = import_pandas()
    if int(pandas.__version__.partition(".")[0]) < 3:
        return _joined(blocks, names)
    from pandas.api.internals import create_dataframe_from_blocks

    placed = [(values, np.array(at)) for values, at in blocks]
    index = pandas.RangeIndex(blocks[0][0].shape[-1])
    return create_dataframe_from_blocks(placed, index, pandas.Index(names))


def _joined(blocks: list[Block], names: list[str]) -> Any:
    """The frame by the means of pandas 2, several times slower."""
    pandas = import_pandas()
    pieces = [
        pandas.DataFrame(values.T if values.ndim > 1 else {at[0]: values}, columns=at, copy=False)
        for values, at in blocks
    ]
    frame = pandas.concat(pieces, axis=1).sort_index(axis=1)
    frame.columns = names
    return frame
