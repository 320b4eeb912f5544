"""How a sequence is written."""

from dataclasses import dataclass

from mosaicolabs.enum import OnErrorPolicy

__all__ = ["WriterConfig"]


@dataclass
class WriterConfig:
    """How a sequence is written.

    Attributes:
        on_error: What becomes of the sequence if recording fails.
        max_batch_size_bytes: A topic's batch is sent when it holds this many bytes; 0 sends every record
            by itself. A single record may be larger.
        max_batch_size_records: It is sent when it holds this many records.
        max_batch_age_s: It is sent when its first record is this old, s.
        max_buffered_bytes: What all topics of the recording may hold in memory together. Each has an equal
            share: `push` waits while its topic's share is used up, whatever the others do.
    """

    on_error: OnErrorPolicy
    max_batch_size_bytes: int
    max_batch_size_records: int
    max_batch_age_s: float = 0.2
    max_buffered_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        for name, least in (
            ("max_batch_size_bytes", 0),
            ("max_batch_size_records", 1),
            ("max_buffered_bytes", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least {least}")
