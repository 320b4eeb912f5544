"""The rows of one topic, flattened and handed out up to a time."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

TIME = "timestamp_ns"
LAST_NS = 2**63 - 1


class TopicRows:
    """Takes the batches of a topic one by one and cuts them at given times.

    Not more than one batch lies beyond the last cut.
    """

    def __init__(self, prefix: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        """`batches` come in time order; `prefix` goes before the names of all columns but the time's."""
        self._prefix = prefix
        self._batches = batches
        self._empty = self._flat(schema.empty_table())
        self._rest = self._empty

    def until(self, end_ns: int) -> pa.Table:
        """The next rows with `timestamp_ns < end_ns`, in time order."""
        parts = [self._empty]
        while self._fill():
            times = self._rest.column(TIME).to_numpy()
            count = len(times) if end_ns > LAST_NS else int(np.searchsorted(times, np.int64(end_ns)))
            parts.append(self._rest.slice(0, count))
            self._rest = self._rest.slice(count)
            if count < len(times):
                break
        return pa.concat_tables(parts)

    def next_time(self) -> int | None:
        """Time of the next row, ns; None at the end."""
        return self._rest.column(TIME)[0].as_py() if self._fill() else None

    def _fill(self) -> bool:
        while self._rest.num_rows == 0:
            batch = next(self._batches, None)
            if batch is None:
                return False
            self._rest = self._flat(pa.Table.from_batches([batch]))
        return True

    def _flat(self, table: pa.Table) -> pa.Table:
        while any(pa.types.is_struct(field.type) for field in table.schema):
            table = table.flatten()
        fields = [pa.field(self._name(field.name), _wide(field.type)) for field in table.schema]
        return table.rename_columns([field.name for field in fields]).cast(pa.schema(fields))

    def _name(self, path: str) -> str:
        return path if path == TIME else f"{self._prefix}.{path}"


def _wide(type_: pa.DataType) -> pa.DataType:
    """The type whose offsets do not overflow when batches are joined; views and dictionaries dissolved."""
    if pa.types.is_dictionary(type_):
        return _wide(type_.value_type)
    if pa.types.is_string(type_) or pa.types.is_string_view(type_):
        return pa.large_string()
    if pa.types.is_binary(type_) or pa.types.is_binary_view(type_):
        return pa.large_binary()
    if pa.types.is_list(type_):
        return pa.large_list(type_.value_field)
    return type_
