"""The replay of the results of a query."""

from collections import deque
from collections.abc import Iterable

from mosaicolabs import _native
from mosaicolabs._protocol.manifests import TopicResourceManifest, bounds
from mosaicolabs._streams.open import open_stream, read_manifests
from mosaicolabs._streams.watched import Source, watched
from mosaicolabs.exceptions import ClosedError
from mosaicolabs.handlers._base_streamer import BaseStreamer
from mosaicolabs.handlers.batches import Batches, Column, Where
from mosaicolabs.handlers.query_batches import open_batches, window_of
from mosaicolabs.helpers.damage import DamagedRows, warn_skipped
from mosaicolabs.models.message import Message
from mosaicolabs.models.query import QueryResponseItem, QueryResponseItemTopic

__all__ = ["QueryDataStreamer"]


class QueryDataStreamer(BaseStreamer):
    """Yields `(sequence_name, topic_name, message)` of the topics that a query found.

    Sequences follow one another in the order of the response; the topics of each are merged by time. A topic
    with a `timestamp_range` is read from its first to its last matching message, any other topic as a whole.
    Memory is bounded: one sequence is open at a time. A streamer runs once, forward.
    """

    def __init__(
        self,
        *,
        client: _native.Client,
        items: Iterable[QueryResponseItem],
        progress: bool = False,
        skip_damaged: bool = False,
    ) -> None:
        self._client = client
        self._items = deque(items)
        self._read = False
        self._sequence_name = ""
        self._progress = progress
        self._skip_damaged = skip_damaged
        self._skipped = []
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

    def batches(self, columns: Iterable[Column] | None = None, where: Where | None = None) -> Batches:
        """What the streamer would yield, as columns; the daemon sends only the selected columns and rows.

        As `SequenceHandler.batches`, with the dictionary-encoded name of the sequence as the column
        `sequence` before `topic`: sequences follow one another, the topics of each merged by time. All
        sequences have the same schema: a class that a sequence does not have is null in its rows. The schema
        is requested first, a few milliseconds per sequence. Replaces the stream of messages; closing the
        streamer closes the batches.

        Args:
            columns: Dotted paths below the tag of a class (`"imu.acceleration.x"`, `"imu"`) or fields
                (`IMU.Q.acceleration.x`), and `"recording_timestamp_ns"`; `timestamp_ns`, `sequence` and
                `topic` are always included. None: all. Columns do not select rows: use `where`.
            where: Condition that messages must satisfy. Fields of other classes count as missing in a
                message, so a condition on one class leaves only the topics of that class. None: all messages.

        Raises:
            RuntimeError: Messages were read already.
            ClosedError: The streamer is closed.
            InvalidInputError: A column does not exist, the condition matches none of the topics, or a
                column has different types in topics of one class.

        Example:
            >>> from mosaicolabs import Floating64, Message, MosaicoClient, QueryOntologyCatalog
            >>> fast = Floating64.Q.data.gt(2.0)
            >>> with MosaicoClient.embedded(store) as client:
            ...     for name in ("trip-1", "trip-2"):
            ...         with client.sequence_create(name) as trip:
            ...             speed = trip.topic_create("speed", {}, Floating64)
            ...             for time_ns, value in enumerate([1.0, 3.0, 1.5]):
            ...                 speed.push(Message(timestamp_ns=time_ns, data=Floating64(data=value)))
            ...     found = client.query(QueryOntologyCatalog(fast, include_timestamp_range=True))
            ...     table = found.get_data_streamer().to_arrow(columns=[Floating64.Q.data])
            >>> table.to_pylist()[1]
            {'timestamp_ns': 1, 'sequence': 'trip-2', 'topic': '/speed', 'floating64': {'data': 3.0}}
        """
        self._check_open()
        if self._read:
            self._refuse_after_messages()
        self._batches = open_batches(
            self._client, self._items, columns, where, skip_damaged=self._skip_damaged
        )
        return self._batches

    def close(self) -> None:
        """Closes the open stream or the batches; safe to call repeatedly."""
        self._closed = True
        self._close_stream()
        self._close_batches()

    def _current(self) -> Source | None:
        """The stream to read from: the open one, else that of the next sequence."""
        self._check_open()
        self._read = True
        while self._stream is None:
            if not self._items:
                return None
            item = self._items.popleft()
            self._sequence_name = item.sequence.name
            self._stream = self._open(item)
        return self._stream

    def _check_open(self) -> None:
        if self._closed or self._batches is not None:
            raise ClosedError("Reader closed for the results of a query; get another streamer")

    def _open(self, item: QueryResponseItem) -> Source | None:
        manifests = [self._manifest(item.sequence.name, topic) for topic in item.topics]
        filled = [manifest for manifest in manifests if manifest.timestamp_ns_min is not None]
        if not filled:
            return None
        stream, _ = open_stream(self._client, filled, skip_damaged=self._skip_damaged)
        return (
            watched(stream, item.sequence.name, _window(item), bounds(filled)) if self._progress else stream
        )

    def _manifest(self, sequence_name: str, topic: QueryResponseItemTopic) -> TopicResourceManifest:
        """The ticket of a topic for its window."""
        (manifest,) = read_manifests(self._client, f"{sequence_name}{topic.name}", window_of(topic))
        return manifest

    def _close_stream(self) -> None:
        if self._stream is not None:
            skipped = DamagedRows.of_native(self._stream.skipped())
            warn_skipped(skipped)
            self._skipped = [*(self._skipped or []), *skipped]
            self._stream.close()
            self._stream = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"at {self._sequence_name or 'the beginning'}"
        return f"<QueryDataStreamer: {state}>"


def _window(item: QueryResponseItem) -> tuple[int | None, int | None]:
    """From the first to the last match of all topics; unbounded unless all of them have matching times."""
    ranges = [topic.timestamp_range for topic in item.topics if topic.timestamp_range is not None]
    if not ranges or len(ranges) < len(item.topics):
        return None, None
    return min(times.start for times in ranges), max(times.end for times in ranges)
