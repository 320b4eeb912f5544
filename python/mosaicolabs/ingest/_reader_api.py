"""What a reader of foreign recordings is, and what it hands over."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.helpers.patterns import select_names
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
        size_bytes: How much of the input these messages are; feeds the progress bar. An even share where
            the format does not tell.
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
class FailedMessage:
    """Takes the place of a message that the input has and that cannot be read."""

    reason: str


Messages = Iterator[tuple[str, Message | FailedMessage]]


@dataclass(frozen=True)
class Recording:
    """A validated input, ready to be ingested.

    Attributes:
        messages: Starts a new pass over `(topic name, message)`, lazily, in the order of recording, which
            is that of time as far as the input keeps it. It raises `RecordingError` where the input turns
            out to be damaged after all.
    """

    topics: tuple[TopicSpec, ...]
    messages: Callable[[], Messages]
    metadata: Metadata = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()

    def select(self, patterns: Sequence[str]) -> "Recording":
        """The same with those topics only that the patterns choose; see `select_names`.

        Raises:
            RecordingError: They choose none.
        """
        names = [topic.name for topic in self.topics]
        chosen = select_names(names, patterns)
        if not chosen:
            raise RecordingError(f"no topic matches {' '.join(patterns)}; there are: {', '.join(names)}")
        return replace(
            self,
            topics=tuple(topic for topic in self.topics if topic.name in chosen),
            messages=lambda: (item for item in self.messages() if item[0] in chosen),
        )

    @property
    def message_count(self) -> int:
        return sum(topic.messages for topic in self.topics)

    @property
    def size_bytes(self) -> int:
        return sum(topic.size_bytes for topic in self.topics)


@runtime_checkable
class Reader(Protocol):
    """Reads one format. Registered as a class under the entry-point group `mosaicolabs.readers`.

    A reader with options has one more member, `options`, a mapping of their names to what they mean; `open`
    then takes those that are given as keyword arguments, as text.
    """

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
