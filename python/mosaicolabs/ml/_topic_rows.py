"""The rows of one topic, flattened and cut at given times."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

TIME = "timestamp_ns"
LAST_NS = 2**63 - 1


class TopicRows:
    """Reads the batches of a topic one by one and cuts them at given times.

    Holds at most one batch beyond the last cut.
    """

    def __init__(self, prefix: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        """`batches` are in time order; `prefix` precedes the names of all columns but the time."""
        self._schema = pa.schema(
            (path if path == TIME else f"{prefix}.{path}", _wide(type_)) for path, type_ in _leaves(schema)
        )
        self._batches = batches
        self._rest = pa.RecordBatch.from_pylist([], self._schema)

    def until(self, end_ns: int) -> pa.Table:
        """The next rows with `timestamp_ns < end_ns`, in time order."""
        parts = []
        while self._fill():
            times = self._rest.column(TIME).to_numpy()
            count = len(times) if end_ns > LAST_NS else int(np.searchsorted(times, np.int64(end_ns)))
            parts.append(self._rest.slice(0, count))
            self._rest = self._rest.slice(count)
            if count < len(times):
                break
        return pa.Table.from_batches(parts, self._schema)

    def next_time(self) -> int | None:
        """Time of the next row, ns; None at the end."""
        return self._rest.column(TIME)[0].as_py() if self._fill() else None

    def _fill(self) -> bool:
        while self._rest.num_rows == 0:
            batch = next(self._batches, None)
            if batch is None:
                return False
            self._rest = self._flat(batch)
        return True

    def _flat(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [
            column if column.type == type_ else column.cast(type_)
            for column, type_ in zip(_flattened(batch.columns), self._schema.types, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _leaves(fields: Iterable[pa.Field], above: str = "") -> Iterator[tuple[str, pa.DataType]]:
    for field in fields:
        if pa.types.is_struct(field.type):
            yield from _leaves(field.type, f"{above}{field.name}.")
        else:
            yield f"{above}{field.name}", field.type


def _flattened(columns: Iterable[pa.Array]) -> Iterator[pa.Array]:
    for column in columns:
        if isinstance(column, pa.StructArray):
            yield from _flattened(column.flatten())
        else:
            yield column


def _wide(type_: pa.DataType) -> pa.DataType:
    """The type whose offsets cannot overflow when batches are joined; views and dictionaries are decoded."""
    if pa.types.is_dictionary(type_):
        return _wide(type_.value_type)
    if pa.types.is_string(type_) or pa.types.is_string_view(type_):
        return pa.large_string()
    if pa.types.is_binary(type_) or pa.types.is_binary_view(type_):
        return pa.large_binary()
    if pa.types.is_list(type_):
        return pa.large_list(type_.value_field)
    return type_
