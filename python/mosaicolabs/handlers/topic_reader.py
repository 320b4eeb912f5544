"""The replay of one topic."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mosaicolabs._streams.watched import Source
from mosaicolabs.handlers._base_streamer import HandlerStreamer
from mosaicolabs.handlers.batches import Batches, BatchRequest, Column, Where
from mosaicolabs.models.message import Message
from mosaicolabs.models.serializable import Serializable

__all__ = ["TopicDataStreamer"]


class TopicDataStreamer(HandlerStreamer):
    """Yields the messages of one topic by non-decreasing `timestamp_ns`; runs once, forward."""

    _NAMED = False

    def __init__(self, *, topic_name: str, ontology_tag: str, stream: Source, request: BatchRequest) -> None:
        super().__init__(subject=f"topic '{topic_name}'", stream=stream, request=request)
        self._name = topic_name
        self._ontology_tag = ontology_tag

    def name(self) -> str:
        """The topic's name with a leading slash."""
        return self._name

    @property
    def ontology_tag(self) -> str:
        """Tag of the class of its messages."""
        return self._ontology_tag

    if TYPE_CHECKING:

        def __next__(self) -> Message: ...

    def next(self) -> Message | None:
        """The next message, or None at the end."""
        return next(self, None)

    def batches(self, columns: Iterable[Column] | None = None, where: Where | None = None) -> Batches:
        """What the streamer would yield, as columns; the daemon sends only the selected columns and rows.

        Replaces the stream of messages; closing the streamer closes the batches.

        Args:
            columns: Dotted paths as they are stored (`"acceleration.x"`), or fields (`IMU.Q.acceleration.x`);
                `timestamp_ns` is always included. None: all.
            where: Condition that messages must satisfy. None: all messages.

        Raises:
            RuntimeError: Messages were read already.
            ClosedError: The streamer is closed.
            InvalidInputError: A column does not exist, or the condition is about another class.
        """
        return self._open_batches(columns, where)

    def __repr__(self) -> str:
        return f"<TopicDataStreamer {self._name}: {class_name(self._ontology_tag)}, {self._state}>"


def class_name(ontology_tag: str) -> str:
    """The class registered under a tag; the tag itself if this process does not know the class."""
    cls = Serializable._get_class_type(ontology_tag)
    return ontology_tag if cls is None else cls.__name__
