"""What the daemon tells about the storage of a sequence or topic."""

from dataclasses import dataclass
from datetime import datetime

__all__ = ["SystemInfo"]


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
