"""The progress of an injection on a terminal: a bar for the bag and one per topic."""

import time
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from typing_extensions import Self

from .loader import ROSLoader

_REFRESH_S = 0.1


class ProgressManager:
    """Counts messages and redraws now and then: redrawing costs more than a message.

    Args:
        loader: Tells the topics and how many messages they have.
        console: Where to draw; nothing is drawn unless it is a terminal. None: stderr.
    """

    def __init__(self, loader: ROSLoader, console: Console | None = None) -> None:
        self._loader = loader
        self._console = console or Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._total: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}
        self._waiting: Counter[TaskID] = Counter()
        self._drawn = time.monotonic()

    def setup(self) -> None:
        """Makes the bars."""
        self._total = self.progress.add_task("all topics", total=self._loader.msg_count(), status="")
        for topic in self._loader.topics:
            count = self._loader.msg_count(topic)
            self._tasks[topic] = self.progress.add_task(escape(topic), total=count, status="")

    def update_status(self, topic: str, status: str, style: str = "white") -> None:
        """Writes a word behind the bar of a topic."""
        self.progress.update(self._tasks[topic], status=f"[{style}]{status}[/{style}]")

    def advance_global(self) -> None:
        """One more message of the bag."""
        self._advance(self._total)

    def advance_all(self, topic: str) -> None:
        """One more message of the topic, and of the bag."""
        self._advance(self._tasks.get(topic))
        self._advance(self._total)

    def _advance(self, task: TaskID | None) -> None:
        if task is None:
            return
        self._waiting[task] += 1
        if time.monotonic() - self._drawn >= _REFRESH_S:
            self._draw()

    def _draw(self) -> None:
        for task, count in self._waiting.items():
            self.progress.advance(task, count)
        self._waiting.clear()
        self._drawn = time.monotonic()

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._draw()
        self.progress.stop()
