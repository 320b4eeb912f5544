"""Interleaves the rows of several topics by time into one wide table."""

from collections.abc import Iterator
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mosaicolabs.ml._topic_rows import TIME


class Merged:
    """Rows of several topics in time order; rows of equal time keep the order of the topics, then their own.

    Attributes:
        times: Times of all rows, ns, shape (rows,), ascending.
    """

    def __init__(self, topics: list[pa.Table]) -> None:
        """Each of `topics` is in time order."""
        times = np.concatenate([topic.column(TIME).to_numpy() for topic in topics])
        order = np.argsort(times, kind="stable")
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        ends = np.cumsum([topic.num_rows for topic in topics])
        self.times: npt.NDArray[np.int64] = times[order]
        self._spreads = [Spread(own, len(times)) for own in np.split(places, ends[:-1])]
        self._topics = topics

    def columns(self) -> "Iterator[tuple[str, Spread, pa.ChunkedArray]]":
        """All columns but the time: the name, the places of the values, the values."""
        for spread, topic in zip(self._spreads, self._topics, strict=True):
            for name, column in zip(topic.schema.names, topic.itercolumns(), strict=True):
                if name != TIME:
                    yield name, spread, column


class Spread:
    """The places of the rows of a topic among those of all topics.

    Attributes:
        places: Shape (rows of the topic,).
        rows: Number of all rows.
    """

    def __init__(self, places: npt.NDArray[np.int64], rows: int) -> None:
        self.places = places
        self.rows = rows

    def __call__(self, column: pa.ChunkedArray) -> Any:
        """A column of the topic as a column of all rows, with nulls in the others."""
        if len(self.places) == self.rows:
            return column
        type_ = column.type
        if column.null_count == 0 and (pa.types.is_floating(type_) or pa.types.is_integer(type_)):
            # Several times as fast as `take`, and the usual case for sensors.
            values = np.zeros(self.rows, dtype=type_.to_pandas_dtype())
            values[self.places] = column.to_numpy()
            return pa.Array.from_buffers(type_, self.rows, [self._validity, pa.py_buffer(values)])
        return column.combine_chunks().take(self._source)

    @cached_property
    def _validity(self) -> pa.Buffer:
        present = np.zeros(self.rows, dtype=bool)
        present[self.places] = True
        return pa.py_buffer(np.packbits(present, bitorder="little"))

    @cached_property
    def _source(self) -> pa.Array:
        source = np.zeros(self.rows, dtype=np.int64)
        source[self.places] = np.arange(len(self.places))
        return pa.Array.from_buffers(pa.int64(), self.rows, [self._validity, pa.py_buffer(source)])


def wide_table(merged: Merged) -> pa.Table:
    """The time, then the columns of each topic, null in the rows of the others."""
    nulls = cache(partial(pa.nulls, len(merged.times)))
    names, columns = [TIME], [pa.array(merged.times)]
    for name, spread, column in merged.columns():
        names.append(name)
        columns.append(spread(column) if column.null_count < len(column) else nulls(column.type))
    return pa.table(columns, names)
