"""What the handlers of sequences and topics share: facts, and the one live streamer."""

from abc import abstractmethod
from datetime import datetime
from typing import Any, Generic, TypeVar

from mosaicolabs import _native
from mosaicolabs._closing import Closing
from mosaicolabs._protocol.manifests import TopicResourceManifest, bounds
from mosaicolabs._streams.open import FollowOptions, Window, follow_stream, open_stream
from mosaicolabs._streams.watched import Source, watched
from mosaicolabs.handlers._base_streamer import HandlerStreamer
from mosaicolabs.models.platform.platform_base import PlatformBase

ModelT = TypeVar("ModelT", bound=PlatformBase)
StreamerT = TypeVar("StreamerT", bound=HandlerStreamer)


class BaseHandler(Closing, Generic[ModelT, StreamerT]):
    """Facts about something stored, and the factory of its streamers.

    A snapshot: it reads no rows by itself and does not follow later changes. Usable as a context manager.
    """

    def __init__(self, *, client: _native.Client, model: ModelT) -> None:
        self._client = client
        self._model = model
        self._streamer: StreamerT | None = None

    @property
    def name(self) -> str:
        """Name: of a sequence without slashes, of a topic with a leading one."""
        return self._model.name

    @property
    def user_metadata(self) -> dict[str, Any]:
        """Metadata that the user attached at creation."""
        return self._model.user_metadata

    @property
    def created_datetime(self) -> datetime:
        """Creation time, UTC."""
        return self._model.created_datetime

    @property
    def is_locked(self) -> bool:
        """Whether it is complete, hence immutable."""
        return self._model.is_locked

    @property
    def total_size_bytes(self) -> int:
        """Size in the store, bytes."""
        return self._model.total_size_bytes

    def close(self) -> None:
        """Closes the live streamer; the handler stays usable."""
        self._close_streamer()

    def _close_streamer(self) -> None:
        streamer, self._streamer = self._streamer, None
        if streamer is not None:
            streamer.close()

    def _open_source(
        self,
        manifests: list[TopicResourceManifest],
        window: Window,
        live: FollowOptions | None,
        *,
        progress: bool,
        skip_damaged: bool,
    ) -> tuple[Source, list[str]]:
        """The merged stream of these topics, followed if `live` is given, and the ontology tag of each."""
        if live is None:
            stream, tags = open_stream(self._client, manifests, skip_damaged=skip_damaged)
        else:
            stream, tags = follow_stream(self._client, manifests, live, skip_damaged=skip_damaged)
        if not progress:
            return stream, tags
        return watched(stream, self.name, window, bounds(manifests, follow=live is not None)), tags

    @abstractmethod
    def _summary(self) -> str:
        """Its size, length and state in one line."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self._summary()}>"
