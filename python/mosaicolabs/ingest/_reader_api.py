"""The interface of readers, and the recordings that they return."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.helpers.patterns import select_names
from mosaicolabs.models import Message, Serializable

Metadata = Mapping[str, Any]
"""JSON types only; stored with the sequence or the topic."""


class RecordingError(InvalidInputError):
    """The input violates its format. The message contains the file, and the line if there is one."""


@dataclass(frozen=True)
class TopicSpec:
    """One topic of a recording, known before its first message is read.

    Attributes:
        name: Name of the topic.
        ontology: Class of its messages.
        messages: Number of messages that the reader will yield.
        size_bytes: Size of these messages in the input, for progress bars; an even share if the format does
            not specify it.
        metadata: User metadata of the topic.
    """

    name: str
    ontology: type[Serializable]
    messages: int
    size_bytes: int
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """A part of the input that is not ingested.

    Attributes:
        source: Name in the input.
        messages: Number of its messages.
        reason: Why it is skipped.
    """

    source: str
    messages: int
    reason: str


@dataclass(frozen=True)
class FailedMessage:
    """Stands for messages of the input that cannot be read.

    Attributes:
        reason: Why not.
        messages: Their number.
    """

    reason: str
    messages: int = 1


Messages = Iterator[tuple[str, Message | FailedMessage | pa.RecordBatch]]
"""Topic names, each with a message, or with many as columns (as `TopicWriter.push_batch` takes them)."""


@dataclass(frozen=True)
class Recording:
    """A validated input, ready to be ingested.

    Attributes:
        topics: The topics.
        messages: Starts a new lazy pass over `(topic name, message)` in the order of the input, usually that
            of time. It raises `RecordingError` at damage that the validation could not detect.
        metadata: User metadata of the sequence.
        skipped: Parts of the input that are not ingested.
    """

    topics: tuple[TopicSpec, ...]
    messages: Callable[[], Messages]
    metadata: Metadata = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()

    def select(self, patterns: Sequence[str]) -> "Recording":
        """The same recording, restricted to topics that match the patterns of `select_names`.

        Raises:
            RecordingError: No topic matches.
        """
        names = [topic.name for topic in self.topics]
        chosen = select_names(names, patterns)
        if not chosen:
            raise RecordingError(
                f"no topic matches {' '.join(patterns)}; the recording has: {', '.join(names)}"
            )
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
    """Reads one format. Its class is registered in the entry-point group `mosaicolabs.readers`.

    A reader with options has a further member `options`, a mapping from names to descriptions; `open`
    receives the given ones as keyword arguments, as text.
    """

    @property
    def name(self) -> str:
        """The value of `--format`."""

    @property
    def description(self) -> str:
        """What it reads, in a few words."""

    def sniff(self, path: Path) -> bool:
        """Whether `path` looks like this format, judged by names and first bytes only."""

    def open(self, path: Path) -> Recording:
        """Validates the whole input as far as its format allows.

        Raises:
            RecordingError: The input is damaged.
        """
