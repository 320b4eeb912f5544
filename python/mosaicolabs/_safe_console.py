"""The console of this package. Apart from `_printable`, since rich takes long to import."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from mosaicolabs._printable import printable


class SafeConsole(Console):
    """A console on which only its own styles command the terminal, never the text that it prints."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of `renderable`, with printable text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Raises the error that rich handles: the command decides what it means."""
        raise
