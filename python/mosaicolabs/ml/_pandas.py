"""From Arrow tables to frames of pandas, which is optional."""

from types import ModuleType
from typing import Any

import pyarrow as pa

from mosaicolabs.ml._topic_rows import TIME


def import_pandas() -> ModuleType:
    """The module pandas.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError("frames need pandas; install it with: pip install 'mosaicolabs[ml]'") from error
    return pandas  # type: ignore[no-any-return]


def to_pandas(table: pa.Table) -> Any:
    """The frame of a wide table: NaN for missing numbers, but none where that would cost digits.

    Integers of 64 bits and booleans get the nullable types of pandas, lists and bytes stay objects.
    """
    pandas = import_pandas()
    types = {
        pa.int64(): pandas.Int64Dtype(),
        pa.uint64(): pandas.UInt64Dtype(),
        pa.bool_(): pandas.BooleanDtype(),
    }
    frame = table.drop_columns([TIME]).to_pandas(types_mapper=types.get, use_threads=False)
    frame.insert(0, TIME, table.column(TIME).to_numpy())
    return frame
