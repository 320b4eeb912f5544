"""Flushes recordings that are still open when the interpreter exits, so that no loss stays unreported."""

import atexit
import os
from typing import Protocol

from mosaicolabs import _native

__all__ = ["forget", "remember"]

EXIT_SECONDS = 5


class Recording(Protocol):
    """A recording that can be open at exit."""

    def _flush_at_exit(self) -> None: ...


# Strong references: a recording without any other reference is still open in the daemon.
_open: dict[int, Recording] = {}


def remember(recording: Recording) -> None:
    """Flushes `recording` when the interpreter exits, unless `forget` is called before."""
    _open[id(recording)] = recording


def forget(recording: Recording) -> None:
    """The recording has ended."""
    _open.pop(id(recording), None)


@atexit.register
def _flush_all() -> None:
    if _open:
        _native.finish_within(EXIT_SECONDS)
    while _open:
        _, recording = _open.popitem()
        recording._flush_at_exit()


if hasattr(os, "register_at_fork"):
    # They belong to the parent process.
    os.register_at_fork(after_in_child=_open.clear)
