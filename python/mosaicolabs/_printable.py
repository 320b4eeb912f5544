"""Recorded text on a terminal: names and metadata may contain characters that command it."""

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Control characters but tab and line feed (C0, DEL, C1), and those that reorder text (bidirectional overrides
# and isolates), end a line or hide. Raw, they would command the terminal, or show another text than the
# recorded one.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str, form: str | None = None) -> str:
    r"""The text with unprintable characters as escapes, `\x1b`, or in `form` with their number.

    Example:
        >>> printable("\x1b[2Jgone")
        '\\x1b[2Jgone'
    """

    def escape(match: re.Match[str]) -> str:
        character = match.group()
        return form.format(ord(character)) if form else character.encode("unicode_escape").decode()

    return _UNPRINTABLE.sub(escape, text)


class SafeConsole(Console):
    """A console on which only its own styles command the terminal, never the text that it prints."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of `renderable`, with printable text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
