"""Strict reader of the `data.csv` files of ASL folders: a line is a row, or an error with its place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ._reader_api import RecordingError

_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_NUMBER = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf)", re.ASCII | re.IGNORECASE
)
_INT64_MAX = 2**63 - 1


@dataclass(frozen=True)
class Row:
    """One line: its place (file and line), its time, and the text of the other columns."""

    place: str
    timestamp_ns: int
    columns: list[str]


def read_rows(csv: Path, columns: int) -> Iterator[Row]:
    """Rows of `csv`, checked: `columns` columns, the first with the time, in time order."""
    previous_ns = -_INT64_MAX
    for number, line in _lines(csv):
        place = f"{csv}:{number}"
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != columns:
            raise RecordingError(f"{place}: {len(fields)} columns, expected {columns}")
        timestamp_ns = _timestamp(fields[0], place)
        if timestamp_ns < previous_ns:
            raise RecordingError(
                f"{place}: time {timestamp_ns} is earlier than {previous_ns} of the previous row; "
                "sort the file by its first column"
            )
        previous_ns = timestamp_ns
        yield Row(place, timestamp_ns, fields[1:])


def numbers(row: Row) -> list[float]:
    """The columns as the nearest doubles."""
    for field in row.columns:
        # `float` alone would also accept underscores and non-ASCII digits.
        if not _NUMBER.fullmatch(field):
            raise RecordingError(f"{row.place}: `{field}` is not a number")
    return [float(field) for field in row.columns]


def _lines(csv: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with csv.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() and not line.startswith("#"):
                    yield number, line
    except UnicodeDecodeError as error:
        raise RecordingError(f"{csv}:{number + 1}: not a text file ({error.reason})") from error
    except OSError as error:
        raise RecordingError(f"{csv}: {error.strerror}") from error


def _timestamp(field: str, place: str) -> int:
    if not _INTEGER.fullmatch(field):
        raise RecordingError(f"{place}: time `{field}` is not a whole number of nanoseconds")
    # The length is compared first: int() of a very long text is slow, and Python refuses it.
    if len(field.lstrip("-0")) > 19 or abs(int(field)) > _INT64_MAX:
        raise RecordingError(f"{place}: time {field} does not fit into 64 bits")
    return int(field)
