"""CSV and TSV files. Types are those that hold every value of the whole file."""

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from mosaicolabs.ingest._reader_api import RecordingError

from ._source import Source

_BLOCK_BYTES = 1 << 20
# In the order of trial; text fits always.
_LADDER = (pa.int64(), pa.uint64(), pa.float64(), pa.bool_())
# `007` is a name, not a number: its zeros would be lost.
_LEADING_ZERO = r"^[+-]?0[0-9]"


def open_csv(path: Path) -> Source:
    """Reads a file once to find types and bad rows: those with another number of columns than the header.

    The separator is the one of `,`, `;`, tab and `|` that the header has most of. Empty fields are null.

    Raises:
        RecordingError: The file has no header, or columns of equal names.
    """
    names, separator, encoding = _header(path)
    bad: list[str] = []
    found: dict[str, list[pa.DataType]] = {name: list(_LADDER) for name in names}
    rows = 0
    for batch in _texts(path, names, separator, encoding, bad.append):
        rows += batch.num_rows
        for name in names:
            found[name] = [kind for kind in found[name] if _fits(batch[name], kind)]
    types = {name: kinds[0] if kinds else pa.string() for name, kinds in found.items()}

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in _texts(path, names, separator, encoding, lambda text: None):
            yield pa.RecordBatch.from_arrays(
                [_cast(batch[name], kind) for name, kind in types.items()], names=names
            )

    problem = f"{path}: {bad[0]}" if bad else ""
    return Source(pa.schema(list(types.items())), rows, len(bad), problem, batches)


def _header(path: Path) -> tuple[list[str], str, str]:
    with path.open("rb") as file:
        head = file.read(2)
    encoding = "utf-16" if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        with path.open(encoding=encoding, newline="") as file:
            line = file.readline().rstrip("\r\n")
    except UnicodeError as error:
        raise RecordingError(f"{path}:1: the header is not text: {error}") from error
    separator = max(",;\t|", key=line.count)
    names = [name.strip().strip('"').lstrip("#").strip() for name in line.split(separator)]
    names = [name or f"column_{number}" for number, name in enumerate(names, start=1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not line or twice:
        reason = f"two columns are named `{twice[0]}`" if twice else "the file has no header"
        raise RecordingError(f"{path}:1: {reason}")
    return names, separator, encoding


def _texts(
    path: Path, names: list[str], separator: str, encoding: str, report: Callable[[str], None]
) -> Iterator[pa.RecordBatch]:
    def handle(row: pa.csv.InvalidRow) -> str:
        report(f"row with {row.actual_columns} columns, expected {row.expected_columns}: {row.text[:80]}")
        return "skip"

    name = encoding.replace("-sig", "")
    read = pa.csv.ReadOptions(
        column_names=names, skip_rows=1, block_size=_BLOCK_BYTES, encoding=name, use_threads=False
    )
    parse = pa.csv.ParseOptions(delimiter=separator, invalid_row_handler=handle, newlines_in_values=True)
    convert = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    try:
        with pa.csv.open_csv(str(path.absolute()), read, parse, convert) as reader:
            yield from reader
    except StopIteration:
        return
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise RecordingError(f"{path}: {error}") from error


def _fits(values: pa.Array, kind: pa.DataType) -> bool:
    if values.null_count == len(values):
        return True
    if pa.types.is_integer(kind) and pc.any(pc.match_substring_regex(values, _LEADING_ZERO)).as_py():
        return False
    if kind == pa.float64() and pc.any(pc.match_substring_regex(values, r"^[+-]?0[0-9]+$")).as_py():
        return False
    try:
        cast = _cast(values, kind)
    except pa.ArrowInvalid:
        return False
    if kind == pa.float64():
        # Whole numbers of more digits than a double has.
        long = pc.match_substring_regex(values, r"^[+-]?[0-9]{16,}$")
        return not pc.any(pc.and_(long, pc.greater_equal(pc.abs(cast), 2.0**53))).as_py()
    return True


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if kind == pa.string():
        return values
    trimmed = pc.utf8_trim_whitespace(values)
    if kind == pa.bool_():
        lower = pc.utf8_lower(trimmed)
        known = pc.is_in(lower, pa.array(["true", "false", None]))
        if not pc.all(known).as_py():
            raise pa.ArrowInvalid("not a boolean")
        return pc.equal(lower, "true")
    return pc.cast(trimmed, kind)
