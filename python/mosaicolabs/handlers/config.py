"""How a sequence is written."""

import os
from dataclasses import dataclass
from pathlib import Path

from mosaicolabs.enum import OnErrorPolicy
from mosaicolabs.exceptions import InvalidInputError

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
            share: `push` waits while its topic's share is used up, whatever the others do. Messages count
            until the daemon has acknowledged them.
        reconnect_timeout_s: How long a daemon that went away is waited for, s. The recording then goes on
            after the last row that it has stored; only after that time is the connection given up. 0: the
            first failure ends the recording. Mosaico 0.2 servers do not tell what they have stored: there
            it has no effect on topics.
        spill_folder: Where messages go that find no room in `max_buffered_bytes`, so that `push` need not
            wait while the daemon is slow or away. None: nowhere. The files vanish with the process.
        max_spill_bytes: What all topics of the recording may hold there together.
        progress: Show on stderr what is pushed and durable, where that is a terminal or a notebook.
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
        if self.spill_folder is not None and not Path(self.spill_folder).is_dir():
            raise InvalidInputError(
                f"spill_folder {os.fspath(self.spill_folder)!r} is not a folder; make it first"
            )
