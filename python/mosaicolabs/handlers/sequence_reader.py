"""The replay of a sequence: its topics merged by time."""

from collections.abc import Iterable
from types import TracebackType

from mosaicolabs._streams.progress import Source
from mosaicolabs.exceptions import ClosedError, InvalidInputError
from mosaicolabs.handlers.batches import Batches, Column, Columnar, Opening, Where
from mosaicolabs.models.message import Message

__all__ = ["SequenceDataStreamer"]


class SequenceDataStreamer(Columnar):
    """Yields `(topic_name, message)` of several topics by non-decreasing `timestamp_ns`.

    Ties keep the order of the topics in the catalogue, then arrival order. Memory is bounded: batches are
    read ahead within one budget for all topics. A streamer runs once, forward; ask the handler for another.
    """

    def __init__(self, *, sequence_name: str, stream: Source, opening: Opening, joining: bool) -> None:
        self._sequence_name = sequence_name
        self._stream: Source | None = stream
        self._opening = opening
        self._joining = joining
        self._read = False

    def __iter__(self) -> "SequenceDataStreamer":
        self._open()
        return self

    def __next__(self) -> tuple[str, Message]:
        item = self._open().next()
        if item is None:
            raise StopIteration
        return item

    def next(self) -> tuple[str, Message] | None:
        """The next topic name and message, or None at the end."""
        return self._open().next()

    def next_timestamp(self) -> int | None:
        """Time of the next message without consuming it, ns since the Unix epoch; None at the end."""
        return self._open().next_timestamp()

    def batches(self, columns: Iterable[Column] | None = None, where: Where | None = None) -> Batches:
        """What the streamer would yield, as columns; chosen by the daemon, so that nothing else travels.

        The streamer is used up by it; closing it closes the batches.

        Args:
            columns: Dotted paths below the tag of a class (`"imu.acceleration.x"`, `"imu"`) or fields
                (`IMU.Q.acceleration.x`), and `"recording_timestamp_ns"`; `timestamp_ns` and `topic` always
                come along. None: all. Columns choose no rows: use `topics` or `where`.
            where: What the messages have to satisfy; fields of other classes are missing in a message, so
                that a condition on one class leaves only its topics. None: all of them.

        Raises:
            RuntimeError: Messages were read already.
            InvalidInputError: The streamer follows topics that are created later, there is no such column, or
                the condition is about none of the topics.
        """
        stream = self._stream
        if self._read or stream is None:
            self._open()
            raise RuntimeError(
                "the streamer was read message by message already; get another one for batches"
            )
        if self._joining:
            raise InvalidInputError(
                "topics that join later have no place in fixed columns; name the `topics` that are followed"
            )
        batches = self._opening.batches(columns, where)
        stream.close()
        self._stream, self._batches = None, batches
        return batches

    def close(self) -> None:
        """Ends the streams of all topics; may be called again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _open(self) -> Source:
        if self._stream is None:
            raise ClosedError(f"Reader closed for sequence '{self._sequence_name}'; get another streamer")
        self._read = True
        return self._stream

    def __repr__(self) -> str:
        state = "closed" if self._stream is None else "open"
        return f"<SequenceDataStreamer {self._sequence_name}: {state}>"

    def __enter__(self) -> "SequenceDataStreamer":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()
