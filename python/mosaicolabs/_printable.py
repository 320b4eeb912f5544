"""Recorded text on a terminal: names and metadata may contain characters that command it."""

import re

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
