"""Progress of long recordings and replays on stderr, where it is a terminal or a notebook.

What is shown is looked up a few times a second by a thread, so that messages pay nothing for it.
"""

import time
from collections.abc import Callable
from typing import Any, TypeAlias

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from mosaicolabs import _native
from mosaicolabs.helpers._format import count

__all__ = ["RecordingProgress", "Source", "watched"]

_REFRESHES_PER_SECOND = 4
_BAR_WIDTH = 30


class _Display:
    """Shows what `render` gives until it is stopped."""

    def __init__(self, render: Callable[[], RenderableType]) -> None:
        console = Console(stderr=True)
        self._live: Live | None = None
        if console.is_terminal or console.is_jupyter:
            live = Live(
                console=console,
                get_renderable=render,
                refresh_per_second=_REFRESHES_PER_SECOND,
                transient=False,
            )
            live.start()
            self._live = live

    def stop(self) -> None:
        """Leaves the last state on the screen; may be called again."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()


# -- recording -----------------------------------------------------------------------------------


class RecordingProgress:
    """Pushed and durable messages of each topic of a recording."""

    def __init__(self, name: str, stats: Callable[[], dict[str, tuple[int, int, int, int]]]) -> None:
        self._name, self._stats = name, stats
        self._started = time.monotonic()
        self._display = _Display(self._render)

    def _render(self) -> RenderableType:
        table = Table(box=None)
        for heading in ("topic", "pushed", "durable", "waiting MB", "messages/s"):
            table.add_column(heading, justify="left" if heading == "topic" else "right")
        seconds = max(time.monotonic() - self._started, 1e-9)
        for topic, (pushed, _, durable, waiting_bytes) in self._stats().items():
            rate = count(round(pushed / seconds))
            table.add_row(topic, count(pushed), count(durable), f"{waiting_bytes / 1e6:.1f}", rate)
        return Group(f"recording {self._name}", table)

    def stop(self) -> None:
        """Shows the last state."""
        self._display.stop()


# -- replay --------------------------------------------------------------------------------------


class _Position:
    """How far a replay is. Of its own, so that what shows it does not keep the stream open."""

    def __init__(self, title: str, start_ns: int | None, end_ns: int | None) -> None:
        self.title = title
        self.start_ns, self.end_ns = start_ns, end_ns
        self.at_ns = start_ns
        self.messages = 0
        self._started = time.monotonic()

    def part(self) -> float | None:
        """Between 0 and 1; None: nobody knows where the end is."""
        if self.start_ns is None or self.end_ns is None or self.at_ns is None:
            return None
        span = self.end_ns - self.start_ns
        return min((self.at_ns - self.start_ns) / span, 1.0) if span > 0 else 1.0

    def render(self) -> RenderableType:
        part = self.part()
        rate = self.messages / max(time.monotonic() - self._started, 1e-9)
        line = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=part or 0.0, pulse=part is None, width=_BAR_WIDTH)
        percent = "" if part is None else f"{part:.0%}"
        figures = f"{count(self.messages)} messages, {count(round(rate))}/s"
        line.add_row(f"replaying {self.title}", bar, percent, figures)
        return line


class WatchedStream:
    """A stream that tells how far it is."""

    def __init__(
        self, stream: _native.Stream, title: str, *, start_ns: int | None, end_ns: int | None
    ) -> None:
        self._stream = stream
        self._position = _Position(title, start_ns, end_ns)
        self._display = _Display(self._position.render)

    def next(self) -> tuple[str, Any] | None:
        """As the stream's."""
        try:
            item = self._stream.next()
        except BaseException:
            self._display.stop()
            raise
        if item is None:
            self._position.at_ns = self._position.end_ns
            self._display.stop()
        else:
            self._position.messages += 1
            self._position.at_ns = item[1].timestamp_ns
        return item

    def next_timestamp(self) -> int | None:
        """As the stream's."""
        return self._stream.next_timestamp()

    def close(self) -> None:
        """As the stream's."""
        self._display.stop()
        self._stream.close()

    def __del__(self) -> None:
        self._display.stop()


Source: TypeAlias = _native.Stream | WatchedStream


def watched(
    stream: _native.Stream,
    title: str,
    window: tuple[int | None, int | None],
    bounds: tuple[int | None, int | None],
) -> WatchedStream:
    """Shows how far the replay of a window is; `bounds` are the first and last time that there are."""
    (start, end), (low, high) = window, bounds
    start_ns = low if start is None or low is None else max(start, low)
    end_ns = high if end is None or high is None else min(end, high)
    return WatchedStream(stream, title, start_ns=start_ns, end_ns=end_ns)
