"""MCAP files: chunked or not, with or without a summary, whole or cut."""

import base64
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mosaicolabs.ingest._reader_api import RecordingError, Skipped

from . import _mcap_records as records
from ._codec import CodecError, decompress
from ._mcap_records import ChunkHead, Fields, Found, TopRecord
from ._order import Block, in_time_order
from ._part import Channel, ChannelTable, PartScan, RawMessages

# Messages outside of chunks are sorted in groups of this size.
_GROUP_BYTES = 4 << 20
# Larger attachments are listed, not stored: metadata is JSON that every listing of a sequence carries.
LARGEST_ATTACHMENT = 64 << 10


class McapPart:
    """An MCAP file of any profile."""

    def __init__(self, path: Path, table: ChannelTable) -> None:
        self.path = path
        self._table = table
        self._file = path.open("rb")
        self._size = path.stat().st_size
        if self._file.read(len(records.MAGIC)) != records.MAGIC:
            self._file.close()
            raise RecordingError(f"{path}: not an MCAP file: it does not begin with the magic bytes")
        self._schemas: dict[int, tuple[str, str, bytes]] = {}
        self._channels: dict[int, Channel] = {}
        self._block_starts: list[int] = []

    def scan(self) -> PartScan:
        """Reads the whole file once; verifies all checksums."""
        return _Scan(self).run()

    def messages(self, channels: Collection[Channel]) -> RawMessages:
        """Messages of the channels by time of recording."""
        return in_time_order(self._blocks(set(channels)), self._block_starts)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _blocks(self, wanted: set[Channel]) -> Iterator[Block]:
        numbers = {number: channel for number, channel in self._channels.items() if channel in wanted}
        for buffer, found in self.read_blocks(lambda text: None, lambda record: None, lambda crc: None):
            yield [
                (log_ns, numbers[number], buffer[begin:end])
                for number, log_ns, _, begin, end in found
                if number in numbers
            ]

    def read_blocks(self, report: Any, other: Any, whole: Any) -> Iterator[tuple[bytes, list[Found]]]:
        """Groups of messages, as a buffer and their places in it; groups without messages too.

        Args:
            report: Receives a sentence about each damage.
            other: Receives records that are neither messages, chunks nor definitions.
            whole: Receives every record of the data section as bytes, for checksums.
        """
        group, found = bytearray(), list[Found]()
        for record in records.top_records(self._file, self._size, report):
            whole(record)
            if record.kind == records.CHUNK:
                if found:
                    yield bytes(group), found
                    group, found = bytearray(), []
                yield self._chunk(record, report)
            elif record.kind == records.MESSAGE and record.whole:
                message = records.outer_message(record.content)
                if message is None:
                    report(f"the message at byte {record.offset} is too short")
                    continue
                number, log_ns, publish_ns, begin, end = message
                at = len(group)
                group += record.content
                found.append((number, log_ns, publish_ns, at + begin, at + end))
                if len(group) >= _GROUP_BYTES:
                    yield bytes(group), found
                    group, found = bytearray(), []
            elif record.kind in (records.SCHEMA, records.CHANNEL):
                self._define_checked(record, report)
            else:
                other(record)
        if found:
            yield bytes(group), found

    def _chunk(self, record: TopRecord, report: Any) -> tuple[bytes, list[Found]]:
        found: list[Found] = []
        try:
            head = records.chunk_head(record.content, whole=record.whole)
            buffer = self._decompressed(head)
            rest = records.inner_records(buffer, self._define, found)
            if rest and head.whole:
                report(f"the last record of the chunk at byte {record.offset} is not whole")
        except ValueError as error:
            found.clear()
            report(f"the chunk at byte {record.offset} is damaged: {error}")
            buffer = b""
        return buffer, found

    def _decompressed(self, head: ChunkHead) -> bytes:
        if not head.whole:  # the end of a cut file: what is there was written whole, up to the cut
            try:
                return decompress(head.records, head.compression, head.size)
            except CodecError as error:
                return error.readable
        buffer = decompress(head.records, head.compression, head.size)
        if head.crc and zlib.crc32(buffer) != head.crc:
            raise ValueError(f"its checksum is {head.crc:08x}, its content has {zlib.crc32(buffer):08x}")
        return buffer

    def _define_checked(self, record: TopRecord, report: Any) -> None:
        try:
            self._define(record.kind, record.content)
        except ValueError as error:
            report(f"the definition at byte {record.offset} is damaged: {error}")

    def _define(self, kind: int, content: bytes) -> None:
        fields = Fields(content)
        number = fields.number("H")
        if kind == records.SCHEMA:
            name, encoding = fields.text(), fields.text()
            self._schemas.setdefault(number, (name, encoding, fields.octets(fields.number("I"))))
        elif number not in self._channels:
            schema, topic, encoding, metadata = (
                fields.number("H"),
                fields.text(),
                fields.text(),
                fields.texts(),
            )
            type_name, schema_encoding, definition = self._schemas.get(schema, ("", "", b""))
            digest = metadata.get("topic_type_hash", "")
            self._channels[number] = self._table.channel(
                topic, type_name, encoding, schema_encoding, definition, digest, tuple(metadata.items())
            )


