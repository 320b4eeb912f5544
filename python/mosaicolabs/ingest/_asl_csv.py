"""Reader of the `data.csv` files of ASL folders: a line is a row, or a bad row with the reason."""

import codecs
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


@dataclass(frozen=True)
class BadRow:
    """A line that cannot be read: its place and the reason, in one text."""

    problem: str


def read_rows(csv: Path, columns: int) -> Iterator[Row | BadRow]:
    """Rows of `csv`, in the order of the file: `columns` columns, the first with the time.

    Raises:
        RecordingError: The file cannot be opened or read.
    """
    for number, line in _lines(csv):
        place = f"{csv}:{number}"
        fields = [field.strip() for field in line.split(",")]
        try:
            if len(fields) != columns:
                raise ValueError(f"{len(fields)} columns, expected {columns}")
            yield Row(place, _timestamp(fields[0]), fields[1:])
        except ValueError as error:
            yield BadRow(f"{place}: {error}")


def read_numbers(csv: Path, columns: int) -> Iterator[tuple[Row, list[float]] | BadRow]:
    """Rows as in `read_rows`, with their columns as the nearest doubles."""
    for row in read_rows(csv, columns):
        if isinstance(row, BadRow):
            yield row
            continue
        try:
            yield row, _numbers(row.columns)
        except ValueError as error:
            yield BadRow(f"{row.place}: {error}")


def _numbers(fields: list[str]) -> list[float]:
    for field in fields:
        # `float` alone would also accept underscores and non-ASCII digits.
        if not _NUMBER.fullmatch(field):
            raise ValueError(f"`{field}` is not a number")
    return [float(field) for field in fields]


def _lines(csv: Path) -> Iterator[tuple[int, str]]:
    try:
        # A byte that is not text makes its row bad, not the file.
        with csv.open(encoding=_encoding(csv), errors="backslashreplace") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() and not line.startswith("#"):
                    yield number, line
    except (OSError, UnicodeError) as error:
        raise RecordingError(f"{csv}: {getattr(error, 'strerror', None) or error}") from error


def _encoding(csv: Path) -> str:
    """UTF-8, or what the byte order mark says; spreadsheets and PowerShell write one."""
    with csv.open("rb") as file:
        head = file.read(2)
    return "utf-16" if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _timestamp(field: str) -> int:
    if not _INTEGER.fullmatch(field):
        raise ValueError(f"time `{field}` is not a whole number of nanoseconds")
    # The length is compared first: int() of a very long text is slow, and Python refuses it.
    if len(field.lstrip("-0")) > 19 or abs(int(field)) > _INT64_MAX:
        raise ValueError(f"time {field} does not fit into 64 bits")
    return int(field)
