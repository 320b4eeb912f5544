"""How a sequence is written."""

from dataclasses import dataclass

from mosaicolabs.enum import OnErrorPolicy

__all__ = ["WriterConfig"]


@dataclass
class WriterConfig:
    """How a sequence is written. Memory per topic is bounded by one batch plus the queue.

    Attributes:
        on_error: What becomes of the sequence if recording fails.
        max_batch_size_bytes: A topic's batch is sent when it holds this many bytes; 0 sends every record
            by itself. A single record may be larger.
        max_batch_size_records: It is sent when it holds this many records.
        max_batch_age_s: It is sent when its first record is this old, s.
        max_queue_bytes: `push` waits while more than this many bytes of its topic wait to be sent.
    """

    on_error: OnErrorPolicy
    max_batch_size_bytes: int
    max_batch_size_records: int
    max_batch_age_s: float = 0.2
    max_queue_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        for name, least in (
            ("max_batch_size_bytes", 0),
            ("max_batch_size_records", 1),
            ("max_queue_bytes", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least {least}")
