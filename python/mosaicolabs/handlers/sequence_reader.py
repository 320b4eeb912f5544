"""The replay of a sequence: its topics merged by time."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mosaicolabs._streams.watched import Source
from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.handlers._base_streamer import HandlerStreamer
from mosaicolabs.handlers.batches import Batches, BatchRequest, Column, Where
from mosaicolabs.models.message import Message

__all__ = ["SequenceDataStreamer"]


class SequenceDataStreamer(HandlerStreamer):
    """Yields `(topic_name, message)` of several topics by non-decreasing `timestamp_ns`.

    Messages of equal time keep the order of the topics in the catalog, then arrival order. Memory is
    bounded: batches are read ahead within one budget for all topics. A streamer runs once, forward; get
    another one from the handler to read again.
    """

    _NAMED = True

    def __init__(self, *, sequence_name: str, stream: Source, request: BatchRequest, joining: bool) -> None:
        super().__init__(subject=f"sequence '{sequence_name}'", stream=stream, request=request)
        self._sequence_name = sequence_name
        self._joining = joining

    if TYPE_CHECKING:

        def __next__(self) -> tuple[str, Message]: ...

    def next(self) -> tuple[str, Message] | None:
        """The next topic name and message, or None at the end."""
        return next(self, None)

    def batches(self, columns: Iterable[Column] | None = None, where: Where | None = None) -> Batches:
        """What the streamer would yield, as columns; the daemon sends only the selected columns and rows.

        Replaces the stream of messages; closing the streamer closes the batches.

        Args:
            columns: Dotted paths below the tag of a class (`"imu.acceleration.x"`, `"imu"`) or fields
                (`IMU.Q.acceleration.x`), and `"recording_timestamp_ns"`; `timestamp_ns` and `topic` are
                always included. None: all. Columns do not select rows: use `topics` or `where`.
            where: Condition that messages must satisfy. Fields of other classes count as missing in a
                message, so a condition on one class leaves only the topics of that class. None: all messages.

        Raises:
            RuntimeError: Messages were read already.
            ClosedError: The streamer is closed.
            InvalidInputError: The streamer follows topics that are created later, a column does not exist, or
                the condition matches none of the topics.
        """
        self._require_unread()
        if self._joining:
            raise InvalidInputError(
                "topics that join later do not fit into fixed columns; name the `topics` to follow"
            )
        return self._open_batches(columns, where)

    def __repr__(self) -> str:
        return f"<SequenceDataStreamer {self._sequence_name}: {self._state}>"
