"""Checks the framing of a ULog file: pyulog does not report a truncated last record."""

import struct
from pathlib import Path

MAGIC = b"ULog\x01\x12\x35"
_FILE_HEADER = 16
_RECORD_HEADER = struct.Struct("<HB")


def find_cut(path: Path) -> int | None:
    """Offset of the truncated last record, bytes; None if the last record is complete."""
    size = path.stat().st_size
    position = _FILE_HEADER
    with path.open("rb") as file:
        while position + _RECORD_HEADER.size <= size:
            file.seek(position)
            length, _ = _RECORD_HEADER.unpack(file.read(_RECORD_HEADER.size))
            following = position + _RECORD_HEADER.size + length
            if following > size:
                return position
            position = following
    return None if position == size else position
