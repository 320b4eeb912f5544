"""What files of rows have in common."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mosaicolabs.ingest._reader_api import Skipped

BATCH_ROWS = 4096


@dataclass(frozen=True)
class Source:
    """An open file of rows.

    Attributes:
        schema: Its columns, with types that hold every value of the file.
        rows: Number of readable rows.
        bad_rows: Number of other rows.
        first_problem: The error of the first of them.
        batches: Starts a pass over the readable rows.
        skipped: Parts of the file that are no rows.
    """

    schema: pa.Schema
    rows: int
    bad_rows: int
    first_problem: str
    batches: Callable[[], Iterator[pa.RecordBatch]]
    skipped: tuple[Skipped, ...] = ()


def storable(values: pa.Array) -> pa.Array:
    """The values in a type that topics can have, without loss.

    Times and durations become nanoseconds, dates and decimals text, dictionaries their values, maps lists of
    `key` and `value`.

    Example:
        >>> storable(pa.array([1, 2], pa.duration("us"))).to_pylist()
        [1000, 2000]
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return storable(values.dictionary_decode())
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        wide = pa.timestamp("ns", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("ns")
        return values.cast(wide).cast(pa.int64())
    if pa.types.is_time(kind):
        return values.cast(pa.time64("ns")).cast(pa.int64())
    if pa.types.is_date(kind) or pa.types.is_decimal(kind):
        return values.cast(pa.string())
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_map(kind):
        entries = values.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        return storable(entries)
    if pa.types.is_struct(kind):
        parts = [storable(pc.struct_field(values, index)) for index in range(kind.num_fields)]
        names = [kind.field(index).name for index in range(kind.num_fields)]
        return pa.StructArray.from_arrays(parts, names=names, mask=pc.is_null(values))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = storable(pa.array([], kind.value_type)).type
        return values if inner == kind.value_type else values.cast(pa.list_(inner))
    return values
