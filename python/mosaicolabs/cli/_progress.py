"""A progress bar on stderr: messages, bytes, both rates, time left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mosaicolabs.ingest import Progress as Advance

from ._output import error_console

_REFRESH_S = 0.1


class _Meter:
    """Sums up what arrives and redraws now and then: redrawing costs more than a message."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
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
        rates = f"{self._messages / elapsed:,.0f} msg/s  {self._bytes / elapsed / 1e6:,.1f} MB/s"
        self._progress.update(
            self._task, completed=round(self._bytes), messages=f"{self._messages:,} messages", rates=rates
        )


@contextmanager
def progress_bar(title: str, size_bytes: int) -> Iterator[Advance]:
    """Shows a bar while the block runs, when stderr is a terminal."""
    console = error_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[messages]}"),
        TextColumn("{task.fields[rates]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        meter = _Meter(progress, progress.add_task(title, total=size_bytes, messages="", rates=""))
        yield meter.advance
        meter.draw()
