"""Life cycle of a sequence as its writer sees it."""

from enum import Enum


class SequenceStatus(Enum):
    """State of the sequence that a writer is recording."""

    Null = "null"
    """Not created yet."""

    Pending = "pending"
    """Created, being recorded."""

    Finalized = "finalized"
    """Complete and immutable."""

    Error = "error"
    """Recording or finalizing failed."""

    def __call__(self) -> "SequenceStatus":
        """The status itself: older code calls `writer.sequence_status()`."""
        return self
