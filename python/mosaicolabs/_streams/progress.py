"""The one progress display: figures on stderr, where that is a terminal or a notebook.

A thread renders the figures a few times a second, so that a message costs no more than an addition.
"""

import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from typing_extensions import Self

from mosaicolabs._safe_console import SafeConsole
from mosaicolabs.helpers._format import count

__all__ = ["ProgressDisplay", "RecordingProgress", "ReplayProgress", "Stopwatch"]

_REFRESHES_PER_SECOND = 4
_BAR_WIDTH = 30


class ProgressDisplay:
    """Shows the current figures until it is stopped; shows nothing where no one would see it.

    Args:
        render: Gives the current figures; called from a thread.
        console: Where to show them. None: stderr.
    """

    def __init__(self, render: Callable[[], RenderableType], console: Console | None = None) -> None:
        console = console or SafeConsole(stderr=True)
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
        """Leaves the final figures on the screen; safe to call repeatedly."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Stopwatch:
    """Time since its creation."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Elapsed time, s; never zero."""
        return max(time.monotonic() - self._started, 1e-9)

    def rate(self, number: float) -> float:
        """The mean rate of what was counted since its creation, 1/s."""
        return number / self.seconds


# -- recording -----------------------------------------------------------------------------------


class RecordingProgress:
    """Pushed and durable messages of each topic of a recording.

    Args:
        name: Name of the sequence.
        stats: By topic: messages pushed, sent, durable, and bytes that wait in memory.
    """

    def __init__(self, name: str, stats: Callable[[], dict[str, tuple[int, int, int, int]]]) -> None:
        self._name, self._stats = name, stats
        self._stopwatch = Stopwatch()
        self._display = ProgressDisplay(self._render)

    def _render(self) -> RenderableType:
        table = Table(box=None)
        for heading in ("topic", "pushed", "durable", "waiting MB", "messages/s"):
            table.add_column(heading, justify="left" if heading == "topic" else "right")
        for topic, (pushed, _, durable, waiting_bytes) in self._stats().items():
            rate = count(round(self._stopwatch.rate(pushed)))
            table.add_row(topic, count(pushed), count(durable), f"{waiting_bytes / 1e6:.1f}", rate)
        return Group(f"recording {self._name}", table)

    def stop(self) -> None:
        """Leaves the final figures on the screen."""
        self._display.stop()


# -- replay --------------------------------------------------------------------------------------


class ReplayProgress:
    """Shows how far a replay is; without its stream, which the display would keep alive."""

    def __init__(self, title: str, start_ns: int | None, end_ns: int | None) -> None:
        self.title = title
        self.start_ns, self.end_ns = start_ns, end_ns
        self.at_ns = start_ns
        self.messages = 0
        self._stopwatch = Stopwatch()
        self._display = ProgressDisplay(self._render)

    def advance(self, timestamp_ns: int) -> None:
        """Counts a message of this time."""
        self.messages += 1
        self.at_ns = timestamp_ns

    def end(self) -> None:
        """All messages are read."""
        self.at_ns = self.end_ns
        self.stop()

    def stop(self) -> None:
        """Leaves the final figures on the screen; safe to call repeatedly."""
        self._display.stop()

    def fraction(self) -> float | None:
        """Between 0 and 1; None if the end is not known."""
        if self.start_ns is None or self.end_ns is None or self.at_ns is None:
            return None
        span = self.end_ns - self.start_ns
        return min((self.at_ns - self.start_ns) / span, 1.0) if span > 0 else 1.0

    def _render(self) -> RenderableType:
        fraction = self.fraction()
        line = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=fraction or 0.0, pulse=fraction is None, width=_BAR_WIDTH)
        percent = "" if fraction is None else f"{fraction:.0%}"
        figures = f"{count(self.messages)} messages, {count(round(self._stopwatch.rate(self.messages)))}/s"
        line.add_row(f"replaying {self.title}", bar, percent, figures)
        return line
