"""A progress bar on stderr: messages, bytes, both rates, time left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from mosaicolabs.ingest import Progress as Advance

from .output import error_console

_REFRESH_S = 0.1
# Leaves room for the figures on a terminal of 80 columns.
_BAR_WIDTH = 12


class _Meter:
    """Sums up what arrives and redraws now and then: redrawing costs more than a message."""

    def __init__(self, progress: Progress, title: str, size_bytes: int) -> None:
        self._progress, self._total = progress, size_bytes
        self._task = progress.add_task(title, total=size_bytes, done="", rates="")
        self._messages, self._bytes = 0, 0.0
        self._started = self._drawn = time.monotonic()

    def advance(self, messages: int, size_bytes: float) -> None:
        self._messages += messages
        self._bytes += size_bytes
        now = time.monotonic()
        if now - self._drawn >= _REFRESH_S:
            self._drawn = now
            self.draw()

    def draw(self) -> None:
        elapsed = max(time.monotonic() - self._started, 1e-9)
        done = f"{self._bytes / 1e6:,.1f}/{self._total / 1e6:,.1f} MB {self._messages:,} msg"
        rates = f"{self._messages / elapsed:,.0f} msg/s {self._bytes / elapsed / 1e6:,.1f} MB/s"
        self._progress.update(self._task, completed=round(self._bytes), done=done, rates=rates)


@contextmanager
def progress_bar(title: str, size_bytes: int) -> Iterator[Advance]:
    """Shows a bar while the block runs, when stderr is a terminal."""
    console = error_console()
    one_line = Column(no_wrap=True)
    columns = (
        TextColumn("{task.description}", table_column=one_line),
        BarColumn(_BAR_WIDTH),
        TextColumn("{task.fields[done]}", table_column=one_line),
        TextColumn("{task.fields[rates]}", table_column=one_line),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        meter = _Meter(progress, title, size_bytes)
        yield meter.advance
        meter.draw()
