"""Bags, and their channels of ROS messages. Every problem of a file becomes a `BagError`."""

from collections.abc import Collection, Iterator
from pathlib import Path

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

from mosaicolabs.ingest import RecordingError
from mosaicolabs.ingest.containers import Channel, is_container, nothing_in, open_container

ACCEPTED_EXTENSIONS = frozenset({".bag", ".db3", ".mcap"})
_MORE_EXTENSIONS = frozenset({".active", ".zstd", ".zst"})
_FORMATS = {
    "ros1msg": MessageDefinitionFormat.MSG,
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
}
ROS_ENCODINGS = ("cdr", "ros1")


class BagError(RecordingError, OSError):
    """A bag cannot be opened, or is damaged."""

    # Of several builtin bases, only the one with fields of its own creates the object.
    def __new__(cls, message: str, code: str | None = None) -> "BagError":
        return OSError.__new__(cls, message)


class NoMatchingTopicError(RecordingError, RuntimeError):
    """The bag has none of the selected topics."""


def check_path(path: Path) -> None:
    """Checks that a path may be a bag.

    Raises:
        FileNotFoundError: The path does not exist.
        ValueError: It is neither a file with the extension of a bag, nor a folder of such files.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such bag")
    if path.is_dir():
        if not is_container(path):
            raise ValueError(nothing_in(path))
    elif path.suffix.lower() not in ACCEPTED_EXTENSIONS | _MORE_EXTENSIONS:
        accepted = ", ".join(sorted(ACCEPTED_EXTENSIONS))
        raise ValueError(f"{path} is not a bag: its extension is `{path.suffix}`; supported are {accepted}")


class Bag:
    """An open bag: its channels and its raw messages.

    Attributes:
        channels: Channels of ROS messages.
        others: Channels in other encodings.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._container = open_container(path)
        except (RecordingError, OSError) as error:
            raise BagError(f"{path} cannot be opened: {_reason(error)}") from error
        self.scan = self._container.scan
        self.size_bytes = self._container.size_bytes
        self.channels = [c for c in self._container.channels if c.encoding in ROS_ENCODINGS]
        self.others = [c for c in self._container.channels if c.encoding not in ROS_ENCODINGS]

    @property
    def duration_ns(self) -> int:
        """Time from the first to the last message."""
        if self.scan.first_ns is None or self.scan.last_ns is None:
            return 0
        return self.scan.last_ns - self.scan.first_ns

    def messages(self, channels: Collection[Channel]) -> Iterator[tuple[Channel, int, bytes]]:
        """Messages as `(channel, time of recording in ns, bytes)`, by time.

        Raises:
            BagError: The bag is damaged; all messages that can be read were yielded.
        """
        count = 0
        if channels:
            for message in self._container.messages(channels):
                count += 1
                yield message
        if self.scan.damage:
            first, *more = self.scan.damage
            rest = f" (and {len(more)} more)" if more else ""
            raise BagError(
                f"{self.path} is damaged: {first.removeprefix(f'{self.path}: ')}{rest}; {count} messages can "
                "be read, which the error policy `report` keeps"
            )

    def close(self) -> None:
        """Closes the files."""
        self._container.close()


def ros_type(channel: Channel) -> str:
    """The type as `package/msg/Name`, however the file spells it."""
    package, slash, name = channel.type_name.partition("/")
    return f"{package}/msg/{name}" if slash and "/" not in name else channel.type_name


def definition(channel: Channel) -> MessageDefinition:
    """The definition of the channel's type, for rosbags."""
    kind = _FORMATS.get(channel.schema_encoding, MessageDefinitionFormat.NONE)
    if kind is MessageDefinitionFormat.NONE or not channel.schema.strip():
        return MessageDefinition(MessageDefinitionFormat.NONE, "")
    # Comments may be in any encoding, and lines may end as on any system.
    text = channel.schema.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return MessageDefinition(kind, text)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
