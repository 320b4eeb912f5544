"""The bare Parquet file."""

import os
from pathlib import Path
from time import perf_counter

import pyarrow as pa
import pyarrow.parquet as pq


def write(path: Path, table: pa.Table) -> float:
    """Seconds to write the columns and to sync the file."""
    start = perf_counter()
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd", use_dictionary=False)
        file.flush()
        os.fsync(file.fileno())
    return perf_counter() - start
