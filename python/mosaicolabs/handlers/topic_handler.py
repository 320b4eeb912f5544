"""What the catalog knows about one topic, and the start of its replay."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.malformed import well_formed
from mosaicolabs._protocol.manifests import TopicResourceManifest
from mosaicolabs._protocol.metadata import TopicMetadata
from mosaicolabs._protocol.system_info import RemoteRows
from mosaicolabs._streams.open import FollowOptions, Window, class_of, read_manifests
from mosaicolabs.enum import FlightAction
from mosaicolabs.exceptions import InvalidInputError, NotFoundError
from mosaicolabs.handlers._base_handler import BaseHandler
from mosaicolabs.handlers._selection import window_of
from mosaicolabs.handlers.batches import Batches, BatchRequest, Column, Where
from mosaicolabs.handlers.topic_reader import TopicDataStreamer, class_name
from mosaicolabs.helpers._format import count, megabytes, span
from mosaicolabs.helpers._html import facts
from mosaicolabs.helpers.times import TimeLike
from mosaicolabs.models.platform import Topic
from mosaicolabs.models.serializable import Serializable

__all__ = ["TopicHandler"]


class TopicHandler(BaseHandler[Topic, TopicDataStreamer]):
    """Facts about one topic, and the factory of its streamers.

    A snapshot: it reads no rows by itself and does not follow later changes. Usable as a context manager.
    """

    def __init__(
        self, *, client: _native.Client, topic_model: Topic, manifest: TopicResourceManifest
    ) -> None:
        super().__init__(client=client, model=topic_model)
        self._manifest = manifest

    @classmethod
    def _connect(cls, client: _native.Client, locator: str) -> "TopicHandler":
        decoded, manifests, system = actions.describe(client, FlightAction.TOPIC_SYSTEM_INFO, locator)
        if decoded.get("context") != "topic":
            raise NotFoundError(f"`{locator}` is a sequence, not a topic")
        with well_formed(f"metadata of {locator!r}"):
            metadata = TopicMetadata.from_dict(decoded)
            manifest = manifests[0]
        model = Topic._from_facts(
            name=manifest.topic_name,
            sequence_name=manifest.sequence_name,
            user_metadata=metadata.user_metadata,
            created_datetime=system.created_datetime,
            is_locked=system.is_locked,
            total_size_bytes=system.total_size_bytes,
            ontology_tag=metadata.properties.ontology_tag,
            serialization_format=metadata.properties.serialization_format,
            chunks_number=system.chunks_number,
        )
        return cls(client=client, topic_model=model, manifest=manifest)

    @property
    def sequence_name(self) -> str:
        """The sequence it belongs to."""
        return self._model.sequence_name

    @property
    def topic_info(self) -> Topic:
        """All facts in one object."""
        return self._model

    @property
    def chunks_number(self) -> int | None:
        """Number of stored chunks."""
        return self._model.chunks_number

    @property
    def rows_number(self) -> int | None:
        """Number of stored messages; None on a Mosaico 0.2 server, which does not report it."""
        return self._manifest.rows_number

    @property
    def resumed(self) -> int:
        """How often the recording of the topic was resumed after its connection broke."""
        return self._manifest.resumed

    @property
    def remote_rows(self) -> list[RemoteRows]:
        """Acknowledged messages that cannot be read now: only other daemons have them, in their WAL.

        Not empty only where several daemons share a store. Until it is empty the sequence cannot be
        finalized; the messages become readable when their daemon runs again. Not counted in `rows_number`.
        """
        return list(self._manifest.remote_rows)

    @property
    def ontology_tag(self) -> str:
        """Tag of the class of its messages."""
        return self._model.ontology_tag

    @property
    def ontology_type(self) -> type[Serializable]:
        """The class of its messages. If this process does not know it: a class made from the stored columns.

        Its `Q` has the fields for queries and `where`, whether the class is known or not.

        Raises:
            MosaicoError: The columns are needed, and the daemon cannot be asked for them.
        """
        return class_of(self._client, f"{self.sequence_name}{self.name}", self.ontology_tag)

    @property
    def serialization_format(self) -> str:
        """Storage profile."""
        return self._model.serialization_format

    @property
    def timestamp_ns_min(self) -> int | None:
        """Lowest message time, ns since the Unix epoch; None without data."""
        return self._manifest.timestamp_ns_min

    @property
    def timestamp_ns_max(self) -> int | None:
        """Highest message time, ns since the Unix epoch; None without data."""
        return self._manifest.timestamp_ns_max

    def get_data_streamer(
        self,
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        *,
        follow: bool = False,
        progress: bool = False,
        skip_damaged: bool = False,
    ) -> TopicDataStreamer:
        """Opens the replay of this topic; a handler has one live streamer, the previous one is closed.

        Args:
            start_timestamp_ns: First time inside the window: ns, a datetime, `"+1.5s"`, ... (`TimeLike`).
            end_timestamp_ns: First time past it. A window without messages yields nothing.
            follow: Continue with messages that are recorded later, as soon as they are durable, until the
                topic is complete. Stored messages are yielded in time order, later ones batch by batch as
                they arrive, possibly out of order.
            progress: Show the position of the replay on stderr, where that is a terminal or a notebook.
            skip_damaged: Leave out rows of damaged chunks instead of raising `DataLossError`; `skipped` of
                the streamer and a warning at its end name them.

        Raises:
            ValueError: The topic has no data and is not followed, or a time is not one.
            UnsupportedError: `follow` on a Mosaico 0.2 server.
            ConnectionError: The stream cannot be opened.
        """
        if self.timestamp_ns_min is None and not follow:
            raise InvalidInputError(f"Cannot stream topic '{self.name}': The topic might contain no data")
        window = window_of(
            start_timestamp_ns, end_timestamp_ns, (self.timestamp_ns_min, self.timestamp_ns_max)
        )
        self._close_streamer()
        manifests = read_manifests(self._client, f"{self.sequence_name}{self.name}", window)
        live = (
            FollowOptions(self.sequence_name, window, max_lateness_s=0.0, joining=False) if follow else None
        )
        stream, tags = self._open_source(
            manifests, window, live, progress=progress, skip_damaged=skip_damaged
        )
        self._streamer = TopicDataStreamer(
            topic_name=self.name,
            ontology_tag=tags[0],
            stream=stream,
            request=self._batch_request(window, 0.0 if follow else None, skip_damaged=skip_damaged),
        )
        return self._streamer

    def _batch_request(
        self, window: Window, max_lateness_s: float | None = None, *, skip_damaged: bool = False
    ) -> BatchRequest:
        locator = f"{self.sequence_name}{self.name}"
        return BatchRequest(
            self._client,
            [locator],
            window,
            self.ontology_tag,
            max_lateness_s,
            skip_damaged=skip_damaged,
        )

    def batches(
        self,
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        *,
        columns: Iterable[Column] | None = None,
        where: Where | None = None,
        skip_damaged: bool = False,
    ) -> Batches:
        """The topic as columns, batch by batch; the daemon sends only the selected columns and rows.

        Independent of the live streamer, as are `to_arrow`, `to_pandas` and `to_polars`, which take the same
        arguments.

        Args:
            start_timestamp_ns: First time inside the window: ns, a datetime, `"+1.5s"`, ... (`TimeLike`).
            end_timestamp_ns: First time past it.
            columns: Dotted paths as they are stored (`"acceleration.x"`), or fields (`IMU.Q.acceleration.x`);
                `timestamp_ns` is always included. None: all.
            where: Condition that messages must satisfy. None: all messages.
            skip_damaged: Leave out rows of damaged chunks instead of raising `DataLossError`; `skipped` of
                the batches and a warning at its end name them.

        Raises:
            ValueError: The topic has no data, or a time is not one.
            InvalidInputError: A column does not exist, or the condition is about another class.

        Example:
            >>> from mosaicolabs import Floating64, Message, MosaicoClient
            >>> with MosaicoClient.embedded(store) as client:
            ...     with client.sequence_create("drive") as writer:
            ...         speed = writer.topic_create("speed", {}, Floating64)
            ...         for step in range(5):
            ...             speed.push(Message(timestamp_ns=step, data=Floating64(data=step * 1.5)))
            ...     topic = client.topic_handler("drive", "speed")
            ...     fast = topic.to_arrow(columns=["data"], where=Floating64.Q.data.gt(4.0))
            >>> fast.to_pylist()
            [{'timestamp_ns': 3, 'data': 4.5}, {'timestamp_ns': 4, 'data': 6.0}]
        """
        if self.timestamp_ns_min is None:
            raise InvalidInputError(f"Cannot read topic '{self.name}': The topic might contain no data")
        window = window_of(
            start_timestamp_ns, end_timestamp_ns, (self.timestamp_ns_min, self.timestamp_ns_max)
        )
        return self._batch_request(window, skip_damaged=skip_damaged).batches(columns, where)

    def to_arrow(
        self,
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        *,
        columns: Iterable[Column] | None = None,
        where: Where | None = None,
        skip_damaged: bool = False,
    ) -> pa.Table:
        """All of `batches` as a table."""
        window = (start_timestamp_ns, end_timestamp_ns)
        return self.batches(*window, columns=columns, where=where, skip_damaged=skip_damaged).to_arrow()

    def to_pandas(
        self,
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        *,
        columns: Iterable[Column] | None = None,
        where: Where | None = None,
        skip_damaged: bool = False,
        time_index: bool = False,
    ) -> Any:
        """All of `batches` as a pandas frame, see `Batches.to_pandas`."""
        window = (start_timestamp_ns, end_timestamp_ns)
        batches = self.batches(*window, columns=columns, where=where, skip_damaged=skip_damaged)
        return batches.to_pandas(time_index=time_index)

    def to_polars(
        self,
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        *,
        columns: Iterable[Column] | None = None,
        where: Where | None = None,
        skip_damaged: bool = False,
    ) -> Any:
        """All of `batches` as a polars frame."""
        window = (start_timestamp_ns, end_timestamp_ns)
        return self.batches(*window, columns=columns, where=where, skip_damaged=skip_damaged).to_polars()

    def _summary(self) -> str:
        messages = class_name(self.ontology_tag)
        if self.rows_number is not None:
            messages = f"{count(self.rows_number)} {messages}"
        duration = span(self.timestamp_ns_min, self.timestamp_ns_max)
        parts = [messages, duration, megabytes(self.total_size_bytes)]
        state = [] if self.is_locked else ["unlocked"]
        return ", ".join([*parts, *state, *map(str, self.remote_rows)])

    def _repr_html_(self) -> str:
        title = f"{self.sequence_name}{self.name}"
        return facts(title, [self._summary()], self.user_metadata)
