"""What the writers of tables share: options, one file per topic or one merged file, flattened or nested."""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from ._columns import flattened, flattened_schema, with_nullable_fields
from ._options import boolean, choice, whole_number
from ._selection import SelectedTopic, Selection, Table
from ._writer_api import Advance, ExportPlan, Part


class Sink(ABC):
    """Where the rows of one file go."""

    @abstractmethod
    def write(self, batch: pa.RecordBatch) -> None:
        """Appends rows."""

    @abstractmethod
    def close(self) -> None:
        """Ends the file; called once, also after an error."""


@dataclass(frozen=True)
class Settings:
    """Options of a table.

    Attributes:
        merge: All topics in one file, in time order.
        flat: Structs as columns with dotted names.
        compression: Codec; `none` for none.
        level: Compression level; None: that of the codec.
    """

    merge: bool
    flat: bool
    compression: str
    level: int | None


class TableWriter(ABC):
    """A writer of rows; subclasses add the format."""

    name: str
    description: str
    suffix: ClassVar[str]
    codecs: ClassVar[tuple[str, ...]]
    nested: ClassVar[bool] = True
    """Whether the format can represent structs."""
    levels: ClassVar[bool] = True
    """Whether compression has levels."""

    @property
    def options(self) -> dict[str, str]:
        """Names and descriptions of the options."""
        options = {
            "merge": "true: all topics in one file in time order; false (the default): one file per topic",
            "layout": "nested (the default) or flat: fields of structs as columns with dotted names"
            if self.nested
            else "flat",
            "compression": f"{self.codecs[0]} (the default), {', '.join(self.codecs[1:])}",
        }
        return {**options, "level": "compression level, a whole number"} if self.levels else options

    @abstractmethod
    def open_sink(self, path: Path, schema: pa.Schema, settings: Settings) -> Sink:
        """Creates a file for rows of `schema`."""

    def file_suffix(self, settings: Settings) -> str:
        """The extension of file names."""
        return self.suffix

    def plan(
        self,
        selection: Selection,
        *,
        merge: str = "false",
        layout: str | None = None,
        compression: str | None = None,
        level: str | None = None,
    ) -> ExportPlan:
        """One part per topic, or one for all."""
        settings = Settings(
            merge=boolean("merge", merge),
            flat=self._flat(layout),
            compression=choice("compression", compression or self.codecs[0], self.codecs),
            level=None if level is None else whole_number("level", level),
        )
        if settings.merge:
            names = tuple(topic.name for topic in selection.topics)
            return ExportPlan((Part("", names, partial(self._write_merged, selection, settings)),))
        suffix = self.file_suffix(settings)
        return ExportPlan(
            tuple(
                Part(
                    f"{topic.name.strip('/')}{suffix}",
                    (topic.name,),
                    partial(self._write_topic, selection, topic, settings),
                )
                for topic in selection.topics
            )
        )

    def _flat(self, layout: str | None) -> bool:
        layouts = ("nested", "flat") if self.nested else ("flat",)
        return choice("layout", layout or layouts[0], layouts) == "flat"

    def _write_topic(
        self, selection: Selection, topic: SelectedTopic, settings: Settings, path: Path, advance: Advance
    ) -> int:
        with selection.batches(topic) as table:
            metadata = {**(table.schema.metadata or {}), **_sequence_metadata(selection)}
            return self._write(table, metadata, settings, path, advance, topic.message_bytes)

    def _write_merged(self, selection: Selection, settings: Settings, path: Path, advance: Advance) -> int:
        with selection.merged() as table:
            topics = json.dumps(selection.described_topics()).encode()
            metadata = {**_sequence_metadata(selection), b"mosaico:topics": topics}
            return self._write(table, metadata, settings, path, advance, selection.message_bytes)

    def _write(
        self,
        table: Table,
        metadata: dict[bytes, bytes],
        settings: Settings,
        path: Path,
        advance: Advance,
        message_bytes: float,
    ) -> int:
        schema = table.schema.with_metadata(metadata)
        schema = flattened_schema(schema) if settings.flat else with_nullable_fields(schema)
        sink = self.open_sink(path, schema, settings)
        messages = 0
        try:
            for batch in table:
                sink.write((flattened(batch) if settings.flat else batch).cast(schema))
                messages += batch.num_rows
                advance(batch.num_rows, batch.num_rows * message_bytes)
        finally:
            sink.close()
        return messages


def _sequence_metadata(selection: Selection) -> dict[bytes, bytes]:
    return {
        b"mosaico:sequence": selection.name.encode(),
        b"mosaico:sequence_metadata": json.dumps(selection.metadata).encode(),
    }
