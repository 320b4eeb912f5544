"""Reads bags of ROS 1 (`.bag`) and ROS 2 (`.db3`, `.mcap`, folders), message by message."""

import glob
from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from rosbags.typesys import Stores
from typing_extensions import Self

from mosaicolabs._closing import Closing
from mosaicolabs.helpers.patterns import select_names
from mosaicolabs.ingest import Skipped
from mosaicolabs.ingest.containers import Channel
from mosaicolabs.logging_config import get_logger

from ._bag import ACCEPTED_EXTENSIONS, Bag, check_path, ros_type
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
        file_path: A `.bag`, `.db3` or `.mcap` file, also packed with zstd, or a folder of such files.
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
        self._selected: list[Channel] = []
        # Of a bag that is ingested, messages of other encodings are decoded too.
        self._any_encoding = False
        self._bare_topics = frozenset[str]()
        self._raw_topics = frozenset[str]()

    @property
    def topics(self) -> list[str]:
        """Names of the selected topics, sorted.

        Raises:
            BagError: An `OSError`: the bag cannot be opened.
        """
        return sorted({channel.topic for channel in self._channels()})

    @property
    def msg_types(self) -> list[str | None]:
        """The type of each of `topics`; None for a topic with several types."""
        types = [{ros_type(c) for c in self._channels() if c.topic == topic} for topic in self.topics]
        return [names.pop() if len(names) == 1 else None for names in types]

    @property
    def duration(self) -> int:
        """Time from the first to the last message of the bag, all topics, in ns."""
        return self._open().duration_ns

    def msg_count(self, topic: str | None = None) -> int:
        """Number of messages of a selected topic, or of all; 0 for other topics, with a line in the log."""
        found = self._open().scan.counts
        counts = [found[channel] for channel in self._channels() if topic in (None, channel.topic)]
        if not counts and topic is not None:
            _logger.warning("%s: topic '%s' is not one of %s", self.path, topic, ", ".join(self.topics))
        return sum(counts)

    def __iter__(self) -> Iterator[tuple[ROSMessage, Exception | None]]:
        """Messages in the order of the bag.

        Raises:
            BagError: An `OSError`: the bag is damaged.
            UndecodableError: A `ValueError`, under `RAISE`: a message cannot be decoded.
        """
        for message, error, _ in self._with_bytes():
            yield message, error

    def _with_bytes(self) -> Iterator[tuple[ROSMessage, Exception | None, bytes]]:
        """Messages as in `__iter__`, with their bytes in the bag."""
        bag, channels = self._open(), self._channels()
        decoders = self._decoders()
        types = {channel: ros_type(channel) for channel in channels}
        for channel, time_ns, raw in bag.messages(channels):
            try:
                decode = decoders[channel]
                if isinstance(decode, UndecodableError):
                    raise decode
                lenient = channel.topic in self._bare_topics
                message = _message(time_ns, channel.topic, types[channel], decode(raw), lenient=lenient)
            except Exception as error:  # damaged bytes may raise anything in rosbags
                yield *self._undecoded(channel, time_ns, error), raw
            else:
                yield message, None, raw

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
            self._selected = self._select(self._available())
        return self._bag

    def _channels(self) -> list[Channel]:
        self._open()
        return self._selected

    def _available(self) -> list[Channel]:
        bag = self._open()
        return bag.channels + bag.others if self._any_encoding else bag.channels

    def _use(self, bag: Bag | None) -> None:
        """Takes over a bag that is open already."""
        if bag is not None:
            self._bag = bag
            self._selected = self._select(self._available())

    def _narrow(
        self,
        topics: Iterable[str],
        *,
        bytes_topics: Iterable[str],
        bare_topics: Iterable[str],
        raw_topics: Iterable[str],
    ) -> None:
        """Restricts the loader to these topics.

        Args:
            topics: Their names.
            bytes_topics: Those whose arrays of `uint8` are `bytes`.
            bare_topics: Those whose messages have no constants.
            raw_topics: Those that are not decoded: their messages have the field `data`.
        """
        self._patterns = [glob.escape(topic) for topic in topics]
        self._bytes_topics = frozenset(bytes_topics)
        self._bare_topics = frozenset(bare_topics)
        self._raw_topics = frozenset(raw_topics)
        self._selected = self._select(self._available())

    def _notes(self) -> list[Skipped]:
        """What the bag contains beside the selected topics, or says wrongly about itself."""
        bag = self._open()
        notes = list(bag.scan.notes)
        notes += [
            Skipped(
                f"{channel.topic} ({channel.type_name or 'no type'})",
                bag.scan.counts[channel],
                f"its messages are `{channel.encoding}`, not ROS",
            )
            for channel in ([] if self._any_encoding else self._matching(bag.others))
        ]
        delayed = sum(bag.scan.delayed[channel] for channel in self._channels())
        if delayed:
            reason = f"{delayed} messages were published at another time than recorded; the latter is stored"
            notes.append(Skipped("times of publishing", 0, reason))
        return notes

    def _select(self, channels: list[Channel]) -> list[Channel]:
        found = self._matching(channels)
        if not found and self._patterns is not None:
            _logger.warning(
                "%s: no topic matches %s; the bag has: %s",
                self.path,
                ", ".join(self._patterns),
                ", ".join(sorted({channel.topic for channel in channels})) or "none",
            )
        return found

    def _matching(self, channels: list[Channel]) -> list[Channel]:
        if self._patterns is None:
            return channels
        chosen = select_names({channel.topic for channel in channels}, self._patterns)
        return [channel for channel in channels if channel.topic in chosen]

    def _decoders(self) -> dict[Channel, Decode | UndecodableError]:
        """The decoder of each channel, or the reason why there is none."""
        decoders = self._definitions()
        found: dict[Channel, Decode | UndecodableError] = {}
        for channel in self._channels():
            if channel.topic in self._raw_topics:
                found[channel] = _undecoded_bytes
                continue
            try:
                found[channel] = decoders.of(
                    channel,
                    octets_as_bytes=channel.topic in self._bytes_topics,
                    constants=channel.topic not in self._bare_topics,
                )
            except UndecodableError as error:
                found[channel] = error
        return found

    def _definitions(self) -> Decoders:
        return Decoders(given_types(self._store, self._custom_types))

    def _undecoded(self, channel: Channel, time_ns: int, error: Exception) -> tuple[ROSMessage, Exception]:
        msg_type = ros_type(channel)
        text = f"{msg_type} of `{channel.topic}` at {time_ns} ns: {error}"
        named = UndecodableError(text)
        named.__cause__ = error
        if self._error_policy is LoaderErrorPolicy.RAISE:
            raise named
        if self._error_policy is LoaderErrorPolicy.LOG_WARN:
            _logger.warning("not decoded: %s", text)
        return ROSMessage(time_ns, channel.topic, msg_type, None), named


def _undecoded_bytes(raw: bytes) -> dict[str, bytes]:
    return {"data": raw}


def _message(time_ns: int, topic: str, msg_type: str, data: dict[str, Any], *, lenient: bool) -> ROSMessage:
    """The message; if it is lenient, its field `header` may be anything."""
    try:
        return ROSMessage(time_ns, topic, msg_type, data)
    except ValueError:
        if not lenient:
            raise
        message = ROSMessage(time_ns, topic, msg_type, None)
        message.data = data
        return message
