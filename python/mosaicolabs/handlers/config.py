"""Settings of a recording."""

import os
from dataclasses import dataclass
from pathlib import Path

from mosaicolabs.enum import OnErrorPolicy
from mosaicolabs.exceptions import InvalidInputError

__all__ = ["WriterConfig"]


@dataclass
class WriterConfig:
    """Settings of a recording.

    Attributes:
        on_error: What happens to the sequence if recording fails.
        max_batch_size_bytes: A topic's batch is sent at this size, bytes; 0 sends every message separately.
            A single message may be larger.
        max_batch_size_records: A batch is sent at this number of messages.
        max_batch_age_s: A batch is sent when its first message is this old, s.
        max_buffered_bytes: Memory for all topics of the recording together, bytes. Each topic has an equal
            share: `push` blocks while the share of its topic is used up (backpressure). Messages count until
            the daemon has acknowledged them.
        reconnect_timeout_s: How long to try to reconnect when the connection breaks or the daemon restarts,
            s. The recording resumes after the last durable message. 0: the first failure ends the recording.
            Has no effect on topics of Mosaico 0.2 servers, which do not report what is durable.
        spill_folder: Folder for messages that exceed `max_buffered_bytes`, so that `push` need not block
            while the daemon is slow or unreachable. None: no spilling. The files are deleted when the process
            ends.
        max_spill_bytes: Disk space for all topics of the recording together, bytes.
        finalize_on: Exceptions that end the recording as its normal end does: the sequence is finalized, and
            the exception is raised again. `KeyboardInterrupt` for recordings that Ctrl-C ends.
        progress: Show pushed and durable messages on stderr, where that is a terminal or a notebook.
    """

    on_error: OnErrorPolicy
    max_batch_size_bytes: int
    max_batch_size_records: int
    max_batch_age_s: float = 0.2
    max_buffered_bytes: int = 64 * 1024 * 1024
    reconnect_timeout_s: float = 60.0
    spill_folder: str | os.PathLike[str] | None = None
    max_spill_bytes: int = 1024 * 1024 * 1024
    progress: bool = False
    finalize_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        for name, least in (
            ("max_batch_size_bytes", 0),
            ("max_batch_size_records", 1),
            ("max_buffered_bytes", 1),
            ("reconnect_timeout_s", 0),
            ("max_spill_bytes", 1),
        ):
            if getattr(self, name) < least:
                raise InvalidInputError(f"{name} is {getattr(self, name)}; give at least {least}")
        if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in self.finalize_on):
            raise InvalidInputError(
                f"finalize_on is {self.finalize_on!r}; give classes of exceptions, such as KeyboardInterrupt"
            )
        if self.spill_folder is not None and not Path(self.spill_folder).is_dir():
            raise InvalidInputError(
                f"spill_folder {os.fspath(self.spill_folder)!r} is not a folder; create it first"
            )
