"""The interface of writers, and the plans that they return."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from ._errors import NotExported
from ._selection import Selection

Advance = Callable[[int, float], None]
"""Called with a number of further messages and their share of the stored bytes."""


@dataclass(frozen=True)
class Part:
    """One file or folder of an export; an interrupted export repeats only parts that are not complete.

    Attributes:
        path: Its path below the target, with `/` between folders. Empty: it is the target itself, and the
            only part.
        topics: Names of the topics in it.
        write: Writes it to the path that it is given, and returns the number of messages. The parent folder
            exists, the path does not. Nobody sees the file before the whole export is complete.
    """

    path: str
    topics: tuple[str, ...]
    write: Callable[[Path, Advance], int]


@dataclass(frozen=True)
class ExportPlan:
    """What will be written.

    Attributes:
        parts: The files and folders. They are written in this order, except that a folder is written before
            parts inside of it.
        skipped: Topics that the format does not represent.
    """

    parts: tuple[Part, ...]
    skipped: tuple[NotExported, ...] = ()


@runtime_checkable
class Writer(Protocol):
    """Writes one format. Its class is registered in the entry-point group `mosaicolabs.writers`.

    A writer with options has a further member `options`, a mapping from names to descriptions; `plan`
    receives the given ones as keyword arguments, as text.
    """

    @property
    def name(self) -> str:
        """The value of `--to`."""

    @property
    def description(self) -> str:
        """What it writes, in a few words."""

    def plan(self, selection: Selection) -> ExportPlan:
        """Checks options and topics and lists what will be written, without writing anything.

        Raises:
            ExportError: An option has a value that does not exist, or no topic fits the format.
        """
