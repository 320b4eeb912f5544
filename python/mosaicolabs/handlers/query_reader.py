"""The replay of what a query found."""

from collections.abc import Iterable
from types import TracebackType

from mosaicolabs import _native
from mosaicolabs.exceptions import ClosedError
from mosaicolabs.handlers._open import open_stream, read_manifests
from mosaicolabs.handlers._progress import Source, watched
from mosaicolabs.handlers.endpoints import TopicResourceManifest, bounds
from mosaicolabs.models.message import Message
from mosaicolabs.models.query import QueryResponseItem, QueryResponseItemTopic

__all__ = ["QueryDataStreamer"]

_LAST_TIMESTAMP_NS = 2**63 - 1


class QueryDataStreamer:
    """Yields `(sequence_name, topic_name, message)` of the topics that a query found.

    Sequences come one after the other in the order of the answer, the topics of each merged by time. A topic
    with a `timestamp_range` is read from its first to its last matching message, any other one as a whole.
    Memory is bounded: one sequence is open at a time. A streamer runs once, forward.
    """

    def __init__(
        self, *, client: _native.Client, items: Iterable[QueryResponseItem], progress: bool = False
    ) -> None:
        self._client = client
        self._items = iter(items)
        self._sequence_name = ""
        self._progress = progress
        self._stream: Source | None = None
        self._closed = False

    def __iter__(self) -> "QueryDataStreamer":
        return self

    def __next__(self) -> tuple[str, str, Message]:
        item = self.next()
        if item is None:
            raise StopIteration
        return item

    def next(self) -> tuple[str, str, Message] | None:
        """The next sequence name, topic name and message, or None at the end."""
        while (stream := self._current()) is not None:
            item = stream.next()
            if item is not None:
                return (self._sequence_name, *item)
            self._close_stream()
        return None

    def next_timestamp(self) -> int | None:
        """Time of the next message without consuming it, ns since the Unix epoch; None at the end."""
        while (stream := self._current()) is not None:
            timestamp_ns = stream.next_timestamp()
            if timestamp_ns is not None:
                return timestamp_ns
            self._close_stream()
        return None

    def close(self) -> None:
        """Ends the streams; may be called again."""
        self._closed = True
        self._close_stream()

    def _current(self) -> Source | None:
        """The stream to go on with: the open one, else that of the next sequence."""
        if self._closed:
            raise ClosedError("Reader closed for the response of a query; get another streamer")
        while self._stream is None:
            item = next(self._items, None)
            if item is None:
                return None
            self._sequence_name = item.sequence.name
            self._stream = self._open(item)
        return self._stream

    def _open(self, item: QueryResponseItem) -> Source | None:
        manifests = [self._manifest(item.sequence.name, topic) for topic in item.topics]
        filled = [manifest for manifest in manifests if manifest.timestamp_ns_min is not None]
        if not filled:
            return None
        names, tickets = zip(*((manifest.topic_name, manifest.ticket) for manifest in filled), strict=True)
        stream, _ = open_stream(self._client, list(names), list(tickets))
        return (
            watched(stream, item.sequence.name, _window(item), bounds(filled)) if self._progress else stream
        )

    def _manifest(self, sequence_name: str, topic: QueryResponseItemTopic) -> TopicResourceManifest:
        """The ticket of a topic for its window, which for the daemon ends before its end."""
        start, end = None, None
        if topic.timestamp_range is not None:
            start, last = topic.timestamp_range.start, topic.timestamp_range.end
            end = last + 1 if last < _LAST_TIMESTAMP_NS else None
        (manifest,) = read_manifests(self._client, f"{sequence_name}{topic.name}", (start, end))
        return manifest

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"at {self._sequence_name or 'the beginning'}"
        return f"<QueryDataStreamer: {state}>"

    def __enter__(self) -> "QueryDataStreamer":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()


def _window(item: QueryResponseItem) -> tuple[int | None, int | None]:
    """From the first to the last match of all topics, if each has a first and a last one."""
    ranges = [topic.timestamp_range for topic in item.topics if topic.timestamp_range is not None]
    if not ranges or len(ranges) < len(item.topics):
        return None, None
    return min(times.start for times in ranges), max(times.end for times in ranges)
