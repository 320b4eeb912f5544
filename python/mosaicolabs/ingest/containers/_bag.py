"""ROS 1 bags (format 2.0): with or without an index, whole or cut."""

import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from mosaicolabs.ingest._reader_api import RecordingError, Skipped

from ._codec import CodecError, decompress
from ._order import Block, in_time_order
from ._part import Channel, ChannelTable, PartScan, RawMessages

MAGIC = b"#ROSBAG V"
_VERSION = b"#ROSBAG V2.0\n"
_MESSAGE, _BAG_HEADER, _CHUNK, _CHUNK_INFO, _CONNECTION = 2, 3, 5, 6, 7
_U32 = struct.Struct("<I")
_SEARCH_STEP = 1 << 20
_CHUNK_MARK = b"\x04\0\0\0op=\x05"
# The fields of a chunk's header: `compression`, `op` and `size`, with short values.
_LONGEST_CHUNK_HEADER = 128

_Header = dict[bytes, bytes]
_Record = tuple[int, _Header, bytes, bool]
"""Place in the file, header, data, and whether the record is whole."""


class BagPart:
    """A ROS 1 bag."""

    def __init__(self, path: Path, table: ChannelTable) -> None:
        self.path = path
        self._table = table
        self._file = path.open("rb")
        self._size = path.stat().st_size
        first = self._file.readline(64)
        if first != _VERSION:
            self._file.close()
            version = first.decode("ascii", "backslashreplace").strip()
            raise RecordingError(
                f"{path}: a bag of the format `{version}`, not V2.0; `rosbag fix` converts it"
            )
        self._connections: dict[int, Channel] = {}
        self._block_starts: list[int] = []

    def scan(self) -> PartScan:
        """Reads the whole file once.

        Raises:
            RecordingError: The bag is encrypted.
        """
        found = PartScan()
        counts: Counter[int] = Counter()
        listed: Counter[int] = Counter()
        self._block_starts.clear()
        for block in self._read_blocks(
            found.damage.append, lambda header, data: self._index(header, data, listed)
        ):
            times = [time_ns for _, time_ns, _ in block]
            self._block_starts.append(min(times, default=2**64))
            counts.update(number for number, _, _ in block)
            if times:
                found.see_times(min(times), max(times))
        for number, channel in self._connections.items():
            found.counts[channel] += counts.pop(number, 0)
        for number, count in counts.items():
            found.notes.append(
                Skipped(f"connection {number}", count, "the bag does not define this connection")
            )
        by_channel: Counter[Channel] = Counter()
        for number, count in listed.items():
            if number in self._connections:
                by_channel[self._connections[number]] += count
        found.compare(by_channel, "the index of the bag")
        return found

    def messages(self, channels: Collection[Channel]) -> RawMessages:
        """Messages of the channels by time of recording."""
        wanted = {n: channel for n, channel in self._connections.items() if channel in channels}

        def blocks() -> Iterator[Block]:
            for block in self._read_blocks(lambda text: None, lambda header, data: None):
                yield [(time_ns, wanted[n], data) for n, time_ns, data in block if n in wanted]

        return in_time_order(blocks(), self._block_starts)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _read_blocks(
        self, report: Callable[[str], None], index: Callable[[_Header, bytes], None]
    ) -> Iterator[list[tuple[int, int, bytes]]]:
        """The messages of each chunk as connection, time and data; messages outside of chunks one by one."""
        for position, header, data, whole in self._records(report):
            kind = _number(header, b"op", 1)
            if kind == _CHUNK:
                yield self._chunk(position, header, data, whole=whole, report=report)
            elif not whole:
                continue
            elif kind == _MESSAGE:
                yield list(filter(None, [_message(header, data)]))
            elif kind == _CONNECTION:
                self._define(header, data)
            elif kind == _BAG_HEADER:
                self._check_header(header, report)
            else:
                index(header, data)

    def _check_header(self, header: _Header, report: Callable[[str], None]) -> None:
        if header.get(b"encryptor"):
            name = header[b"encryptor"].decode("utf-8", "backslashreplace")
            raise RecordingError(f"{self.path}: the bag is encrypted by {name}; decrypt it with rosbag first")
        if not _number(header, b"index_pos", 8):
            report("it has no index: the recorder did not close it")

    def _chunk(
        self, position: int, header: _Header, data: bytes, *, whole: bool, report: Callable[[str], None]
    ) -> list[tuple[int, int, bytes]]:
        codec = header.get(b"compression", b"none").decode("ascii", "backslashreplace")
        try:
            content = decompress(data, codec, _number(header, b"size", 4))
        except CodecError as error:
            if whole:
                report(f"the chunk at byte {position} is damaged: {error}")
                return []
            content = error.readable
        messages = []
        for inner, fields, body, is_whole in _parse(content):
            if not is_whole:
                if whole:
                    report(f"the chunk at byte {position} is damaged from its byte {inner} on")
                break
            kind = _number(fields, b"op", 1)
            if kind == _CONNECTION:
                self._define(fields, body)
            elif kind == _MESSAGE and (message := _message(fields, body)) is not None:
                messages.append(message)
        return messages

    def _define(self, header: _Header, data: bytes) -> None:
        number = _number(header, b"conn", 4)
        if number in self._connections:
            return
        facts = _header_fields(data, 0, len(data)) or {}
        text = {key.decode("utf-8", "backslashreplace"): value for key, value in facts.items()}

        def get(key: str) -> str:
            return text.get(key, b"").decode("utf-8", "backslashreplace")

        self._connections[number] = self._table.channel(
            header.get(b"topic", b"").decode("utf-8", "backslashreplace") or get("topic"),
            get("type"),
            "ros1",
            "ros1msg",
            text.get("message_definition", b""),
            get("md5sum"),
            tuple((key, get(key)) for key in ("callerid", "latching") if key in text),
        )

    def _index(self, header: _Header, data: bytes, listed: Counter[int]) -> None:
        if _number(header, b"op", 1) == _CHUNK_INFO:
            for number, count in struct.iter_unpack("<II", data[: len(data) // 8 * 8]):
                listed[number] += count

    def _records(self, report: Callable[[str], None]) -> Iterator[_Record]:
        """The records of the file; damaged stretches are reported and passed over."""
        position = len(_VERSION)
        while position < self._size:
            record = self._record(position)
            if record is not None and record[3]:
                yield record[:4]
                position = record[4]
                continue
            found = self._next_chunk(position + 1)
            if found is None:
                report(f"it ends within the record at byte {position}, or is damaged from there on")
                if record is not None:
                    yield record[:4]
                return
            report(f"bytes {position} to {found} are damaged")
            position = found

    def _record(self, position: int) -> tuple[int, _Header, bytes, bool, int] | None:
        """The record at a place in the file, and where the next one begins; None if there is none."""
        self._file.seek(position)
        head = self._file.read(4)
        if len(head) < 4:
            return None
        (length,) = _U32.unpack(head)
        if length > self._size - position:
            return None
        raw = self._file.read(length + 4)
        header = _header_fields(raw, 0, length)
        if header is None or b"op" not in header or len(raw) < length + 4:
            return None
        (size,) = _U32.unpack_from(raw, length)
        data = self._file.read(min(size, self._size - position))
        return position, header, data, len(data) == size, position + 8 + length + size

    def _next_chunk(self, position: int) -> int | None:
        while position < self._size:
            self._file.seek(position)
            window = self._file.read(_SEARCH_STEP + _LONGEST_CHUNK_HEADER)
            at = window.find(_CHUNK_MARK)
            while 0 <= at < _SEARCH_STEP:
                for back in range(4, min(at + position, _LONGEST_CHUNK_HEADER)):
                    record = self._record(position + at - back)
                    if (
                        record is not None
                        and record[3]
                        and b"size" in record[1]
                        and b"compression" in record[1]
                    ):
                        return position + at - back
                at = window.find(_CHUNK_MARK, at + 1)
            position += _SEARCH_STEP
        return None


def _parse(content: bytes) -> Iterator[_Record]:
    """The records of a chunk; the last one may not be whole."""
    position, end = 0, len(content)
    while position < end:
        if position + 4 > end:
            yield position, {}, b"", False
            return
        (length,) = _U32.unpack_from(content, position)
        data_at = position + 8 + length
        header = _header_fields(content, position + 4, position + 4 + length) if data_at <= end else None
        if header is None:
            yield position, {}, b"", False
            return
        (size,) = _U32.unpack_from(content, data_at - 4)
        yield position, header, content[data_at : data_at + size], data_at + size <= end
        position = data_at + size


def _header_fields(content: bytes, begin: int, end: int) -> _Header | None:
    """The fields of a header; None if the bytes are none."""
    fields: _Header = {}
    while begin < end:
        if begin + 4 > end:
            return None
        (length,) = _U32.unpack_from(content, begin)
        begin += 4
        if begin + length > end:
            return None
        name, equals, value = content[begin : begin + length].partition(b"=")
        if not equals:
            return None
        fields[name] = value
        begin += length
    return fields


def _number(header: _Header, name: bytes, size: int) -> int:
    value = header.get(name, b"")
    return int.from_bytes(value, "little") if len(value) == size else 0


def _message(header: _Header, data: bytes) -> tuple[int, int, bytes] | None:
    time = header.get(b"time", b"")
    if len(time) != 8:
        return None
    seconds, nanoseconds = struct.unpack("<II", time)
    return _number(header, b"conn", 4), seconds * 1_000_000_000 + nanoseconds, data
