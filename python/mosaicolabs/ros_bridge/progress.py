"""The progress of an injection on a terminal: a bar for the bag and one per topic."""

from collections import Counter
from types import TracebackType

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from typing_extensions import Self

from mosaicolabs._safe_console import SafeConsole
from mosaicolabs._streams.progress import ProgressDisplay

from .loader import ROSLoader


class ProgressManager:
    """Counts the messages of a bag and displays the counts while the context is entered.

    Args:
        loader: Gives the topics and the number of messages of each.
        console: Where to draw; nothing is drawn unless it is a terminal or a notebook. None: stderr.

    Attributes:
        progress: One bar (task) for the bag, one per topic.
    """

    def __init__(self, loader: ROSLoader, console: Console | None = None) -> None:
        self._loader = loader
        self._console = console or SafeConsole(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
        )
        self._total: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}
        self._counts: Counter[TaskID] = Counter()
        self._display: ProgressDisplay | None = None

    def setup(self) -> None:
        """Adds the bars of the bag and of its topics."""
        self._total = self.progress.add_task("all topics", total=self._loader.msg_count(), status="")
        for topic in self._loader.topics:
            count = self._loader.msg_count(topic)
            self._tasks[topic] = self.progress.add_task(escape(topic), total=count, status="")

    def update_status(self, topic: str, status: str, style: str = "white") -> None:
        """Writes a word behind the bar of a topic, in a style of rich."""
        self.progress.update(self._tasks[topic], status=f"[{style}]{status}[/{style}]")

    def advance_global(self) -> None:
        """Counts one message of the bag."""
        self._advance(self._total)

    def advance_all(self, topic: str) -> None:
        """Counts one message of the topic, and of the bag."""
        self._advance(self._tasks.get(topic))
        self._advance(self._total)

    def _advance(self, task: TaskID | None) -> None:
        if task is not None:
            self._counts[task] += 1

    def _render(self) -> RenderableType:
        for task, count in list(self._counts.items()):
            self.progress.update(task, completed=count)
        return self.progress.get_renderable()

    def __enter__(self) -> Self:
        self._display = ProgressDisplay(self._render, self._console)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self._display is not None:
            self._display.stop()
        self._render()
