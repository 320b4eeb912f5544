"""Walks over the records of a ULog file: pyulog does not tell when the last one is cut."""

import struct
from pathlib import Path

MAGIC = b"ULog\x01\x12\x35"
_FILE_HEADER = 16
_RECORD_HEADER = struct.Struct("<HB")


def find_cut(path: Path) -> int | None:
    """Where the record begins that the end of the file cuts; None if the last record is complete."""
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
