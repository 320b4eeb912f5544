"""What the files of a recording have in common."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mosaicolabs.ingest._reader_api import Skipped


@dataclass(frozen=True, eq=False)
class Channel:
    """A stream of messages of one topic and one type; several publishers of equal facts are one channel.

    Attributes:
        topic: Name in the file.
        type_name: Name of the type, as the file spells it.
        encoding: Of the messages: `cdr`, `ros1`, `json`, `protobuf` ...
        schema_encoding: Of the definition: `ros2msg`, `ros2idl`, `ros1msg`, `jsonschema` ...; empty if there
            is none.
        schema: The definition.
        digest: Checksum of the definition that the publisher used; empty if the file does not name it.
        metadata: What the file says about the channel, such as the quality of service.
    """

    topic: str
    type_name: str
    encoding: str
    schema_encoding: str
    schema: bytes
    digest: str = ""
    metadata: tuple[tuple[str, str], ...] = ()


class ChannelTable:
    """One `Channel` object for equal facts, in all files of a recording."""

    def __init__(self) -> None:
        self._channels: dict[tuple[Any, ...], Channel] = {}

    def channel(
        self,
        topic: str,
        type_name: str,
        encoding: str,
        schema_encoding: str,
        schema: bytes,
        digest: str = "",
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> Channel:
        """The channel of these facts; of equal ones, the metadata of the first is kept."""
        facts = (topic, type_name, encoding, schema_encoding, schema, digest)
        return self._channels.setdefault(facts, Channel(*facts, metadata=metadata))


RawMessages = Iterator[tuple[Channel, int, bytes]]
"""Channel, time of recording in ns, and the encoded message."""


@dataclass
class PartScan:
    """What one pass over a file finds.

    Attributes:
        counts: Readable messages by channel; channels without messages too.
        lost: Messages that the file lists or begins and that cannot be read, by channel.
        first_ns: Earliest time of recording, ns; None without messages.
        last_ns: Latest one.
        damage: What is damaged, each in one sentence without the path.
        notes: What is not stored, or differs from what the file says about itself.
        metadata: Attachments and metadata of the file.
        delayed: Messages whose time of publishing differs from that of recording, by channel.
    """

    counts: Counter[Channel] = field(default_factory=Counter)
    lost: Counter[Channel] = field(default_factory=Counter)
    first_ns: int | None = None
    last_ns: int | None = None
    damage: list[str] = field(default_factory=list)
    notes: list[Skipped] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    delayed: Counter[Channel] = field(default_factory=Counter)

    def see_times(self, first_ns: int, last_ns: int) -> None:
        """Extends the span of the recording."""
        self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        self.last_ns = last_ns if self.last_ns is None else max(self.last_ns, last_ns)

    def compare(self, listed: dict[Channel, int], where: str) -> None:
        """Compares the messages found with the counts that the file lists."""
        for channel, count in listed.items():
            missing = count - self.counts[channel]
            if missing > self.lost[channel]:
                self.lost[channel] = missing
            elif missing < 0:
                reason = f"{where} lists {count} messages, {self.counts[channel]} are there and read"
                self.notes.append(Skipped(channel.topic, 0, reason))


class Part(Protocol):
    """One file of a recording."""

    @property
    def path(self) -> Path:
        """The file."""

    def scan(self) -> PartScan:
        """Reads the whole file once.

        Raises:
            RecordingError: Nothing of the file can be read.
        """

    def messages(self, channels: Collection[Channel]) -> RawMessages:
        """Messages of the channels, by time as far as a bounded buffer can sort them. `scan` comes first."""

    def close(self) -> None:
        """Closes the file."""
