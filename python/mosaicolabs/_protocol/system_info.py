"""What the daemon tells about the storage of a sequence or topic."""

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
    """Messages that are durable and cannot be read now: they lie in the log of another daemon of the store.

    Attributes:
        daemon: Where that daemon is reached, `host:port`; its id if its address is not known any more.
        rows: How many; None if only that daemon knows.
        running: Whether it runs, so that they are on their way. Else start it on its state folder.

    Example:
        >>> from mosaicolabs import RemoteRows
        >>> print(RemoteRows("one.example.org:6726", 10, running=False))
        10 messages at one.example.org:6726, which does not run
    """

    daemon: str
    rows: int | None
    running: bool

    def __str__(self) -> str:
        number = "an unknown number of" if self.rows is None else count(self.rows)
        state = "is storing them" if self.running else "does not run"
        return f"{number} messages at {self.daemon}, which {state}"


def sum_by_daemon(several: Iterable[RemoteRows]) -> list[RemoteRows]:
    """What each daemon has of several topics, and of several of its times in one."""
    sums: dict[str, RemoteRows] = {}
    for one in several:
        known = sums.get(one.daemon, RemoteRows(one.daemon, 0, one.running))
        rows = None if known.rows is None or one.rows is None else known.rows + one.rows
        sums[one.daemon] = RemoteRows(one.daemon, rows, one.running)
    return list(sums.values())
