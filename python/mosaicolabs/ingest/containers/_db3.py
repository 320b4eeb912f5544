"""ROS 2 bags in SQLite (`.db3`): with a write-ahead log, without an index, whole or cut."""

import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mosaicolabs.ingest._reader_api import RecordingError, Skipped

from ._order import Block, in_time_order
from ._part import Channel, ChannelTable, PartScan, RawMessages

MAGIC = b"SQLite format 3\0"
# Rows of one query: so many, or fewer that are large.
_BLOCK_ROWS = 256
_BLOCK_BYTES = 4 << 20
_LAST_ROW = 2**63 - 1


def _bytes_beyond_pages(path: Path) -> int:
    """Size of a page at the end of the file that is not whole."""
    with path.open("rb") as file:
        head = file.read(18)
    page = int.from_bytes(head[16:18], "big")
    # The header writes 65536 as 1.
    return path.stat().st_size % (65536 if page == 1 else page or 1)


class Db3Part:
    """A ROS 2 bag in a SQLite database."""

    def __init__(self, path: Path, table: ChannelTable) -> None:
        self.path = path
        self._table = table
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._database = self._open()
        self._channels: dict[int, Channel] = {}
        self._blocks: list[tuple[int, int]] = []
        self._block_starts: list[int] = []

    def scan(self) -> PartScan:
        """Reads the facts of every row once.

        Raises:
            RecordingError: The file is not a database, or not that of a bag.
        """
        found = PartScan()
        self._channels = self._read_channels()
        counts: Counter[int] = Counter()
        self._blocks.clear()
        self._block_starts.clear()
        block: list[tuple[int, int]] = []
        size = 0
        columns = "id, topic_id, timestamp, length(data)"
        for row_id, topic_id, time_ns, length in self._rows(columns, 0, _LAST_ROW, found.damage.append):
            if not (isinstance(time_ns, int) and isinstance(length, int)):
                found.damage.append(f"row {row_id} has no time or no data")
                continue
            counts[topic_id] += 1
            block.append((row_id, time_ns))
            size += length
            found.see_times(time_ns, time_ns)
            if len(block) == _BLOCK_ROWS or size >= _BLOCK_BYTES:
                self._end_block(block)
                size = 0
        self._end_block(block)
        for number, channel in self._channels.items():
            found.counts[channel] += counts.pop(number, 0)
        for number, count in counts.items():
            found.notes.append(Skipped(f"topic {number}", count, "the bag does not define this topic"))
        return found

    def messages(self, channels: Collection[Channel]) -> RawMessages:
        """Messages of the channels by time of recording."""
        wanted = {n: channel for n, channel in self._channels.items() if channel in channels}

        def blocks() -> Iterator[Block]:
            for first, last in self._blocks:
                rows = self._rows("id, topic_id, timestamp, data", first, last, lambda text: None)
                yield [
                    (time_ns, wanted[n], bytes(data))
                    for _, n, time_ns, data in rows
                    if n in wanted and isinstance(time_ns, int) and isinstance(data, bytes)
                ]

        return in_time_order(blocks(), self._block_starts)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
        if self._copy is not None:
            self._copy.cleanup()

    def _end_block(self, block: list[tuple[int, int]]) -> None:
        if block:
            self._blocks.append((block[0][0], block[-1][0]))
            self._block_starts.append(min(time_ns for _, time_ns in block))
            block.clear()

    def _open(self) -> sqlite3.Connection:
        """Opens the database for reading; its write-ahead log counts too."""
        log = self.path.with_name(f"{self.path.name}-wal")
        has_log = log.is_file() and log.stat().st_size > 0
        path, beyond = self.path, _bytes_beyond_pages(self.path)
        if has_log or beyond:
            # SQLite writes a file beside a database with a log; the recording is not to be changed. Of a page
            # that is cut, SQLite would take the missing bytes for zeros.
            self._copy = tempfile.TemporaryDirectory()
            path = Path(self._copy.name) / self.path.name
            shutil.copyfile(self.path, path)
            os.truncate(path, path.stat().st_size - beyond)
            if has_log:
                shutil.copyfile(log, path.with_name(log.name))
        options = "mode=ro" if self._copy else "mode=ro&immutable=1"
        try:
            database = sqlite3.connect(
                f"{path.absolute().as_uri()}?{options}", uri=True, check_same_thread=False
            )
            database.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            # A cut file has fewer pages than its header says; with this setting SQLite reads what is there.
            database.execute("PRAGMA writable_schema=ON")
        except sqlite3.Error as error:
            raise RecordingError(f"{self.path}: not a readable SQLite database: {error}") from error
        return database

    def _query(self, text: str, *values: Any) -> list[Any]:
        return self._database.execute(text, values).fetchall()

    def _columns(self, table: str) -> set[str]:
        return {row[1] for row in self._query(f"PRAGMA table_info({table})")}

    def _read_channels(self) -> dict[int, Channel]:
        try:
            columns = self._columns("topics")
            if not {"id", "name", "type"} <= columns or not {"id", "topic_id"} <= self._columns("messages"):
                raise RecordingError(
                    f"{self.path}: not a ROS 2 bag: it has no tables `topics` and `messages`"
                )
            names = ["id", "name", "type"]
            names += [
                name if name in columns else "''"
                for name in ("serialization_format", "type_description_hash", "offered_qos_profiles")
            ]
            topics = self._query(f"SELECT {', '.join(names)} FROM topics")  # noqa: S608 - names from above
        except sqlite3.Error as error:
            raise RecordingError(f"{self.path}: its list of topics cannot be read: {error}") from error
        definitions = self._definitions()
        channels = {}
        for number, topic, type_name, encoding, digest, qos in topics:
            schema_encoding, schema = definitions.get(type_name, ("", b""))
            metadata = (("offered_qos_profiles", str(qos)),) if qos else ()
            channels[number] = self._table.channel(
                topic, type_name, encoding or "cdr", schema_encoding, schema, digest or "", metadata
            )
        return channels

    def _definitions(self) -> dict[str, tuple[str, bytes]]:
        """Encoding and text by type; bags before Iron have none."""
        found = {}
        with suppress(sqlite3.Error):
            for type_name, encoding, text in self._query(
                "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            ):
                if encoding in ("ros2msg", "ros2idl"):
                    found[type_name] = (encoding, text.encode() if isinstance(text, str) else bytes(text))
        return found

    def _rows(
        self, columns: str, first: int, last: int, report: Callable[[str], None]
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of `messages` from one id to another; rows on damaged pages are reported and passed over."""
        query = f"SELECT {columns} FROM messages WHERE id BETWEEN ? AND ? ORDER BY id"  # noqa: S608 - ours
        position = first
        while position <= last:
            try:
                for row in self._database.execute(query, (position, last)):
                    position = row[0] + 1
                    yield row
                return
            except sqlite3.Error as error:
                following = self._next_readable(position, last)
                report(
                    f"{error}: rows from {position} on"
                    + ("" if following is None else f" up to {following - 1}")
                    + " cannot be read"
                )
                if following is None:
                    return
                position = following

    def _next_readable(self, position: int, last: int) -> int | None:
        """The id of the next row that can be read; pages hold several rows, so the steps grow."""
        step = 1
        while position + step <= last:
            with suppress(sqlite3.Error):
                rows = self._query(
                    "SELECT id FROM messages WHERE id >= ? AND id <= ? LIMIT 1", position + step, last
                )
                return rows[0][0] if rows else None
            step *= 2
        return None
