"""DataFlash logs of ArduPilot: messages whose formats are in the log itself."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ._reader_api import RecordingError

MAGIC = b"\xa3\x95"
_FORMAT_ID = 128
_FORMAT = struct.Struct("<BB4s16s64s")
_HEADER = 3
# So many zeros or ones in a row are flash memory that was not written, not numbers.
_UNWRITTEN = 32

# Code of a field: type of numpy, and the factor that gives the value in its unit.
_CODES: dict[str, tuple[Any, float | None]] = {
    "b": ("i1", None),
    "B": ("u1", None),
    "h": ("<i2", None),
    "H": ("<u2", None),
    "i": ("<i4", None),
    "I": ("<u4", None),
    "f": ("<f4", None),
    "d": ("<f8", None),
    "n": ("S4", None),
    "N": ("S16", None),
    "Z": ("S64", None),
    "c": ("<i2", 100.0),
    "C": ("<u2", 100.0),
    "e": ("<i4", 100.0),
    "E": ("<u4", 100.0),
    "L": ("<i4", 1e7),
    "M": ("u1", None),
    "q": ("<i8", None),
    "Q": ("<u8", None),
    "a": (("<i2", (32,)), None),
    "g": ("<f2", None),
}


@dataclass
class MessageFormat:
    """One kind of messages.

    Attributes:
        name: Its name, up to four letters.
        codes: A code for each field.
        labels: Names of the fields.
        length: Size of a message with its header, bytes.
        rows: The encoded messages, without headers.
    """

    name: str
    codes: str
    labels: list[str]
    length: int
    rows: list[bytes] = field(default_factory=list)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The layout of a row.

        Raises:
            ValueError: A code is unknown, names are missing or repeated, or the length is another one.
        """
        if len(self.codes) != len(self.labels) or len(set(self.labels)) != len(self.labels):
            raise ValueError(
                f"the format {self.name} has {len(self.codes)} fields with the names {self.labels}"
            )
        unknown = [code for code in self.codes if code not in _CODES]
        if unknown:
            raise ValueError(f"the format {self.name} has fields of the unknown kind `{unknown[0]}`")
        fields = []
        for label, code in zip(self.labels, self.codes, strict=True):
            kind, _ = _CODES[code]
            fields.append((label, *kind) if isinstance(kind, tuple) else (label, kind))
        dtype = np.dtype(fields)
        if dtype.itemsize != self.length - _HEADER:
            raise ValueError(
                f"the fields of {self.name} have {dtype.itemsize} bytes, its messages {self.length - _HEADER}"
            )
        return dtype

    def table(self) -> npt.NDArray[Any]:
        """The rows."""
        return np.frombuffer(b"".join(self.rows), self.dtype)


def read_dataflash(path: Path, report: Callable[[str], None]) -> list[MessageFormat]:
    """All messages of a log, by kind; damaged stretches are reported and passed over.

    Raises:
        RecordingError: The log has no formats.
    """
    content = path.read_bytes()
    formats: dict[int, MessageFormat] = {_FORMAT_ID: MessageFormat("FMT", "BBnNZ", [], 3 + _FORMAT.size)}
    position, damaged_from = 0, None
    while (at := content.find(MAGIC, position)) >= 0 and at + _HEADER <= len(content):
        entry = formats.get(content[at + 2])
        if entry is None or not _is_message(content, at, entry.length, formats, in_order=at == position):
            damaged_from = min(position, at) if damaged_from is None else damaged_from
            position = at + 1
            continue
        begin = position if damaged_from is None else min(position, damaged_from)
        if _is_written(content[begin:at]):
            report(f"bytes {begin} to {at} are damaged")
        damaged_from = None
        body = content[at + _HEADER : at + entry.length]
        position = at + entry.length
        if entry.name == "FMT" and content[at + 2] == _FORMAT_ID:
            _define(formats, body)
        else:
            entry.rows.append(body)
    rest = content[position if damaged_from is None else damaged_from :]
    if _is_written(rest):
        report(f"it ends within a message, or is damaged, from byte {len(content) - len(rest)} on")
    found = [entry for number, entry in formats.items() if number != _FORMAT_ID]
    if not found:
        raise RecordingError(f"{path}: the log has no formats of messages")
    return found


def columns(table: npt.NDArray[Any], codes: str) -> dict[str, pa.Array]:
    """The fields as columns, in their units: codes such as `L` stand for decimal fractions."""
    found = {}
    for label, code in zip(table.dtype.names or (), codes, strict=True):
        values, (_, divisor) = np.ascontiguousarray(table[label]), _CODES[code]
        if values.dtype.kind == "S":
            texts = [bytes(value).partition(b"\0")[0].decode("utf-8", "backslashreplace") for value in values]
            found[label] = pa.array(texts, pa.string())
        elif values.ndim > 1:
            found[label] = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
        elif divisor is not None:
            # Division keeps decimal fractions exact: 473977420 / 1e7 is the double nearest to 47.397742.
            found[label] = pa.array(values / divisor)
        else:
            found[label] = pa.array(values.astype(np.float32) if code == "g" else values)
    return found


def _is_message(
    content: bytes, at: int, length: int, formats: dict[int, MessageFormat], *, in_order: bool
) -> bool:
    """Whether the magic bytes begin a message: another one, or nothing, follows where it ends.

    A message in its place may be followed by damage, unless one begins within it: then it is not whole.
    """
    if _ends_well(content, at + length):
        return True
    if not in_order or at + length > len(content):
        return False
    within = content.find(MAGIC, at + 2, at + length)
    while within >= 0:
        inner = formats.get(content[within + 2]) if within + 2 < len(content) else None
        if inner is not None and _ends_well(content, within + inner.length):
            return False
        within = content.find(MAGIC, within + 1, at + length)
    return True


def _ends_well(content: bytes, position: int) -> bool:
    if position > len(content):
        return False
    following = content[position : position + _UNWRITTEN]
    return following.startswith(MAGIC) or not _is_written(following)


def _is_written(stretch: bytes) -> bool:
    """Whether there is anything: flash pages that were not written are zeros or ones."""
    return bool(stretch.strip(b"\0").strip(b"\xff"))


def _define(formats: dict[int, MessageFormat], body: bytes) -> None:
    number, length, name, codes, labels = _FORMAT.unpack(body)
    if number == _FORMAT_ID or number in formats or length < _HEADER:
        return
    formats[number] = MessageFormat(
        _text(name), _text(codes), [label for label in _text(labels).split(",") if label], length
    )


def _text(octets: bytes) -> str:
    return octets.partition(b"\0")[0].decode("ascii", "backslashreplace").strip()
