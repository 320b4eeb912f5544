"""What a reader of foreign recordings is, and what it hands over."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.models import Message, Serializable

Metadata = Mapping[str, Any]
"""JSON types only: it is stored with the sequence or the topic."""


class RecordingError(InvalidInputError):
    """The input is not what its format promises. The text names the file, and the line where there is one."""


@dataclass(frozen=True)
class TopicSpec:
    """One topic of a recording, known before its first message is read.

    Attributes:
        messages: How many messages the reader will yield for it.
        size_bytes: How much of the input these messages are; feeds the progress bar.
    """

    name: str
    ontology: type[Serializable]
    messages: int
    size_bytes: int
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A part of the input that is not ingested, and why."""

    source: str
    messages: int
    reason: str


@dataclass(frozen=True)
class Recording:
    """A validated input, ready to be ingested.

    Attributes:
        messages: Starts a new pass over `(topic name, message)`, lazily, in non-decreasing time. It raises
            `RecordingError` where the input turns out to be damaged after all.
    """

    topics: tuple[TopicSpec, ...]
    messages: Callable[[], Iterator[tuple[str, Message]]]
    metadata: Metadata = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()

    @property
    def message_count(self) -> int:
        return sum(topic.messages for topic in self.topics)

    @property
    def size_bytes(self) -> int:
        return sum(topic.size_bytes for topic in self.topics)


@runtime_checkable
class Reader(Protocol):
    """Reads one format. Registered as a class under the entry-point group `mosaicolabs.readers`."""

    @property
    def name(self) -> str:
        """What `--format` calls it."""

    @property
    def description(self) -> str:
        """What it reads, in a few words."""

    def sniff(self, path: Path) -> bool:
        """Whether `path` looks like this format, from names and the first bytes alone."""

    def open(self, path: Path) -> Recording:
        """Check the whole input as far as its format allows.

        Raises:
            RecordingError: The input is broken. Nothing was created anywhere.
        """
