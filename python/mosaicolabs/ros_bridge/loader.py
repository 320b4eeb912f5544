"""Reads bags of ROS 1 (`.bag`) and ROS 2 (`.db3`, `.mcap`, folders), message by message."""

import glob
from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import ClassVar

from rosbags.interfaces import Connection
from rosbags.typesys import Stores
from typing_extensions import Self

from mosaicolabs._closing import Closing
from mosaicolabs.helpers.patterns import select_names
from mosaicolabs.logging_config import get_logger

from ._bag import ACCEPTED_EXTENSIONS, Bag, check_path
from ._decode import Decode, Decoders, UndecodableError, given_types
from .ros_message import ROSMessage

_logger = get_logger(__name__)


class LoaderErrorPolicy(Enum):
    """What a loader does with a message that it cannot decode, besides yielding the error."""

    IGNORE = "ignore"
    """Nothing further."""

    LOG_WARN = "log_warn"
    """Log a warning."""

    RAISE = "raise"
    """Raise the error instead."""


class ROSLoader(Closing):
    """A bag as an iterable of `(ROSMessage, None)`, or `(ROSMessage without data, error)`.

    The bag is opened at first use, also after `close`.

    Args:
        file_path: A `.bag`, `.db3` or `.mcap` file, or the folder of a ROS 2 bag.
        topics: Patterns such as `/camera/*`; one that begins with `!` excludes, later ones win. None: all.
        typestore_name: Distribution whose types a bag without definitions has.
        error_policy: For messages that cannot be decoded.
        custom_types: Definitions by type name, as text or `.msg` files, for types that the bag does not
            define. They take precedence over `ROSTypeRegistry`.
        bytes_topics: Topics whose arrays of `uint8` are decoded as `bytes` instead of lists.

    Raises:
        FileNotFoundError: The bag does not exist.
        ValueError: The path is not that of a bag.

    Example:
        >>> with ROSLoader("flight.bag", topics="/imu*") as bag:  # doctest: +SKIP
        ...     for message, error in bag:
        ...         print(message.topic, error or message.data)
    """

    ACCEPTED_EXTENSIONS: ClassVar[set[str]] = set(ACCEPTED_EXTENSIONS)

    _bag: Bag | None = None

    def __init__(
        self,
        file_path: str | Path,
        topics: str | Sequence[str] | None = None,
        typestore_name: Stores = Stores.EMPTY,
        error_policy: LoaderErrorPolicy = LoaderErrorPolicy.LOG_WARN,
        custom_types: dict[str, str | Path] | None = None,
        *,
        bytes_topics: Collection[str] = (),
    ) -> None:
        self.path = Path(file_path)
        check_path(self.path)
        self._patterns = [topics] if isinstance(topics, str) else topics
        self._store = typestore_name
        self._error_policy = error_policy
        self._custom_types = custom_types or {}
        self._bytes_topics = frozenset(bytes_topics)
        self._selected: list[Connection] = []

    @property
    def topics(self) -> list[str]:
        """Names of the selected topics, sorted.

        Raises:
            BagError: An `OSError`: the bag cannot be opened.
        """
        return sorted({connection.topic for connection in self._connections()})

    @property
    def msg_types(self) -> list[str | None]:
        """The type of each of `topics`; None for a topic with several types."""
        types = [{c.msgtype for c in self._connections() if c.topic == topic} for topic in self.topics]
        return [names.pop() if len(names) == 1 else None for names in types]

    @property
    def duration(self) -> int:
        """Time from the first to the last message of the bag, all topics, in ns."""
        return self._open().duration_ns

    def msg_count(self, topic: str | None = None) -> int:
        """Number of messages of a selected topic, or of all; 0 for other topics, with a line in the log."""
        counts = [c.msgcount for c in self._connections() if topic in (None, c.topic)]
        if not counts and topic is not None:
            _logger.warning("%s: topic '%s' is not one of %s", self.path, topic, ", ".join(self.topics))
        return sum(counts)

    def __iter__(self) -> Iterator[tuple[ROSMessage, Exception | None]]:
        """Messages in the order of the bag.

        Raises:
            BagError: An `OSError`: the bag is damaged.
            UndecodableError: A `ValueError`, under `RAISE`: a message cannot be decoded.
        """
        bag, connections = self._open(), self._connections()
        decoders = self._decoders()
        for connection, time_ns, raw in bag.messages(connections):
            try:
                decode = decoders[connection.id]
                if isinstance(decode, UndecodableError):
                    raise decode
                message = ROSMessage(time_ns, connection.topic, connection.msgtype, decode(raw))
            except Exception as error:  # damaged bytes may raise anything in rosbags
                yield self._undecoded(connection, time_ns, error)
            else:
                yield message, None

    def close(self) -> None:
        """Closes the bag."""
        if self._bag is not None:
            self._bag.close()
            self._bag = None

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        self._open()
        return self

    def _open(self) -> Bag:
        if self._bag is None:
            self._bag = Bag(self.path)
            self._selected = self._select(self._bag.connections)
        return self._bag

    def _connections(self) -> list[Connection]:
        self._open()
        return self._selected

    def _narrow(self, topics: Iterable[str], bytes_topics: Iterable[str]) -> None:
        """Restricts the loader to these topics."""
        self._patterns = [glob.escape(topic) for topic in topics]
        self._bytes_topics = frozenset(bytes_topics)
        self._selected = self._select(self._open().connections)

    def _select(self, connections: list[Connection]) -> list[Connection]:
        if self._patterns is None:
            return connections
        names = sorted({connection.topic for connection in connections})
        chosen = select_names(names, self._patterns)
        if not chosen:
            _logger.warning(
                "%s: no topic matches %s; the bag has: %s",
                self.path,
                ", ".join(self._patterns),
                ", ".join(names) or "none",
            )
        return [connection for connection in connections if connection.topic in chosen]

    def _decoders(self) -> dict[int, Decode | UndecodableError]:
        """The decoder of each connection, or the reason why there is none."""
        decoders = Decoders(given_types(self._store, self._custom_types), is_ros1=self._open().is_ros1)
        found: dict[int, Decode | UndecodableError] = {}
        for connection in self._connections():
            try:
                octets_as_bytes = connection.topic in self._bytes_topics
                found[connection.id] = decoders.of(connection, octets_as_bytes=octets_as_bytes)
            except UndecodableError as error:
                found[connection.id] = error
        return found

    def _undecoded(
        self, connection: Connection, time_ns: int, error: Exception
    ) -> tuple[ROSMessage, Exception]:
        text = f"{connection.msgtype} of `{connection.topic}` at {time_ns} ns: {error}"
        named = UndecodableError(text)
        named.__cause__ = error
        if self._error_policy is LoaderErrorPolicy.RAISE:
            raise named
        if self._error_policy is LoaderErrorPolicy.LOG_WARN:
            _logger.warning("not decoded: %s", text)
        return ROSMessage(time_ns, connection.topic, connection.msgtype, None), named
