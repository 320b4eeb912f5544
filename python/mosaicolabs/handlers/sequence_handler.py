"""What the catalog knows about one sequence, and the start of its replay."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.malformed import well_formed
from mosaicolabs._protocol.manifests import TopicResourceManifest
from mosaicolabs._protocol.metadata import SequenceMetadata
from mosaicolabs._protocol.system_info import RemoteRows, sum_by_daemon
from mosaicolabs._streams.open import FollowOptions, Window, read_manifests
from mosaicolabs.enum import FlightAction
from mosaicolabs.exceptions import FailedPreconditionError, InvalidInputError, MosaicoError, NotFoundError
from mosaicolabs.export import ExportResult
from mosaicolabs.export import export as run_export
from mosaicolabs.handlers._base_handler import BaseHandler
from mosaicolabs.handlers._selection import Topics, select_topics, window_of
from mosaicolabs.handlers.batches import Batches, BatchRequest, Column, Where
from mosaicolabs.handlers.sequence_link import SequenceLink, create_link
from mosaicolabs.handlers.sequence_reader import SequenceDataStreamer
from mosaicolabs.handlers.topic_handler import TopicHandler
from mosaicolabs.helpers._format import count, megabytes, span
from mosaicolabs.helpers._html import Row, facts, table
from mosaicolabs.helpers.suggest import did_you_mean
from mosaicolabs.helpers.times import TimeLike
from mosaicolabs.models.platform import Sequence

__all__ = ["SequenceHandler"]


class SequenceHandler(BaseHandler[Sequence, SequenceDataStreamer]):
    """Facts about one sequence, and the factory of its streamers.

    A snapshot: it reads no rows by itself and does not follow later changes. Usable as a context manager.
    """

    def __init__(
        self, *, sequence_model: Sequence, client: _native.Client, manifests: list[TopicResourceManifest]
    ) -> None:
        super().__init__(client=client, model=sequence_model)
        self._manifests = {manifest.topic_name: manifest for manifest in manifests}
        self._topic_handlers: dict[str, TopicHandler] = {}

    @classmethod
    def _connect(cls, client: _native.Client, name: str) -> "SequenceHandler":
        decoded, manifests, system = actions.describe(client, FlightAction.SEQUENCE_SYSTEM_INFO, name)
        if decoded.get("context") != "sequence":
            raise NotFoundError(f"`{name}` is a topic, not a sequence")
        with well_formed(f"metadata of {name!r}"):
            metadata = SequenceMetadata.from_dict(decoded)
        model = Sequence._from_facts(
            name=name,
            user_metadata=metadata.user_metadata,
            created_datetime=system.created_datetime,
            is_locked=system.is_locked,
            total_size_bytes=system.total_size_bytes,
            topics=[manifest.topic_name for manifest in manifests],
        )
        return cls(sequence_model=model, client=client, manifests=manifests)

    @property
    def topics(self) -> list[str]:
        """Names of its topics, each with a leading slash."""
        return self._model.topics

    @property
    def sequence_info(self) -> Sequence:
        """All facts in one object."""
        return self._model

    @property
    def remote_rows(self) -> list[RemoteRows]:
        """Acknowledged messages that cannot be read now: only other daemons have them, in their WAL.

        Not empty only where several daemons share a store. Until it is empty the sequence cannot be
        finalized; `TopicHandler.remote_rows` gives them by topic.
        """
        return sum_by_daemon(some for manifest in self._manifests.values() for some in manifest.remote_rows)

    @property
    def timestamp_ns_min(self) -> int | None:
        """Lowest message time of all topics, ns since the Unix epoch; None without data."""
        return min(self._times("timestamp_ns_min"), default=None)

    @property
    def timestamp_ns_max(self) -> int | None:
        """Highest message time of all topics, ns since the Unix epoch; None without data."""
        return max(self._times("timestamp_ns_max"), default=None)

    def _times(self, bound: str) -> list[int]:
        times = (getattr(manifest, bound) for manifest in self._manifests.values())
        return [time for time in times if time is not None]

    def get_data_streamer(
        self,
        topics: Topics = [],  # noqa: B006 - the recorded default; it is never changed
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        *,
        follow: bool = False,
        max_lateness_s: float = 0.1,
        progress: bool = False,
        skip_damaged: bool = False,
    ) -> SequenceDataStreamer:
        """Opens the merged replay; a handler has one live streamer, the previous one is closed.

        Args:
            topics: Name or pattern of the topics to replay, or several: `"imu"`, `["camera/*", "!*/raw"]`.
                None or empty: all.
            start_timestamp_ns: First time inside the window: ns, a datetime, `"+1.5s"`, ... (`TimeLike`).
            end_timestamp_ns: First time past it. A window without messages yields nothing.
            follow: Continue with messages that are recorded later, as soon as they are durable, until the
                sequence is finalized or its recording fails. Unless `topics` are named, topics that are
                created later join.
            max_lateness_s: How long a followed message waits for earlier messages of silent topics, s.
                Messages within that time are merged in order; a later one is yielded out of order.
            progress: Show the position of the replay on stderr, where that is a terminal or a notebook.
            skip_damaged: Leave out rows of damaged chunks instead of raising `DataLossError`; `skipped` of
                the streamer and a warning at its end name them.

        Raises:
            ValueError: The sequence has no data and is not followed, a named topic does not exist, or a
                time is not one.
            UnsupportedError: `follow` on a Mosaico 0.2 server.
            RuntimeError: None of the selected topics has data.
            ConnectionError: A stream cannot be opened.

        Example:
            >>> from mosaicolabs import Floating64, Message
            >>> with MosaicoClient.embedded(store) as client:
            ...     with client.sequence_create("drive") as writer:
            ...         speed = writer.topic_create("speed", {}, Floating64)
            ...         speed.push(Message(timestamp_ns=5, data=Floating64(data=3.5)))
            ...     for topic, message in client.sequence_handler("drive").get_data_streamer():
            ...         print(topic, message.timestamp_ns, message.data.data)
            /speed 5 3.5
        """
        filled = self._topics_with_data(topics, follow=follow)
        window = window_of(start_timestamp_ns, end_timestamp_ns, self._bounds)
        self._close_streamer()
        manifests = read_manifests(self._client, self.name, window)
        chosen = [manifest for manifest in manifests if manifest.topic_name in filled]
        joining = follow and not topics
        live = FollowOptions(self.name, window, max_lateness_s, joining) if follow else None
        stream, _ = self._open_source(chosen, window, live, progress=progress, skip_damaged=skip_damaged)
        names = [manifest.topic_name for manifest in chosen]
        self._streamer = SequenceDataStreamer(
            sequence_name=self.name,
            stream=stream,
            request=self._batch_request(
                names, window, max_lateness_s if follow else None, skip_damaged=skip_damaged
            ),
            joining=joining,
        )
        return self._streamer

    def _batch_request(
        self,
        names: list[str],
        window: Window,
        max_lateness_s: float | None = None,
        *,
        skip_damaged: bool = False,
    ) -> BatchRequest:
        locators = [f"{self.name}{name}" for name in names]
        return BatchRequest(
            self._client, locators, window, max_lateness_s=max_lateness_s, skip_damaged=skip_damaged
        )

    @property
    def _bounds(self) -> Window:
        return self.timestamp_ns_min, self.timestamp_ns_max

    def _topics_with_data(self, topics: Topics, *, follow: bool) -> list[str]:
        """The selected topics that have data, in the order of the server."""
        if self.timestamp_ns_min is None and not follow:
            raise InvalidInputError(
                f"Cannot stream sequence '{self.name}': The sequence might contain no data"
            )
        selected = select_topics(topics, list(self._manifests), self.name)
        filled = [name for name in selected if follow or self._manifests[name].timestamp_ns_min is not None]
        if not filled and not follow:
            raise FailedPreconditionError(
                f"None of the topics {sorted(selected)} of sequence '{self.name}' has data"
            )
        return filled

    def batches(
        self,
        topics: Topics = None,
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        *,
        columns: Iterable[Column] | None = None,
        where: Where | None = None,
        skip_damaged: bool = False,
    ) -> Batches:
        """Topics merged by time, as columns; the daemon sends only the selected columns and rows.

        Independent of the live streamer, as are `to_arrow`, `to_pandas` and `to_polars`, which take the same
        arguments. `Batches` describes the layout of the columns of several classes.

        Args:
            topics: Name or pattern of the topics to read, or several: `"imu"`, `["camera/*", "!*/raw"]`.
                None or empty: all.
            start_timestamp_ns: First time inside the window: ns, a datetime, `"+1.5s"`, ... (`TimeLike`).
            end_timestamp_ns: First time past it.
            columns: Dotted paths below the tag of a class (`"imu.acceleration.x"`, `"imu"`) or fields
                (`IMU.Q.acceleration.x`), and `"recording_timestamp_ns"`; `timestamp_ns` and `topic` are
                always included. None: all. Columns do not select rows: use `topics` or `where`.
            where: Condition that messages must satisfy. Fields of other classes count as missing in a
                message, so a condition on one class leaves only the topics of that class. None: all messages.
            skip_damaged: Leave out rows of damaged chunks instead of raising `DataLossError`; `skipped` of
                the batches and a warning at its end name them.

        Raises:
            ValueError: The sequence has no data, a named topic does not exist, or a time is not one.
            RuntimeError: None of the selected topics has data.
            InvalidInputError: A column does not exist, the condition matches none of the topics, or a column
                has different types in topics of one class.

        Example:
            >>> from mosaicolabs import Boolean, Floating64, Message, MosaicoClient
            >>> with MosaicoClient.embedded(store) as client:
            ...     with client.sequence_create("trip") as writer:
            ...         speed = writer.topic_create("speed", {}, Floating64)
            ...         brake = writer.topic_create("brake", {}, Boolean)
            ...         speed.push(Message(timestamp_ns=1, data=Floating64(data=1.5)))
            ...         brake.push(Message(timestamp_ns=2, data=Boolean(data=True)))
            ...     trip = client.sequence_handler("trip")
            ...     table = trip.to_arrow(columns=["boolean.data", "floating64.data"])
            >>> table.to_pylist()[1]
            {'timestamp_ns': 2, 'topic': '/brake', 'floating64': None, 'boolean': {'data': True}}
        """
        names = self._topics_with_data(topics, follow=False)
        window = window_of(start_timestamp_ns, end_timestamp_ns, self._bounds)
        return self._batch_request(names, window, skip_damaged=skip_damaged).batches(columns, where)

    def to_arrow(
        self,
        topics: Topics = None,
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        *,
        columns: Iterable[Column] | None = None,
        where: Where | None = None,
        skip_damaged: bool = False,
    ) -> pa.Table:
        """All of `batches` as a table."""
        window = (start_timestamp_ns, end_timestamp_ns)
        batches = self.batches(topics, *window, columns=columns, where=where, skip_damaged=skip_damaged)
        return batches.to_arrow()

    def to_pandas(
        self,
        topics: Topics = None,
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
        batches = self.batches(topics, *window, columns=columns, where=where, skip_damaged=skip_damaged)
        return batches.to_pandas(time_index=time_index)

    def to_polars(
        self,
        topics: Topics = None,
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        *,
        columns: Iterable[Column] | None = None,
        where: Where | None = None,
        skip_damaged: bool = False,
    ) -> Any:
        """All of `batches` as a polars frame."""
        window = (start_timestamp_ns, end_timestamp_ns)
        batches = self.batches(topics, *window, columns=columns, where=where, skip_damaged=skip_damaged)
        return batches.to_polars()

    def export(
        self,
        path: str | os.PathLike[str],
        format: str,
        *,
        topics: Iterable[str] = (),
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        where: Where | None = None,
        overwrite: bool = False,
        dry_run: bool = False,
        progress: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> ExportResult:
        """Writes the sequence to files of another format, in bounded memory.

        The files grow in the folder `PATH.partial`, and get their final name when all of them are complete.
        After an interruption the same call continues after the files that are complete.

        Args:
            path: The file or folder to create: a folder for formats with one file per topic.
            format: Name of a writer: `parquet`, `arrow`, `csv`, `jsonl`, or one of another package.
            topics: Names of topics, or patterns such as `/cam*` and `!/cam1`. Empty: all that have messages.
            start_timestamp_ns: First time inside the window: ns, a datetime, `"+1.5s"`, ... (`TimeLike`).
            end_timestamp_ns: First time past it.
            where: Condition that messages must satisfy; it leaves only topics of the class that it is about.
            overwrite: Replace an existing file or folder, when the new one is complete.
            dry_run: Check the arguments and list the files, without writing any.
            progress: Show the position on stderr, where that is a terminal or a notebook.
            options: Options of the writer, such as `{"merge": True, "compression": "zstd"}`.

        Raises:
            ExportError: An argument or option does not exist, the path exists, another export writes to it,
                or nothing is to be exported.
            OSError: A file cannot be written.
            MosaicoError: Messages cannot be read.

        Example:
            >>> import pyarrow.parquet
            >>> from mosaicolabs import Floating64, Message
            >>> with MosaicoClient.embedded(store) as client:
            ...     with client.sequence_create("drive") as writer:
            ...         speed = writer.topic_create("speed", {}, Floating64)
            ...         speed.push(Message(timestamp_ns=5, data=Floating64(data=3.5)))
            ...     result = client.sequence_handler("drive").export(store / "../drive", "parquet")
            >>> pyarrow.parquet.read_table(store / "../drive/speed.parquet")["data"].to_pylist()
            [3.5]
        """
        # A handler of its own: facts of now, and the live streamer of this one stays open.
        with SequenceHandler._connect(self._client, self.name) as source:
            return run_export(
                source,
                format,
                path,
                topics=topics,
                window=window_of(start_timestamp_ns, end_timestamp_ns, source._bounds),
                where=where,
                options=options,
                overwrite=overwrite,
                dry_run=dry_run,
                progress=progress,
            )

    def get_topic_handler(self, topic_name: str, force_new_instance: bool = False) -> TopicHandler:
        """The handler of one of its topics.

        Args:
            topic_name: Name; the leading slash is optional.
            force_new_instance: Query the daemon again even if the handler is cached.

        Raises:
            ValueError: The topic does not exist, or the daemon cannot be queried.
        """
        name = f"/{topic_name.strip('/')}"
        if name not in self._manifests:
            raise InvalidInputError(
                f"Topic '{topic_name}' not available in sequence '{self.name}'; "
                f"{did_you_mean(name, self.topics)}"
            )
        handler = self._topic_handlers.get(name)
        if handler is None or force_new_instance:
            try:
                handler = TopicHandler._connect(self._client, f"{self.name}{name}")
            except MosaicoError as error:
                raise InvalidInputError(f"Topic '{topic_name}' of sequence '{self.name}': {error}") from error
            self._topic_handlers[name] = handler
        return handler

    def link(
        self,
        expires_in_s: int = 3600,
        *,
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        topics: Topics = None,
    ) -> SequenceLink:
        """Creates a signed link; see `MosaicoClient.sequence_link`."""
        return create_link(
            self._client,
            self.name,
            expires_in_s=expires_in_s,
            window=window_of(start_timestamp_ns, end_timestamp_ns, self._bounds),
            topics=select_topics(topics, self.topics, self.name) if topics else None,
        )

    def close(self) -> None:
        """Closes the live streamer and the topic handlers; the handler stays usable."""
        self._close_streamer()
        for handler in self._topic_handlers.values():
            handler.close()
        self._topic_handlers.clear()

    def _summary(self) -> str:
        parts = [f"{len(self.topics)} topics"]
        rows = [manifest.rows_number for manifest in self._manifests.values()]
        known = [number for number in rows if number is not None]
        if known:
            parts.append(f"{count(sum(known))} messages")
        parts.append(span(self.timestamp_ns_min, self.timestamp_ns_max))
        parts.append(megabytes(self.total_size_bytes))
        state = [] if self.is_locked else ["unlocked"]
        return ", ".join([*parts, *state, *map(str, self.remote_rows)])

    def _repr_html_(self) -> str:
        created = f"created {self.created_datetime:%Y-%m-%d %H:%M:%S} UTC"
        head = facts(self.name, [self._summary(), created], self.user_metadata)
        return head + table(["topic", "messages", "duration"], map(_row, self._manifests.values()))


def _row(manifest: TopicResourceManifest) -> Row:
    messages = "" if manifest.rows_number is None else count(manifest.rows_number)
    low, high = manifest.timestamp_ns_min, manifest.timestamp_ns_max
    return Row([manifest.topic_name, messages, span(low, high)], low, high)
