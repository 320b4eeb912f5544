"""Streams of messages, with or without a display of their position."""

from typing import TYPE_CHECKING, Any, TypeAlias

from mosaicolabs import _native
from mosaicolabs._streams.open import Window

if TYPE_CHECKING:
    from mosaicolabs._streams.progress import ReplayProgress

__all__ = ["Source", "watched"]


class WatchedStream:
    """A stream of messages whose position is displayed."""

    def __init__(self, stream: _native.Stream, progress: "ReplayProgress") -> None:
        self._stream = stream
        self._progress = progress

    def next(self) -> tuple[str, Any] | None:
        """As the stream's."""
        try:
            item = self._stream.next()
        except BaseException:
            self._progress.stop()
            raise
        if item is None:
            self._progress.end()
        else:
            self._progress.advance(item[1].timestamp_ns)
        return item

    def next_timestamp(self) -> int | None:
        """As the stream's."""
        return self._stream.next_timestamp()

    def skipped(self) -> list[tuple[Any, ...]]:
        """As the stream's."""
        return [*self._stream.skipped()]

    def close(self) -> None:
        """As the stream's."""
        self._progress.stop()
        self._stream.close()

    def __del__(self) -> None:
        self._progress.stop()


Source: TypeAlias = _native.Stream | WatchedStream
"""Where the messages of a streamer come from."""


def watched(stream: _native.Stream, title: str, window: Window, bounds: Window) -> WatchedStream:
    """Displays how far the replay of a window is; `bounds` are the first and the last time with data."""
    # Most replays show nothing, and rich takes long to import.
    from mosaicolabs._streams.progress import ReplayProgress

    (start, end), (low, high) = window, bounds
    start_ns = low if start is None or low is None else max(start, low)
    end_ns = high if end is None or high is None else min(end, high)
    return WatchedStream(stream, ReplayProgress(title, start_ns, end_ns))
