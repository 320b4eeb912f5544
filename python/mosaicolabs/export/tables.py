"""Writers of tables: Parquet, Arrow IPC, CSV and JSON lines."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ._columns import cell_type, cells, documents
from ._tables import Settings, Sink, TableWriter

_ROW_GROUP_BYTES = 32 * 1024 * 1024
_TEXT_SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class ParquetWriter(TableWriter):
    """One Parquet file per topic, or one for all."""

    name = "parquet"
    description = "Parquet files"
    suffix = ".parquet"
    codecs = ("zstd", "snappy", "gzip", "brotli", "lz4", "none")

    def open_sink(self, path: Path, schema: pa.Schema, settings: Settings) -> Sink:
        """Creates the file."""
        return _ParquetSink(path, schema, settings)


class ArrowWriter(TableWriter):
    """One Arrow IPC file (Feather version 2) per topic, or one for all."""

    name = "arrow"
    description = "Arrow IPC files, also known as Feather"
    suffix = ".arrow"
    codecs = ("none", "zstd", "lz4")

    def open_sink(self, path: Path, schema: pa.Schema, settings: Settings) -> Sink:
        """Creates the file."""
        return _ArrowSink(path, schema, settings)


class CsvWriter(TableWriter):
    """One CSV file per topic, or one for all."""

    name = "csv"
    description = "CSV files with a header line"
    suffix = ".csv"
    codecs = ("none", "gzip", "zstd")
    levels: ClassVar[bool] = False
    nested: ClassVar[bool] = False

    def file_suffix(self, settings: Settings) -> str:
        """With the extension of the codec."""
        return self.suffix + _TEXT_SUFFIXES[settings.compression]

    def open_sink(self, path: Path, schema: pa.Schema, settings: Settings) -> Sink:
        """Creates the file and writes the header line."""
        return _CsvSink(path, schema, settings)


class JsonLinesWriter(TableWriter):
    """One file per topic, or one for all, with one JSON document per line."""

    name = "jsonl"
    description = "JSON lines: one document per message"
    suffix = ".jsonl"
    codecs = ("none", "gzip", "zstd")
    levels: ClassVar[bool] = False

    def file_suffix(self, settings: Settings) -> str:
        """With the extension of the codec."""
        return self.suffix + _TEXT_SUFFIXES[settings.compression]

    def open_sink(self, path: Path, schema: pa.Schema, settings: Settings) -> Sink:
        """Creates the file."""
        return _JsonSink(path, schema, settings)


class _ParquetSink(Sink):
    """Collects batches of about a megabyte to row groups."""

    def __init__(self, path: Path, schema: pa.Schema, settings: Settings) -> None:
        self._schema, self._waiting, self._bytes = schema, list[pa.RecordBatch](), 0
        self._file = pa.parquet.ParquetWriter(
            path,
            schema,
            compression=settings.compression,
            compression_level=None if settings.compression == "none" else settings.level,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_table(pa.Table.from_batches(self._waiting, self._schema))
        self._waiting, self._bytes = [], 0

    def close(self) -> None:
        try:
            self._flush()
        finally:
            self._file.close()


class _ArrowSink(Sink):
    def __init__(self, path: Path, schema: pa.Schema, settings: Settings) -> None:
        codec = None if settings.compression == "none" else pa.Codec(settings.compression, settings.level)
        options = pa.ipc.IpcWriteOptions(compression=codec)
        self._file = pa.ipc.new_file(path, schema, options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write_batch(batch)

    def close(self) -> None:
        self._file.close()


class _CsvSink(Sink):
    def __init__(self, path: Path, schema: pa.Schema, settings: Settings) -> None:
        self._schema = pa.schema([pa.field(field.name, cell_type(field.type)) for field in schema])
        self._file = _text_file(path, settings)
        # "needed" writes text in quotes and null without, so that null and empty text differ.
        options = pa.csv.WriteOptions(quoting_style="needed")
        self._csv = pa.csv.CSVWriter(self._file, self._schema, write_options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [cells(column) for column in batch.columns]
        self._csv.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._csv.close()
        self._file.close()


class _JsonSink(Sink):
    """Merged rows contain only the class that they have."""

    def __init__(self, path: Path, schema: pa.Schema, settings: Settings) -> None:
        self._file = _text_file(path, settings)
        self._omit_null = settings.merge

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.write("".join(map(self._line, documents(batch))).encode())

    def _line(self, document: dict[str, Any]) -> str:
        if self._omit_null:
            document = {name: value for name, value in document.items() if value is not None}
        return json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"

    def close(self) -> None:
        self._file.close()


def _text_file(path: Path, settings: Settings) -> Any:
    """A binary file for text, compressed if the options say so."""
    if settings.compression == "none":
        return path.open("wb")
    return pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), settings.compression)
