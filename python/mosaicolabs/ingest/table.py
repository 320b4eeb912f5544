"""CSV, JSON lines, Parquet, Arrow and NumPy files: one topic per file.

Without a mapping, the topic has the columns of the file, and its tag is `table.<name of the file>`.
"""

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mosaicolabs.models import Serializable, generic_class
from mosaicolabs.models.serializable import registered_class

from ._options import class_option
from ._reader_api import FailedMessage, Messages, Recording, RecordingError, Skipped, TopicSpec
from .encodings import column_name
from .tables import (
    Column,
    Mapping,
    Source,
    command_line_mapping,
    mapping_file,
    open_columnar,
    open_csv,
    open_json_lines,
    storable,
    time_column,
)

_OPEN: dict[str, Callable[[Path], Source]] = {
    ".csv": open_csv,
    ".tsv": open_csv,
    ".jsonl": open_json_lines,
    ".ndjson": open_json_lines,
    ".parquet": open_columnar,
    ".arrow": open_columnar,
    ".arrows": open_columnar,
    ".feather": open_columnar,
    ".npz": open_columnar,
}
_TIME = "timestamp_ns"
_LIKELY = ("timestamp", "time", "stamp", "t")


class TableReader:
    """Reads files of rows and columns."""

    name = "table"
    description = f"rows and columns ({', '.join(_OPEN)})"
    options = {  # noqa: RUF012 - a member of the protocol Reader
        "time": "column with the time, and the unit of numbers: stamp:us",
        "map": "COLUMN=SOURCE, joined by commas: acceleration.x=ax",
        "mapping": "a TOML file, as for mosaicod import --mapping",
        "as": "PATTERN=TAG: the ontology of the topic",
    }

    def sniff(self, path: Path) -> bool:
        """Whether the name ends as those of such files."""
        return path.is_file() and path.suffix.lower() in _OPEN

    def open(self, path: Path, **options: str) -> Recording:
        """Reads the file once to find types, bad rows and rows without a time."""
        opener = _OPEN.get(path.suffix.lower())
        if opener is None:
            raise RecordingError(f"{path}: the name does not end in one of {', '.join(_OPEN)}")
        source = opener(path)
        mapping = _mapping(path, options)
        return _Table(path, source, mapping).recording()


def _mapping(path: Path, options: dict[str, str]) -> Mapping:
    if "mapping" in options:
        if options.keys() & {"time", "map", "as"}:
            raise RecordingError("option mapping: the file says everything; leave out time, map and as")
        return mapping_file(Path(options["mapping"]), path.name)
    name = _topic_name(path)
    tags = [tag for pattern, tag in class_option(options).items() if fnmatchcase(f"/{name}", pattern)]
    pairs = [pair for pair in options.get("map", "").split(",") if pair]
    return command_line_mapping(options.get("time"), pairs, tags[-1] if tags else None)


def _topic_name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", path.stem).strip("_-") or "table"


