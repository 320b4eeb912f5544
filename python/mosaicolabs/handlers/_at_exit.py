"""Recordings still open when the interpreter ends: nothing that was pushed is lost without a word."""

import atexit
import os
from typing import Protocol

from mosaicolabs import _native

__all__ = ["forget", "remember"]

EXIT_SECONDS = 5


class Recording(Protocol):
    """What can be open at the end."""

    def _flush_at_exit(self) -> None: ...


# Strong references: a recording that nobody holds any more is open in the daemon all the same.
_open: dict[int, Recording] = {}


def remember(recording: Recording) -> None:
    """Flushes `recording` when the interpreter ends unless `forget` is called before."""
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
    # They belong to the parent.
    os.register_at_fork(after_in_child=_open.clear)
