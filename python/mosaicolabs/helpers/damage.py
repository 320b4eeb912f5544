"""Rows of damaged chunks that a read left out."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["DamagedRows", "DamagedRowsWarning", "warn_skipped"]


class DamagedRowsWarning(UserWarning):
    """A read with `skip_damaged` left out rows of a damaged chunk."""


@dataclass(frozen=True)
class DamagedRows:
    """Rows that an answer lacks, since their chunk in the store is damaged.

    Attributes:
        topic: `sequence/topic`.
        chunk: ID of the chunk.
        rows: First row of the chunk and the row behind its last one, counted in the topic.
        timestamp_range: First and last time of the chunk's rows, ns.
        skipped_rows: How many of its rows were not read; those outside the requested window are included.
        cause: How the file differs from the one that was written.
    """

    topic: str
    chunk: str
    rows: tuple[int, int]
    timestamp_range: tuple[int, int]
    skipped_rows: int
    cause: str

    @classmethod
    def of_native(cls, found: Iterable[tuple[Any, ...]]) -> "list[DamagedRows]":
        """What the native reader reports."""
        return [cls(*rows) for rows in found]

    @classmethod
    def of_answer(cls, found: Iterable[dict[str, Any]]) -> "list[DamagedRows]":
        """What the answer of a query reports."""
        return [
            cls(
                topic=rows["topic"],
                chunk=rows["chunk"],
                rows=(rows["rows"][0], rows["rows"][1]),
                timestamp_range=(rows["timestamp_range"][0], rows["timestamp_range"][1]),
                skipped_rows=rows["skipped_rows"],
                cause=rows["cause"],
            )
            for rows in found
        ]

    def __str__(self) -> str:
        start, end = self.timestamp_range
        return (
            f"{self.skipped_rows} rows of {self.topic} in chunk {self.chunk} (rows {self.rows[0]} to "
            f"{self.rows[1]}, {start} to {end} ns): {self.cause}"
        )


def warn_skipped(skipped: Iterable[DamagedRows]) -> None:
    """Warns of each damaged chunk."""
    for rows in skipped:
        warnings.warn(f"skipped {rows}", DamagedRowsWarning, stacklevel=4)