class _Table:
    def __init__(self, path: Path, source: Source, mapping: Mapping) -> None:
        self.path = path
        self.source = source
        self.columns = dict(mapping.columns)
        self.topic = "/" + (mapping.topic or _topic_name(path)).lstrip("/")
        self.tag = mapping.tag
        self._check_sources()
        if _TIME not in self.columns:
            self.columns[_TIME] = self._guess_time()
        used = {column.source for column in self.columns.values()}
        self.rest = [
            name
            for name in source.schema.names
            if name not in used and not any(fnmatchcase(name, pattern) for pattern in mapping.ignore)
        ]

    def recording(self) -> Recording:
        data_class, known = self._class()
        skipped = list(self.source.skipped)
        if known is not None:
            skipped += [
                Skipped(name, 0, f"the class {self.tag} has no such column")
                for name in self.rest
                if name not in known
            ]
            self.rest = [name for name in self.rest if name in known]
        timeless = sum(int(batch[_TIME].null_count) for batch in self._batches())
        if timeless == self.source.rows:
            column = self.columns[_TIME]
            raise RecordingError(f"{self.path}: no row has a time in the column `{column.source}`")
        failures = [
            FailedMessage(reason, count)
            for reason, count in (
                (self.source.first_problem, self.source.bad_rows),
                (f"no time in the column `{self.columns[_TIME].source}`", timeless),
            )
            if count
        ]

        def messages() -> Messages:
            yield from ((self.topic, failure) for failure in failures)
            for batch in self._batches():
                dated = batch.filter(pc.is_valid(batch[_TIME])) if timeless else batch
                if dated.num_rows:
                    yield self.topic, dated

        spec = TopicSpec(
            self.topic, data_class, self.source.rows + self.source.bad_rows, self.path.stat().st_size
        )
        metadata = {"source": self.path.name, "source_format": TableReader.name}
        return Recording((spec,), messages, metadata, tuple(skipped))

    def _class(self) -> tuple[type[Serializable], set[str] | None]:
        """The class of the topic, and the columns that it has; None: those of the file."""
        tag = self.tag or f"table.{_topic_name(self.path)}"
        registered = registered_class(tag) if self.tag else None
        if registered is not None:
            return registered, {field.name for field in registered.__msco_pyarrow_struct__}
        fields: dict[str, Any] = {}
        for name, kind in self._empty().items():
            if name == _TIME:
                continue
            head, dot, rest = name.partition(".")
            if dot and name not in self.source.schema.names:
                fields.setdefault(head, {})[rest] = kind
            else:
                fields[name] = kind
        struct = [
            (name, pa.struct(list(kind.items())) if isinstance(kind, dict) else kind)
            for name, kind in fields.items()
        ]
        return generic_class(tag, pa.schema(struct)), None

    def _empty(self) -> dict[str, pa.DataType]:
        batch = pa.RecordBatch.from_pylist([], self.source.schema)
        return {field.name: field.type for field in self._mapped(batch).schema}

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self.source.batches():
            yield self._mapped(batch)

    def _mapped(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        arrays, names = [], []
        for target, column in self.columns.items():
            arrays.append(self._column(batch, target, column))
            names.append(target)
        for name in self.rest:
            arrays.append(storable(batch[name]))
            names.append(column_name(name))
        return pa.RecordBatch.from_arrays(arrays, names=names)

    def _column(self, batch: pa.RecordBatch, target: str, column: Column) -> pa.Array:
        if column.source is None:
            return pa.array([column.constant] * batch.num_rows)
        values = batch[column.source]
        if target in (_TIME, "recording_timestamp_ns") or column.unit is not None:
            try:
                return time_column(values, column.unit)
            except (ValueError, pa.ArrowInvalid) as error:
                raise RecordingError(f"{self.path}: the time `{column.source}`: {error}") from error
        if column.scale is not None or column.offset is not None:
            numbers = values.cast(pa.float64())
            return pc.add(pc.multiply(numbers, float(column.scale or 1.0)), float(column.offset or 0.0))
        return storable(values)

    def _check_sources(self) -> None:
        for target, column in self.columns.items():
            if column.source is not None and column.source not in self.source.schema.names:
                raise RecordingError(
                    f"{self.path}: it has no column `{column.source}` for `{target}`; it has: "
                    f"{', '.join(self.source.schema.names)}"
                )

    def _guess_time(self) -> Column:
        """The time of a file for which none is given: only where there is no doubt."""
        names = self.source.schema.names
        if _TIME in names:
            return Column(_TIME, "ns")
        times = [field.name for field in self.source.schema if pa.types.is_timestamp(field.type)]
        if len(times) == 1:
            return Column(times[0])
        likely = [name for name in names if name.lower() in _LIKELY]
        hint = f", such as --time {(likely or names)[0]}:us"
        raise RecordingError(
            f"{self.path}: which column is the time? Give it with its unit{hint}; it has: {', '.join(names)}"
        )
