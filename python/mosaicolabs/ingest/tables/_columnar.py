"""Parquet, Arrow (files, streams, Feather) and NumPy archives."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mosaicolabs.ingest._reader_api import RecordingError, Skipped

from ._source import BATCH_ROWS, Source


def open_columnar(path: Path) -> Source:
    """Opens a file by its content.

    Raises:
        RecordingError: The file is damaged.
    """
    with path.open("rb") as file:
        head = file.read(6)
    try:
        if head.startswith(b"PAR1"):
            return _parquet(path)
        return _npz(path) if head.startswith(b"PK") else _arrow(path, is_file=head == b"ARROW1")
    except (OSError, ValueError, pa.ArrowException, zipfile.BadZipFile) as error:
        raise RecordingError(f"{path}: {error}") from error


def _parquet(path: Path) -> Source:
    # Paths are files, also those that look like URLs.
    with path.open("rb") as file:
        parquet = pq.ParquetFile(file)
        schema, rows = parquet.schema_arrow, parquet.metadata.num_rows

    def batches() -> Iterator[pa.RecordBatch]:
        with path.open("rb") as file:
            yield from pq.ParquetFile(file).iter_batches(BATCH_ROWS)

    return Source(schema.remove_metadata(), rows, 0, "", batches)


def _arrow(path: Path, *, is_file: bool) -> Source:
    def batches() -> Iterator[pa.RecordBatch]:
        with path.open("rb") as file:
            if is_file:
                reader = pa.ipc.open_file(file)
                yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
            else:
                yield from pa.ipc.open_stream(file)

    with path.open("rb") as file:
        schema = (pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)).schema
    return Source(schema.remove_metadata(), sum(batch.num_rows for batch in batches()), 0, "", batches)


def _npz(path: Path) -> Source:
    """Arrays of the length that most of them have are columns; the others are skipped."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        shapes = {name: archive[name].shape for name in archive.files}
        types = {name: _column(archive[name][:0]).type for name in archive.files if shapes[name]}
    lengths = [shape[0] for shape in shapes.values() if shape]
    if not lengths:
        raise RecordingError(f"{path}: no array has rows")
    rows = max(lengths, key=lengths.count)
    names = [name for name, shape in shapes.items() if shape and shape[0] == rows]
    skipped = tuple(
        Skipped(name, 0, f"an array of shape {shape}, not of {rows} rows")
        for name, shape in shapes.items()
        if name not in names
    )

    def batches() -> Iterator[pa.RecordBatch]:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in names}
        for first in range(0, rows, BATCH_ROWS):
            columns = [_column(array[first : first + BATCH_ROWS]) for array in arrays.values()]
            yield pa.RecordBatch.from_arrays(columns, names=names)

    return Source(pa.schema([(name, types[name]) for name in names]), rows, 0, "", batches, skipped)


def _column(array: npt.NDArray[Any]) -> pa.Array:
    """Arrays of more dimensions are lists of fixed size; structured ones structs."""
    if array.ndim > 1:
        size = int(np.prod(array.shape[1:]))
        return pa.FixedSizeListArray.from_arrays(_column(np.ascontiguousarray(array).reshape(-1)), size)
    if array.dtype.names:
        parts = [_column(np.ascontiguousarray(array[name])) for name in array.dtype.names]
        return pa.StructArray.from_arrays(parts, names=list(array.dtype.names))
    if array.dtype.kind == "S":
        return pa.array(array.tolist(), pa.binary())
    if array.dtype.kind == "U":
        return pa.array(array.tolist(), pa.string())
    return pa.array(array.astype(array.dtype.newbyteorder("=")))
