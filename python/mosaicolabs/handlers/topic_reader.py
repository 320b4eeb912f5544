"""The straight replay of one topic."""

from collections.abc import Iterable
from types import TracebackType

from mosaicolabs._streams.progress import Source
from mosaicolabs.exceptions import ClosedError
from mosaicolabs.handlers.batches import Batches, Column, Columnar, Opening, Where
from mosaicolabs.models.message import Message
from mosaicolabs.models.serializable import Serializable

__all__ = ["TopicDataStreamer"]


class TopicDataStreamer(Columnar):
    """Yields the messages of one topic by non-decreasing `timestamp_ns`; runs once, forward."""

    def __init__(self, *, topic_name: str, ontology_tag: str, stream: Source, opening: Opening) -> None:
        self._name = topic_name
        self._ontology_tag = ontology_tag
        self._stream: Source | None = stream
        self._opening = opening
        self._read = False

    def name(self) -> str:
        """The topic's name with a leading slash."""
        return self._name

    @property
    def ontology_tag(self) -> str:
        """Tag of the class of its messages."""
        return self._ontology_tag

    def __iter__(self) -> "TopicDataStreamer":
        self._open()
        return self

    def __next__(self) -> Message:
        item = self._open().next()
        if item is None:
            raise StopIteration
        message: Message = item[1]
        return message

    def next(self) -> Message | None:
        """The next message, or None at the end."""
        return next(self, None)

    def next_timestamp(self) -> int | None:
        """Time of the next message without consuming it, ns since the Unix epoch; None at the end."""
        return self._open().next_timestamp()

    def batches(self, columns: Iterable[Column] | None = None, where: Where | None = None) -> Batches:
        """What the streamer would yield, as columns; chosen by the daemon, so that nothing else travels.

        The streamer is used up by it; closing it closes the batches.

        Args:
            columns: Dotted paths as they are stored (`"acceleration.x"`), or fields (`IMU.Q.acceleration.x`);
                `timestamp_ns` always comes along. None: all.
            where: What the messages have to satisfy. None: all of them.

        Raises:
            RuntimeError: Messages were read already.
            InvalidInputError: There is no such column, or the condition is about another class.
        """
        stream = self._stream
        if self._read or stream is None:
            self._open()
            raise RuntimeError(
                "the streamer was read message by message already; get another one for batches"
            )
        batches = self._opening.batches(columns, where)
        stream.close()
        self._stream, self._batches = None, batches
        return batches

    def close(self) -> None:
        """Ends the stream; may be called again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _open(self) -> Source:
        if self._stream is None:
            raise ClosedError(f"Reader closed for topic '{self._name}'; get another streamer")
        self._read = True
        return self._stream

    def __repr__(self) -> str:
        state = "closed" if self._stream is None else "open"
        return f"<TopicDataStreamer {self._name}: {class_name(self._ontology_tag)}, {state}>"

    def __enter__(self) -> "TopicDataStreamer":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()


def class_name(ontology_tag: str) -> str:
    """The class behind a tag; the tag itself if it is not known here."""
    cls = Serializable._get_class_type(ontology_tag)
    return ontology_tag if cls is None else cls.__name__
