"""Rows of several topics as the rows of one wide table."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mosaicolabs.ml._topic_rows import TIME


def merge_topics(tables: list[pa.Table]) -> pa.Table:
    """One row per row of a topic, in time order; the columns of the other topics are null there.

    Rows of one time keep the order of the tables, then that inside a table.
    """
    times = np.concatenate([table.column(TIME).to_numpy() for table in tables])
    order = np.argsort(times, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    columns = [pa.array(times[order])]
    names = [TIME]
    first = 0
    for table in tables:
        own = place[first : first + table.num_rows]
        first += table.num_rows
        spread = _Spread(own, len(times))
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name != TIME:
                names.append(name)
                columns.append(spread(column))
    return pa.table(columns, names)


class _Spread:
    """Puts the values of a topic's rows to their places among the rows of all; nulls between."""

    def __init__(self, places: npt.NDArray[np.int64], rows: int) -> None:
        self._places = places
        self._rows = rows
        self._absent = np.ones(rows, dtype=bool)
        self._absent[places] = False
        source = np.zeros(rows, dtype=np.int64)
        source[places] = np.arange(len(places))
        self._source = pa.array(source, mask=self._absent)

    def __call__(self, column: pa.ChunkedArray) -> Any:
        if len(column) == self._rows:
            return column
        if column.null_count == len(column):
            return pa.nulls(self._rows, column.type)
        if column.null_count == 0 and pa.types.is_floating(column.type):
            # Several times as fast as `take`, and most columns of sensors are of this kind.
            values = np.zeros(self._rows, dtype=column.type.to_pandas_dtype())
            values[self._places] = column.to_numpy()
            return pa.array(values, mask=self._absent)
        return column.combine_chunks().take(self._source)
