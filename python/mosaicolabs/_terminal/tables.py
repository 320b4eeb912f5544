"""Plain tables: columns with two spaces between them, no trailing spaces, no broken words."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click

from mosaicolabs._printable import printable

_GAP = "  "


class Table:
    r"""Rows of text below a header.

    Args:
        columns: Titles.
        numbers: Titles of the columns that are aligned right.
        spare: Titles of the columns that a narrow terminal does without, the first one first.

    Example:
        >>> table = Table("sequence", "size", numbers=["size"])
        >>> table.add_row("run-7", "12 MB")
        >>> print(*table.lines(80), sep="\n")
        sequence   size
        run-7     12 MB
    """

    def __init__(self, *columns: str, numbers: Iterable[str] = (), spare: Sequence[str] = ()) -> None:
        self.columns = list(columns)
        self._numbers, self._spare = frozenset(numbers), spare
        self._rows: list[list[str]] = []

    def add_row(self, *cells: str) -> None:
        """Adds a row of one cell per column."""
        one_line = (printable(cell).replace("\n", "\\n") for cell in cells)
        self._rows.append([cell for _, cell in zip(self.columns, one_line, strict=True)])

    def lines(self, width: int | None) -> Iterator[str]:
        """The header and the rows.

        Args:
            width: Columns of the terminal: spare columns are left out and words of the last column continue
                on further lines, so that lines fit. None: lines are as long as their text.
        """
        shown = list(range(len(self.columns)))
        for title in self._spare:
            if width is None or self._width(shown) <= width:
                break
            shown.remove(self.columns.index(title))
        widths = [self._column_width(at) for at in shown]
        *fixed, last = zip(shown, widths, strict=True)
        indent = sum(size + len(_GAP) for _, size in fixed)
        room = None if width is None else max(width - indent, 20)
        for row in [self.columns, *self._rows]:
            head = "".join(self._aligned(at, row[at], size) + _GAP for at, size in fixed)
            first, *further = self._last_cell(row[last[0]], *last, room)
            yield (head + first).rstrip()
            yield from (" " * indent + more for more in further)

    def _last_cell(self, text: str, at: int, size: int, room: int | None) -> list[str]:
        if room is None or len(text) <= room or self.columns[at] in self._numbers:
            return [self._aligned(at, text, size)]
        return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]

    def _aligned(self, at: int, text: str, size: int) -> str:
        return text.rjust(size) if self.columns[at] in self._numbers else text.ljust(size)

    def _column_width(self, at: int) -> int:
        return max(len(row[at]) for row in [self.columns, *self._rows])

    def _width(self, shown: list[int]) -> int:
        return sum(map(self._column_width, shown)) + len(_GAP) * (len(shown) - 1)


def print_table(table: Table) -> None:
    """Prints a table on stdout, in the width of the terminal if it is one."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for number, line in enumerate(table.lines(width)):
        click.echo(click.style(line, bold=True) if number == 0 else line)
