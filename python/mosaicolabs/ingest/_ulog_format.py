"""Formats of ULog topics: as types of numpy for the rows, and of Arrow for the columns."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Columns = dict[str, npt.NDArray[Any]]

_SCALARS = {
    "int8_t": "i1",
    "uint8_t": "u1",
    "int16_t": "<i2",
    "uint16_t": "<u2",
    "int32_t": "<i4",
    "uint32_t": "<u4",
    "int64_t": "<i8",
    "uint64_t": "<u8",
    "float": "<f4",
    "double": "<f8",
    "bool": "?",
}
_FIELD = re.compile(r"([A-Za-z0-9_/]+)(?:\[(\d+)\])? (.+)")
_PADDING = "_padding"
_DEEPEST = 16


class FormatError(ValueError):
    """A format cannot be used; the text says why."""


@dataclass(frozen=True)
class Format:
    """The layout of the rows of a topic.

    Attributes:
        dtype: A structured type without padding between fields.
        trailing: Bytes of padding at the end, which rows may leave out.
    """

    dtype: np.dtype[Any]
    trailing: int

    @property
    def has_time(self) -> bool:
        """Whether rows have a time: a whole number named `timestamp`."""
        names = self.dtype.names or ()
        return (
            "timestamp" in names
            and self.dtype["timestamp"].kind in "ui"
            and not self.dtype["timestamp"].shape
        )

    def rows(self, encoded: list[bytes]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """The rows that fit, and which those are."""
        size = self.dtype.itemsize
        fits = np.fromiter((size - self.trailing <= len(row) <= size for row in encoded), bool, len(encoded))
        whole = b"".join(row.ljust(size, b"\0") for row, fit in zip(encoded, fits, strict=True) if fit)
        return np.frombuffer(whole, self.dtype), fits


def parse_format(name: str, formats: dict[str, str]) -> Format:
    """The format of a topic.

    Raises:
        FormatError: It, or a format that it contains, is missing, broken or has an unknown type.
    """
    dtype = _dtype(name, formats, 0)
    if not dtype.itemsize:
        raise FormatError(f"the format of {name} has no fields")
    trailing = 0
    for field in reversed(dtype.names or ()):
        if not field.startswith(_PADDING):
            break
        trailing += dtype[field].itemsize
    return Format(dtype, trailing)


def flat_columns(rows: npt.NDArray[Any], prefix: str = "") -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Every number as a column of its own: `q[0]`, `esc[1].rpm`; without padding."""
    for name in rows.dtype.names or ():
        if name.startswith(_PADDING):
            continue
        values = rows[name]
        if values.ndim == 1:
            yield from _flat_one(values, f"{prefix}{name}")
        else:
            for index in range(values.shape[1]):
                yield from _flat_one(values[:, index], f"{prefix}{name}[{index}]")


def arrow_columns(rows: npt.NDArray[Any]) -> dict[str, pa.Array]:
    """Every field as a column: arrays are fixed-size lists, `char` arrays texts, nested formats structs."""
    return {name: _arrow(rows[name]) for name in rows.dtype.names or () if not name.startswith(_PADDING)}


def _dtype(name: str, formats: dict[str, str], depth: int) -> np.dtype[Any]:
    if name not in formats:
        raise FormatError(f"the log has no format of the type `{name}`")
    if depth > _DEEPEST:
        raise FormatError(f"the format of {name} contains itself")
    fields: list[Any] = []
    for text in filter(None, formats[name].split(";")):
        match = _FIELD.fullmatch(text.strip())
        if match is None:
            raise FormatError(f"the format of {name} has the field `{text}`, which cannot be read")
        kind, count, field = match.groups()
        if kind == "char":
            fields.append((field, f"S{count or 1}"))
            continue
        scalar = np.dtype(_SCALARS[kind]) if kind in _SCALARS else _dtype(kind, formats, depth + 1)
        fields.append((field, scalar, (int(count),)) if count else (field, scalar))
    try:
        return np.dtype(fields)
    except (ValueError, TypeError) as error:
        raise FormatError(f"the format of {name} cannot be used: {error}") from error


def _flat_one(values: npt.NDArray[Any], name: str) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if values.dtype.names:
        yield from flat_columns(values, f"{name}.")
    else:
        yield name, values


def _arrow(values: npt.NDArray[Any]) -> pa.Array:
    if values.ndim > 1:
        size = values.shape[1]
        flat = np.ascontiguousarray(values).reshape(-1)
        return pa.FixedSizeListArray.from_arrays(_arrow(flat), size)
    if values.dtype.names:
        columns = arrow_columns(values)
        return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
    if values.dtype.kind == "S":
        # numpy cuts zeros at the end only; what is behind the first one is no text.
        return pa.array(
            [bytes(value).partition(b"\0")[0].decode("utf-8", "backslashreplace") for value in values],
            pa.string(),
        )
    if values.dtype.kind == "b":
        return pa.array(np.ascontiguousarray(values).view(np.uint8) != 0)
    return pa.array(np.ascontiguousarray(values))
