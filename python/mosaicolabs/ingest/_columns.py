"""Topics made of columns that are in memory."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mosaicolabs.models import generic_class

from ._reader_api import Messages, TopicSpec
from .encodings import column_name

_BATCH_ROWS = 4096


def columns_topic(
    name: str,
    tag: str,
    times_ns: npt.NDArray[np.int64],
    columns: dict[str, pa.Array],
    metadata: dict[str, Any],
) -> tuple[TopicSpec, Messages]:
    """A topic of a class made from columns, and its rows."""
    named = {column_name(field): values for field, values in columns.items()}
    schema = pa.schema([(field, values.type) for field, values in named.items()])
    batch = pa.RecordBatch.from_arrays(
        [pa.array(times_ns, pa.int64()), *named.values()], names=["timestamp_ns", *named]
    )
    spec = TopicSpec(name, generic_class(tag, schema), batch.num_rows, batch.nbytes, metadata)
    return spec, _batches(name, batch)


def _batches(name: str, batch: pa.RecordBatch) -> Messages:
    for first in range(0, batch.num_rows, _BATCH_ROWS):
        yield name, batch.slice(first, _BATCH_ROWS)