class _Scan:
    """The first pass over a file."""

    def __init__(self, part: McapPart) -> None:
        self.part = part
        self.found = PartScan()
        self.counts: Counter[int] = Counter()
        self.delayed: Counter[int] = Counter()
        self.lost: Counter[int] = Counter()
        self.listed: dict[int, int] = {}
        self.chunk_damaged = False
        self.crc = zlib.crc32(records.MAGIC)
        self.in_data = True

    def run(self) -> PartScan:
        part, found = self.part, self.found
        part._block_starts.clear()
        for _, messages in part.read_blocks(self._report, self._other, self._whole):
            times = [message[1] for message in messages]
            part._block_starts.append(min(times, default=2**64))
            if times:
                found.see_times(min(times), max(times))
            self.counts.update(message[0] for message in messages)
            self.delayed.update(m[0] for m in messages if m[2] and m[2] != m[1])
        for number, channel in part._channels.items():
            found.counts[channel] += self.counts.pop(number, 0)
            found.delayed[channel] += self.delayed.pop(number, 0)
            found.lost[channel] += self.lost.pop(number, 0)
        for number, count in self.counts.items():
            found.notes.append(Skipped(f"channel {number}", count, "the file does not define this channel"))
        listed: Counter[Channel] = Counter()
        for number, count in self.listed.items():
            if number in part._channels:
                listed[part._channels[number]] += count
        found.compare(listed, "the summary of the file")
        return found

    def _report(self, text: str) -> None:
        self.chunk_damaged = text.startswith("the chunk")
        self.found.damage.append(text)

    def _whole(self, record: TopRecord) -> None:
        if record.kind == records.CHUNK:
            self.chunk_damaged = False
        if record.kind == records.DATA_END:
            self.in_data = False
        if self.in_data:
            head = records.RECORD.pack(record.kind, len(record.content))
            self.crc = zlib.crc32(record.content, zlib.crc32(head, self.crc))

    def _other(self, record: TopRecord) -> None:
        try:
            self._read_other(record, Fields(record.content))
        except ValueError as error:
            self.found.damage.append(f"the record at byte {record.offset} is damaged: {error}")

    def _read_other(self, record: TopRecord, fields: Fields) -> None:
        kind = record.kind
        if kind == records.MESSAGE_INDEX and self.chunk_damaged:
            self.lost[fields.number("H")] += fields.number("I") // 16
        elif kind == records.DATA_END:
            crc = fields.number("I")
            if crc and crc != self.crc and not self.found.damage:
                self.found.damage.append("the checksum of its data section is wrong")
        elif kind == records.STATISTICS:
            fields.octets(2 + 8 + 4 * 4 + 8 + 8)
            end = fields.number("I") + fields.position
            while fields.position < end:
                number = fields.number("H")
                self.listed[number] = fields.number("Q")
        elif kind == records.ATTACHMENT:
            self._attachment(record, fields)
        elif kind == records.METADATA:
            name = fields.text()
            self.found.metadata.setdefault("mcap_metadata", {})[name] = fields.texts()
        elif kind == records.HEADER:
            self.found.metadata["mcap_profile"] = fields.text()
            self.found.metadata["mcap_library"] = fields.text()
        elif kind == records.FOOTER:
            self._footer(record, fields)

    def _attachment(self, record: TopRecord, fields: Fields) -> None:
        log_ns, create_ns = fields.number("Q"), fields.number("Q")
        name, media_type = fields.text(), fields.text()
        data = fields.octets(fields.number("Q"))
        crc = fields.number("I")
        # Records may have further fields behind those that this version of the format knows.
        if crc and crc != zlib.crc32(record.content[: fields.position - 4]):
            self.found.damage.append(f"the checksum of its attachment `{name}` is wrong")
        elif len(data) > LARGEST_ATTACHMENT:
            reason = f"an attachment of {len(data)} bytes; those up to {LARGEST_ATTACHMENT} are stored"
            self.found.notes.append(Skipped(name, 0, reason))
        else:
            facts: dict[str, Any] = {"name": name, "media_type": media_type}
            facts |= {"log_time_ns": log_ns, "create_time_ns": create_ns}
            self.found.metadata.setdefault("mcap_attachments", []).append(facts | _content(data))

    def _footer(self, record: TopRecord, fields: Fields) -> None:
        start, _, crc = fields.number("Q"), fields.number("Q"), fields.number("I")
        if not crc:
            return
        start = start or record.offset
        size = record.offset + records.RECORD.size + 16 - start
        self.part._file.seek(start)
        summary = self.part._file.read(size) if size > 0 else b""
        if crc != zlib.crc32(summary):
            self.found.notes.append(
                Skipped("summary of the file", 0, "its checksum is wrong; what is in the file counts")
            )


def _content(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}
