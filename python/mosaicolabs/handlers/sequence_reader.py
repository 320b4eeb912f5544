"""The replay of a sequence: its topics merged by time."""

from types import TracebackType

from mosaicolabs.exceptions import ClosedError
from mosaicolabs.handlers._progress import Source
from mosaicolabs.models.message import Message

__all__ = ["SequenceDataStreamer"]


class SequenceDataStreamer:
    """Yields `(topic_name, message)` of several topics by non-decreasing `timestamp_ns`.

    Ties keep the order of the topics in the catalogue, then arrival order. Memory is bounded: batches are
    read ahead within one budget for all topics. A streamer runs once, forward; ask the handler for another.
    """

    def __init__(self, *, sequence_name: str, stream: Source) -> None:
        self._sequence_name = sequence_name
        self._stream: Source | None = stream

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

    def close(self) -> None:
        """Ends the streams of all topics; may be called again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> Source:
        if self._stream is None:
            raise ClosedError(f"Reader closed for sequence '{self._sequence_name}'; get another streamer")
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
