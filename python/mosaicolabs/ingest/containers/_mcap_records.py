"""Records of an MCAP file, as its specification lays them out."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX = range(1, 8)
ATTACHMENT, STATISTICS, METADATA, DATA_END = 9, 11, 12, 15
RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_CHUNK = struct.Struct("<QQQII")
_SEARCH_STEP = 1 << 20


@dataclass(frozen=True)
class TopRecord:
    """A record outside of chunks: kind, place, content; `whole` unless the file ends within it."""

    kind: int
    offset: int
    content: bytes
    whole: bool = True


@dataclass(frozen=True)
class ChunkHead:
    """The fields of a chunk before its records."""

    size: int
    crc: int
    compression: str
    records: bytes
    whole: bool


Found = tuple[int, int, int, int, int]
"""A message in a buffer: channel number, times of recording and publishing, begin and end of its data."""


def top_records(file: BinaryIO, size: int, report: Callable[[str], None]) -> Iterator[TopRecord]:
    """The records of a file up to its footer; damaged stretches are reported and passed over."""
    position = len(MAGIC)
    while True:
        file.seek(position)
        head = file.read(RECORD.size)
        if len(head) < RECORD.size:
            report(f"it ends at byte {size} without a footer: the recorder did not close it, or it is cut")
            return
        kind, length = RECORD.unpack(head)
        following = position + RECORD.size + length
        if kind == 0 or following > size:
            found = _next_chunk(file, position + 1, size)
            if found is None:
                report(f"it ends within the record at byte {position}, or is damaged from there on")
                if kind in (CHUNK, MESSAGE):
                    file.seek(position + RECORD.size)
                    yield TopRecord(kind, position, file.read(), whole=False)
                return
            report(f"bytes {position} to {found} are damaged")
            position = found
            continue
        yield TopRecord(kind, position, file.read(length))
        position = following
        if kind == FOOTER:
            file.seek(position)
            if file.read(len(MAGIC)) != MAGIC:
                report("it does not end with the magic bytes of MCAP")
            return


def chunk_head(content: bytes, *, whole: bool = True) -> ChunkHead:
    """The fields of a chunk.

    Raises:
        ValueError: They contradict each other.
    """
    if len(content) < _CHUNK.size + 8:
        raise ValueError("it is too short")
    _, _, size, crc, name_length = _CHUNK.unpack_from(content)
    records_at = _CHUNK.size + name_length + 8
    if name_length > 32 or records_at > len(content):
        raise ValueError(f"its compression has a name of {name_length} bytes")
    name = content[_CHUNK.size : _CHUNK.size + name_length].decode("utf-8", "backslashreplace")
    (length,) = struct.unpack_from("<Q", content, records_at - 8)
    if whole and length > len(content) - records_at:
        raise ValueError(f"its records have {len(content) - records_at} bytes instead of {length}")
    return ChunkHead(size, crc, name, content[records_at : records_at + length], whole)


def inner_records(buffer: bytes, define: Callable[[int, bytes], None], messages: list[Found]) -> int:
    """Appends the messages of a chunk; `define` receives kind and content of definitions.

    Returns the number of bytes at the end that are no whole record.
    """
    position, size = 0, len(buffer)
    unpack_record, unpack_message = RECORD.unpack_from, _MESSAGE.unpack_from
    while position + RECORD.size <= size:
        kind, length = unpack_record(buffer, position)
        begin = position + RECORD.size
        end = begin + length
        if end > size:
            break
        if kind == MESSAGE and length >= _MESSAGE.size:
            number, _, log_ns, publish_ns = unpack_message(buffer, begin)
            messages.append((number, log_ns, publish_ns, begin + _MESSAGE.size, end))
        elif kind in (SCHEMA, CHANNEL):
            define(kind, buffer[begin:end])
        position = end
    return size - position


def outer_message(content: bytes) -> Found | None:
    """The message of a record outside of chunks; None if the record is too short."""
    if len(content) < _MESSAGE.size:
        return None
    number, _, log_ns, publish_ns = _MESSAGE.unpack_from(content)
    return number, log_ns, publish_ns, _MESSAGE.size, len(content)


class Fields:
    """Reads the fields of a record one after the other.

    Raises:
        ValueError: The record ends within a field.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0

    def number(self, code: str) -> int:
        """An integer of a `struct` code."""
        size = struct.calcsize("<" + code)
        (value,) = struct.unpack("<" + code, self.octets(size))
        return int(value)

    def octets(self, size: int) -> bytes:
        """The next `size` bytes."""
        if self.position + size > len(self._content):
            raise ValueError("a record ends within a field")
        self.position += size
        return self._content[self.position - size : self.position]

    def text(self) -> str:
        """A string with its length before it."""
        return self.octets(self.number("I")).decode("utf-8", "backslashreplace")

    def texts(self) -> dict[str, str]:
        """A map of strings."""
        end = self.number("I") + self.position
        found = {}
        while self.position < end:
            key = self.text()
            found[key] = self.text()
        return found


def _next_chunk(file: BinaryIO, position: int, size: int) -> int | None:
    """The offset of the next chunk, recognized by two lengths that agree; None if there is none."""
    kind = bytes([CHUNK])
    while position < size:
        file.seek(position)
        window = file.read(_SEARCH_STEP + 128)
        at = window.find(kind)
        while 0 <= at < _SEARCH_STEP:
            if _is_chunk(window[at : at + 128], size - position - at):
                return position + at
            at = window.find(kind, at + 1)
        position += _SEARCH_STEP
    return None


def _is_chunk(head: bytes, left: int) -> bool:
    if len(head) < RECORD.size + _CHUNK.size + 8:
        return False
    _, length = RECORD.unpack_from(head)
    _, _, _, _, name_length = _CHUNK.unpack_from(head, RECORD.size)
    at = RECORD.size + _CHUNK.size + name_length
    if name_length > 32 or at + 8 > len(head) or RECORD.size + length > left:
        return False
    (records,) = struct.unpack_from("<Q", head, at)
    return bool(records == length - _CHUNK.size - name_length - 8)
