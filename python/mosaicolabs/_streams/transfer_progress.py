"""The progress bar of imports and exports: messages, bytes, both rates, time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from mosaicolabs._safe_console import SafeConsole
from mosaicolabs._streams.progress import ProgressDisplay, Stopwatch

Advance = Callable[[int, float], None]
"""Called with a number of further messages and of bytes."""

# Leaves room for the figures on a terminal of 80 columns.
_BAR_WIDTH = 12


class _Meter:
    """Sums up messages and bytes; draws them when it is rendered."""

    def __init__(self, title: str, size_bytes: int) -> None:
        one_line = Column(no_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}", table_column=one_line),
            BarColumn(_BAR_WIDTH),
            TextColumn("{task.fields[done]}", table_column=one_line),
            TextColumn("{task.fields[rates]}", table_column=one_line),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task(title, total=size_bytes, done="", rates="")
        self._total = size_bytes
        self._messages, self._bytes = 0, 0.0
        self._stopwatch = Stopwatch()

    def advance(self, messages: int, size_bytes: float) -> None:
        self._messages += messages
        self._bytes += size_bytes

    def render(self) -> RenderableType:
        rate = self._stopwatch.rate
        done = f"{self._bytes / 1e6:,.1f}/{self._total / 1e6:,.1f} MB {self._messages:,} msg"
        rates = f"{rate(self._messages):,.0f} msg/s {rate(self._bytes) / 1e6:,.1f} MB/s"
        self._bar.update(self._task, completed=round(self._bytes), done=done, rates=rates)
        return self._bar.get_renderable()


@contextmanager
def progress_bar(title: str, size_bytes: int) -> Iterator[Advance]:
    """Shows a bar on stderr while the block runs, where that is a terminal."""
    meter = _Meter(title, size_bytes)
    with ProgressDisplay(meter.render, SafeConsole(stderr=True, highlight=False)):
        yield meter.advance
