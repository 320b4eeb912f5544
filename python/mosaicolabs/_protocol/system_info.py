"""Storage facts of a sequence or topic."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mosaicolabs.helpers._format import count

__all__ = ["RemoteRows", "SystemInfo"]


@dataclass
class SystemInfo:
    """Storage facts.

    Attributes:
        total_size_bytes: Stored bytes.
        created_datetime: Creation time, UTC.
        is_locked: Whether it is complete and immutable.
        chunks_number: Number of stored chunks; None for a sequence.
    """

    total_size_bytes: int
    created_datetime: datetime
    is_locked: bool
    chunks_number: int | None = None


@dataclass(frozen=True)
class RemoteRows:
    """Acknowledged messages that cannot be read now: only another daemon of the store has them in its WAL.

    Attributes:
        daemon: Address of that daemon, `host:port`; its id if the address is no longer known.
        rows: Number of messages; None if only that daemon knows it.
        running: Whether it runs, so that it is storing them. If not, start it on its state folder.

    Example:
        >>> from mosaicolabs import RemoteRows
        >>> print(RemoteRows("one.example.org:6726", 10, running=False))
        10 messages on one.example.org:6726, which is not running
    """

    daemon: str
    rows: int | None
    running: bool

    def __str__(self) -> str:
        number = "an unknown number of" if self.rows is None else count(self.rows)
        state = "is storing them" if self.running else "is not running"
        return f"{number} messages on {self.daemon}, which {state}"


def sum_by_daemon(several: Iterable[RemoteRows]) -> list[RemoteRows]:
    """One entry per daemon: the sum over topics, and over several runs of the daemon."""
    sums: dict[str, RemoteRows] = {}
    for one in several:
        known = sums.get(one.daemon, RemoteRows(one.daemon, 0, one.running))
        rows = None if known.rows is None or one.rows is None else known.rows + one.rows
        sums[one.daemon] = RemoteRows(one.daemon, rows, one.running)
    return list(sums.values())
