"""One interface to the frames that the transformer accepts: pandas, polars, Arrow."""

import sys
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Column: TypeAlias = npt.NDArray[Any]


class Frame(Protocol):
    """Named columns of equal length."""

    names: list[Hashable]

    def column(self, name: Hashable) -> Column:
        """All values of a column without missing values."""
        ...

    def present(self, name: Hashable) -> npt.NDArray[np.bool_]:
        """Which rows have a value in this column; shape (rows,)."""
        ...

    def values(self, name: Hashable, rows: npt.NDArray[np.int64]) -> Column:
        """The values of these rows, none of which is missing."""
        ...

    def like(self, columns: Mapping[Hashable, Column | None], rows: int) -> Any:
        """A frame of the same library with these columns.

        None is a missing value, or a column of missing values. Columns of objects keep their types.
        """
        ...


def frame_of(data: Any) -> Frame:
    """The columns of a pandas or polars frame, an Arrow table, or anything that exports an Arrow stream.

    Raises:
        TypeError: `data` is none of these.
        ValueError: Two columns share a name.
    """
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    frame: Frame
    if pandas is not None and isinstance(data, pandas.DataFrame):
        frame = _PandasFrame(data)
    elif polars is not None and isinstance(data, polars.DataFrame):
        frame = _PolarsFrame(data)
    elif isinstance(data, pa.RecordBatch):
        frame = _ArrowFrame(pa.Table.from_batches([data]))
    elif hasattr(data, "__arrow_c_stream__"):
        frame = _ArrowFrame(pa.table(data))
    else:
        raise TypeError(
            f"{type(data).__name__} is not a frame; give a frame of pandas or polars, or an Arrow table"
        )
    twice = [name for name, count in Counter(frame.names).items() if count > 1]
    if twice:
        raise ValueError(f"columns {twice} exist more than once; rename them")
    return frame


class _PandasFrame:
    def __init__(self, frame: Any) -> None:
        self.names: list[Hashable] = list(frame.columns)
        self._columns = {name: _array(column) for name, column in frame.items()}

    def column(self, name: Hashable) -> Column:
        return _plain(self._columns[name])

    def present(self, name: Hashable) -> npt.NDArray[np.bool_]:
        import pandas

        column = self._columns[name]
        if (
            isinstance(column, np.ndarray) and column.dtype.kind == "f"
        ):  # the common case, in frames of many columns
            return ~np.isnan(column)
        return ~np.asarray(pandas.isna(column))

    def values(self, name: Hashable, rows: npt.NDArray[np.int64]) -> Column:
        return _plain(self._columns[name][rows])

    def like(self, columns: Mapping[Hashable, Column | None], rows: int) -> Any:
        import pandas

        # pandas would guess a type for columns of objects, possibly a different one for each chunk. They
        # share one array, since there may be many.
        index = pandas.RangeIndex(rows)
        numbers: dict[int, Any] = {}
        objects: dict[int, Column | None] = {}
        for place, values in enumerate(columns.values()):
            if values is None or values.dtype == object:
                objects[place] = values
            else:
                numbers[place] = pandas.Series(values, index, values.dtype)
        block = np.full((len(objects), rows), None, dtype=object)
        for row, values in zip(block, objects.values(), strict=True):
            if values is not None:
                row[:] = values
        places = np.array(list(objects), dtype=np.int64)
        wide = pandas.DataFrame(block.T, index, places, dtype=object, copy=False)
        frame = pandas.concat([pandas.DataFrame(numbers, index), wide], axis=1).sort_index(axis=1)
        frame.columns = list(columns)
        return frame


def _array(column: Any) -> Any:
    # Times keep their pandas type: as objects they become Timestamps, those of numpy plain numbers.
    plain = isinstance(column.dtype, np.dtype) and column.dtype.kind not in "mM"
    return column.to_numpy() if plain else column.array


def _plain(column: Any) -> Column:
    if isinstance(column, np.ndarray):
        return column
    values: Column = column.astype(object) if column.dtype.kind in "mM" else column.to_numpy()
    return values


class _ArrowFrame:
    def __init__(self, table: pa.Table) -> None:
        self._columns = dict(zip(table.column_names, table.columns, strict=True))
        self.names: list[Hashable] = table.column_names

    def column(self, name: Hashable) -> Column:
        values: Column = self._columns[name].to_numpy()
        return values

    def present(self, name: Hashable) -> npt.NDArray[np.bool_]:
        column = self._columns[name]
        if column.null_count == len(column):
            return np.zeros(len(column), dtype=bool)
        present: npt.NDArray[np.bool_] = pc.invert(pc.is_null(column, nan_is_null=True)).to_numpy()
        return present

    def values(self, name: Hashable, rows: npt.NDArray[np.int64]) -> Column:
        values: Column = self._columns[name].take(rows).to_numpy()
        return values

    def like(self, columns: Mapping[Hashable, Column | None], rows: int) -> Any:
        def typed(name: Hashable, values: Column | None) -> Any:
            type_ = self._columns[name].type
            if values is None:
                return pa.nulls(rows, type_)
            return pa.array(values, type_ if values.dtype == object else None)

        return pa.table({name: typed(name, values) for name, values in columns.items()})


class _PolarsFrame(_ArrowFrame):
    def __init__(self, frame: Any) -> None:
        super().__init__(frame.to_arrow())

    def like(self, columns: Mapping[Hashable, Column | None], rows: int) -> Any:
        import polars

        return polars.from_arrow(super().like(columns, rows))
