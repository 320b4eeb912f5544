"""What the transformer needs of a frame, for each kind of frame that it takes."""

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
    rows: int

    def column(self, name: Hashable) -> Column:
        """All values of a column that has no missing ones."""
        ...

    def samples(self, name: Hashable) -> tuple[npt.NDArray[np.bool_], Column]:
        """Which rows have a value in this column, and these values."""
        ...

    def like(self, columns: Mapping[Hashable, Column]) -> Any:
        """A frame of the same kind; None is missing, columns of objects keep the types that they had."""
        ...


def frame_of(data: Any) -> Frame:
    """The columns of a pandas or polars frame, an Arrow table, or anything that exports an Arrow stream.

    Raises:
        TypeError: It is none of these.
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
        raise TypeError(f"{type(data).__name__} is no frame; give one of pandas or polars, or an Arrow table")
    twice = [name for name, count in Counter(frame.names).items() if count > 1]
    if twice:
        raise ValueError(f"columns {twice} are there more than once; rename them")
    return frame


class _PandasFrame:
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names: list[Hashable] = list(frame.columns)
        self.rows = len(frame)

    def column(self, name: Hashable) -> Column:
        return _plain(self._frame[name])

    def samples(self, name: Hashable) -> tuple[npt.NDArray[np.bool_], Column]:
        column = self._frame[name]
        if column.dtype.kind == "f" and isinstance(column.dtype, np.dtype):  # most are, and there are many
            values = column.to_numpy()
            present = ~np.isnan(values)
            return present, values[present]
        present = column.notna().to_numpy()
        return present, _plain(column[present])

    def like(self, columns: Mapping[Hashable, Column]) -> Any:
        import pandas

        # pandas would guess a type for columns of objects, another one for each chunk. One index for all of
        # them needs no alignment.
        index = pandas.RangeIndex(len(next(iter(columns.values()))))
        series = {name: pandas.Series(values, index, values.dtype) for name, values in columns.items()}
        return pandas.DataFrame(series, index)


def _plain(column: Any) -> Column:
    # Times of pandas as its Timestamps: as objects of numpy they would be bare numbers.
    values: Column = (column.astype(object) if column.dtype.kind in "mM" else column).to_numpy()
    return values


class _ArrowFrame:
    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.names: list[Hashable] = list(table.column_names)
        self.rows: int = table.num_rows

    def column(self, name: Hashable) -> Column:
        values: Column = self._table.column(name).to_numpy()
        return values

    def samples(self, name: Hashable) -> tuple[npt.NDArray[np.bool_], Column]:
        column = self._table.column(name)
        present = pc.invert(pc.is_null(column, nan_is_null=True))
        return present.to_numpy(), column.filter(present).to_numpy()

    def like(self, columns: Mapping[Hashable, Column]) -> Any:
        types = {field.name: field.type for field in self._table.schema}
        return pa.table(
            {
                name: pa.array(values, types[name] if values.dtype == object else None)
                for name, values in columns.items()
            }
        )


class _PolarsFrame(_ArrowFrame):
    def __init__(self, frame: Any) -> None:
        super().__init__(frame.to_arrow())

    def like(self, columns: Mapping[Hashable, Column]) -> Any:
        import polars

        return polars.from_arrow(super().like(columns))
