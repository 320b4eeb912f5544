"""The entry point: a client of one daemon."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from mosaicolabs import _native
from mosaicolabs._closing import Closing
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.addresses import addresses_of, place_of
from mosaicolabs._protocol.metadata import user_metadata_of
from mosaicolabs._protocol.notifications import Notified
from mosaicolabs._protocol.system_info import SystemInfo
from mosaicolabs.comm import _display, _query
from mosaicolabs.comm import events as _events
from mosaicolabs.comm.connection import DEFAULT_MAX_BATCH_BYTES, DEFAULT_MAX_BATCH_SIZE_RECORDS
from mosaicolabs.comm.events import Event, EventKind
from mosaicolabs.comm.page import PageView, check_answers, http_base, page_view
from mosaicolabs.comm.security import Security
from mosaicolabs.comm.target import DEFAULT_HOST, DEFAULT_PORT, Target, folder_of
from mosaicolabs.enum import FlightAction, OnErrorPolicy
from mosaicolabs.exceptions import (
    ConnectionFailedError,
    FailedPreconditionError,
    InvalidInputError,
    MosaicoError,
    NotFoundError,
)
from mosaicolabs.handlers.config import WriterConfig
from mosaicolabs.handlers.sequence_handler import SequenceHandler
from mosaicolabs.handlers.sequence_link import SequenceLink
from mosaicolabs.handlers.sequence_writer import SequenceWriter
from mosaicolabs.handlers.topic_handler import TopicHandler
from mosaicolabs.helpers import (
    pack_topic_resource_name,
    sanitize_sequence_name,
    validate_sequence_name,
)
from mosaicolabs.helpers.times import TimeLike
from mosaicolabs.models.query import Query, QueryResponse
from mosaicolabs.models.query.protocols import QueryableProtocol

__all__ = ["MosaicoClient"]

logger = logging.getLogger(__name__)


class MosaicoClient(Closing):
    """A client of one daemon; usable as a context manager.

    Handlers of finalized sequences are cached, since those never change; everything else is requested from
    the daemon each time. Methods may be called from several threads.

    Example:
        >>> with MosaicoClient.embedded(store) as client:
        ...     client.list_sequences()
        []
    """

    def __init__(
        self, *, _native_client: _native.Client | None = None, _http_base: str = "", **_: object
    ) -> None:
        if _native_client is None:
            raise FailedPreconditionError(
                "create a client with MosaicoClient.connect() or MosaicoClient.embedded()"
            )
        self._native = _native_client
        self._http_base = _http_base
        self._closed = False
        self._sequence_handlers: dict[str, SequenceHandler] = {}
        self._topic_handlers: dict[str, TopicHandler] = {}

    @classmethod
    def connect(
        cls,
        host: str | Sequence[str] = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        timeout: int = 5,
        enable_tls: bool = False,
        *,
        tls_cert_path: str | os.PathLike[str] | None = None,
        api_key: str | None = None,
        client_cert_path: str | os.PathLike[str] | None = None,
        client_key_path: str | os.PathLike[str] | None = None,
        answer_timeout_s: float = 600.0,
    ) -> "MosaicoClient":
        """Connects to a running daemon, mosaicod or a Mosaico 0.2 server, and waits until it answers.

        Several daemons may serve the same store: the client uses the first one that serves, and fails over to
        the next one if the connection breaks, the daemon hangs, or it has no access to its store. Recordings
        resume there. An address that failed is avoided for 1 s to 60 s, unless no other one serves.

        Args:
            host: Host name or address; or several, as a list or separated by commas, each optionally with a
                port of its own: `"one,two:7000"`, `"grpc://one:7000"`. The scheme `grpcs://` switches TLS on.
            port: Port of hosts without one.
            timeout: How long to wait for the first answer, s.
            enable_tls: Use TLS. Any of the files below switches it on too.
            tls_cert_path: CA certificates to trust, PEM. None: those of the system.
            api_key: The API key that each call carries. Without TLS, it is only sent to this machine, unless
                the variable MOSAICO_ALLOW_PLAIN_TEXT_KEY is 1.
            client_cert_path: The client's own certificate, PEM, for daemons that require one (mutual TLS).
            client_key_path: Its private key.
            answer_timeout_s: How long to wait for the answer of a call, and for the next rows of a read that
                does not follow a recording, s.

        Raises:
            InvalidInputError: `host` contains no host or an invalid port, or the settings of TLS or the API
                key are malformed (a `ValueError`).
            FileNotFoundError: A file of TLS does not exist.
            FailedPreconditionError: The API key would be sent without TLS to another machine.
            ConnectionFailedError: No daemon answered in time, or the TLS handshake failed (a
                `ConnectionError`).
        """
        security = Security(enable_tls, tls_cert_path, client_cert_path, client_key_path, api_key)
        arguments = security.arguments(host)
        place = f"{host}:{port}"
        try:
            addresses = addresses_of(host, port)
            place = place_of(addresses)
            native = _native.Client.connect(
                addresses, float(timeout), answer_timeout_s=float(answer_timeout_s), **arguments
            )
        # The former: this process was forked and cannot connect, or the API key would be readable.
        except (FailedPreconditionError, InvalidInputError):
            raise
        except MosaicoError as error:
            # A handshake that failed shows that a daemon is there.
            is_there = "TLS" in str(error) or "certificate" in str(error)
            hint = "" if is_there else "; is `mosaicod run` running there?"
            raise ConnectionFailedError(
                f"Connection to Flight server at '{place}' failed on startup: {error}{hint}"
            ) from error
        first_host, first_port = addresses[0]
        base = http_base(first_host, first_port, tls=bool(arguments["tls"]))
        return cls(_native_client=native, _http_base=base)

    @classmethod
    def from_env(
        cls,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        timeout: int = 5,
        *,
        answer_timeout_s: float = 600.0,
    ) -> "MosaicoClient":
        """A client of the place that the environment names, as the command `mosaico` uses it.

        The first of these that is set: the saved context `MOSAICO_CONTEXT`; the daemon at `MOSAICO_HOST` and
        `MOSAICO_PORT`; the folder `MOSAICO_STORE`; the context of `mosaico context use`. Otherwise the folder
        `~/.mosaico/store`. With `host` or `port`, that daemon. TLS and API key of daemons without a context:

        | Variable | Argument of `connect` |
        | --- | --- |
        | `MOSAICO_TLS` | `enable_tls` |
        | `MOSAICO_TLS_CERT_FILE` | `tls_cert_path` |
        | `MOSAICO_TLS_CLIENT_CERT_FILE` | `client_cert_path` |
        | `MOSAICO_TLS_CLIENT_KEY_FILE` | `client_key_path` |
        | `MOSAICO_API_KEY` | `api_key` |
        """
        if host is not None:
            security, port = Security.from_env(), port or DEFAULT_PORT
        else:
            target = Target.from_env() if port is None else Target.of_daemon(None, port)
            if target.store is not None:
                return cls.embedded(target.store)
            host, port, security = target.host, target.port, target.security
        return cls.connect(host, port, timeout, **asdict(security), answer_timeout_s=answer_timeout_s)

    @classmethod
    def embedded(cls, path: str | os.PathLike[str]) -> "MosaicoClient":
        """Runs the daemon inside this process on a local folder: no server to start, no port.

        A second client of the same folder in the same process shares the daemon. Closing the last client
        stops the daemon and releases the store.

        Args:
            path: Folder of the store; created if missing.

        Raises:
            InvalidInputError: `path` is a bucket or the address of a daemon (a `ValueError`).
            FailedPreconditionError: Another process has the store open.
            MosaicoError: The folder cannot be used.
        """
        return cls(_native_client=_native.Client.embedded(folder_of(path, "path").resolve()))

    def view(self, sequence_name: str | None = None, *, url: str | None = None, port: int = 0) -> PageView:
        """The page that shows sequences: plots, pictures, maps, also of a recording in progress.

        Of an embedded daemon, it is served to this machine until the last client closes. Of another one, it
        is at the HTTP port, by default the port after the one that this client is connected to.

        Args:
            sequence_name: The sequence to show; None: the list.
            url: The URL of the daemon's HTTP port, if it is another one.
            port: Of an embedded daemon: the port to serve at; 0 picks a free one. The first call decides.

        Returns:
            The address. Its `open()` opens the browser; in a notebook, it is shown as a frame.

        Raises:
            NotFoundError: The sequence does not exist.
            ConnectionFailedError: No HTTP port answers there.
            InvalidInputError: The port cannot be used.

        Example:
            >>> with MosaicoClient.embedded(store) as client:
            ...     print(client.view())  # doctest: +ELLIPSIS
            http://127.0.0.1:.../
        """
        if sequence_name is not None:
            sequence_name = sanitize_sequence_name(sequence_name)
            if self.sequence_handler(sequence_name) is None:
                raise NotFoundError(f"sequence `{sequence_name}` does not exist; list_sequences() shows all")
        served = self._native.page_port(port)
        if url is None and served is not None:
            return page_view(f"http://127.0.0.1:{served}", sequence_name)
        base = url or self._http_base
        check_answers(base)
        return page_view(base, sequence_name)

    # -- writing ---------------------------------------------------------------------------------

    def sequence_create(
        self,
        sequence_name: str,
        metadata: dict[str, Any] | None = None,
        on_error: OnErrorPolicy = OnErrorPolicy.Delete,
        max_batch_size_bytes: int | None = None,
        max_batch_size_records: int | None = None,
        *,
        max_batch_age_s: float = 0.2,
        max_buffered_bytes: int = 64 * 1024 * 1024,
        reconnect_timeout_s: float = 60.0,
        spill_folder: str | os.PathLike[str] | None = None,
        max_spill_bytes: int = 1024 * 1024 * 1024,
        finalize_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        progress: bool = False,
    ) -> SequenceWriter:
        """A writer for a new sequence, to be used as a context manager; entering it creates the sequence.

        `WriterConfig` describes the settings in detail.

        Args:
            sequence_name: `A-Z a-z 0-9 - _`, beginning with a letter or digit.
            metadata: A JSON object, searchable by queries.
            on_error: What happens to the sequence if the block fails.
            max_batch_size_bytes: Size at which a topic's batch is sent, bytes. None: 10 MiB.
            max_batch_size_records: Number of messages at which a batch is sent. None: 5000.
            max_batch_age_s: Age at which a batch is sent, s.
            max_buffered_bytes: Memory for messages that are not durable yet, bytes.
            reconnect_timeout_s: How long to try to reconnect when the connection breaks, s.
            spill_folder: Folder for messages that exceed the memory. None: `push` blocks instead.
            max_spill_bytes: Disk space in that folder, bytes.
            finalize_on: Exceptions that finalize the sequence instead of failing it, such as
                `KeyboardInterrupt` (Ctrl-C); they are raised again.
            progress: Show pushed and durable messages on stderr.

        Raises:
            ValueError: The name is not allowed, or the metadata is not a dict.

        Example:
            >>> from mosaicolabs import Message
            >>> from mosaicolabs.models.sensors import Temperature
            >>> with MosaicoClient.embedded(store) as client:
            ...     with client.sequence_create("boiler", {"site": "north"}) as writer:
            ...         topic = writer.topic_create("temp", {}, Temperature)
            ...         topic.push(Message(timestamp_ns=1, data=Temperature.from_celsius(value=90.0)))
            ...     client.sequence_handler("boiler").topics
            ['/temp']
        """
        validate_sequence_name(sequence_name)
        config = WriterConfig(
            on_error=on_error,
            max_batch_size_bytes=_or_default(max_batch_size_bytes, DEFAULT_MAX_BATCH_BYTES),
            max_batch_size_records=_or_default(max_batch_size_records, DEFAULT_MAX_BATCH_SIZE_RECORDS),
            max_batch_age_s=max_batch_age_s,
            max_buffered_bytes=max_buffered_bytes,
            reconnect_timeout_s=reconnect_timeout_s,
            spill_folder=spill_folder,
            max_spill_bytes=max_spill_bytes,
            finalize_on=finalize_on if isinstance(finalize_on, tuple) else (finalize_on,),
            progress=progress,
        )
        return SequenceWriter(
            sequence_name=sequence_name,
            client=self._native,
            metadata=user_metadata_of(metadata),
            config=config,
        )

    def sequence_delete(self, sequence_name: str) -> None:
        """Deletes an unlocked sequence with its data.

        Raises:
            NotFoundError: The sequence does not exist.
            FailedPreconditionError: The sequence is finalized, hence immutable.
        """
        name = sanitize_sequence_name(sequence_name)
        actions.call(self._native, FlightAction.SEQUENCE_DELETE, name=name)
        self._forget(name)

    # -- catalog ---------------------------------------------------------------------------------

    def list_sequences(self) -> list[str]:
        """Names of all sequences, also of those being recorded."""
        return self._native.sequences()

    def sequence_handler(self, sequence_name: str) -> SequenceHandler | None:
        """The handler of a sequence; None, with a line in the log, if it does not exist."""
        cached = self._sequence_handlers.get(sequence_name)
        if cached is not None:
            return cached
        try:
            handler = SequenceHandler._connect(self._native, sanitize_sequence_name(sequence_name))
        except NotFoundError as error:
            logger.error("Sequence %r: %s", sequence_name, error)
            return None
        if handler.is_locked:
            self._sequence_handlers[sequence_name] = handler
        return handler

    def topic_handler(self, sequence_name: str, topic_name: str) -> TopicHandler | None:
        """The handler of a topic; None, with a line in the log, if it does not exist."""
        locator = pack_topic_resource_name(sequence_name, topic_name)
        cached = self._topic_handlers.get(locator)
        if cached is not None:
            return cached
        try:
            handler = TopicHandler._connect(self._native, locator)
        except NotFoundError as error:
            logger.error("Topic %r: %s", locator, error)
            return None
        if handler.is_locked:
            self._topic_handlers[locator] = handler
        return handler

    def get_topic_handler(self, sequence_name: str, topic_name: str) -> TopicHandler | None:
        """The same as `topic_handler`."""
        return self.topic_handler(sequence_name, topic_name)

    def sequence_system_info(self, sequence_name: str) -> SystemInfo:
        """Size, lock state and creation time of a sequence.

        Raises:
            NotFoundError: The sequence does not exist.
        """
        name = sanitize_sequence_name(sequence_name)
        return actions.system_info(self._native, FlightAction.SEQUENCE_SYSTEM_INFO, name)

    def topic_system_info(self, sequence_name: str, topic_name: str) -> SystemInfo:
        """Size, number of chunks, lock state and creation time of a topic.

        Raises:
            NotFoundError: The topic does not exist.
        """
        name = pack_topic_resource_name(sequence_name, topic_name)
        return actions.system_info(self._native, FlightAction.TOPIC_SYSTEM_INFO, name)

    # -- queries ---------------------------------------------------------------------------------

    def query(
        self,
        *queries: QueryableProtocol | Query,
        query: Query | None = None,
        order_by: _query.OrderBy | Iterable[_query.OrderBy] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        explain: bool = False,
    ) -> QueryResponse:
        """Finds sequences and topics.

        Args:
            queries: Builders, at most one of each kind, all of which must match; or combinations of them by
                `&`, `|`, `~`.
            query: A complete query; ignored if there are positional ones.
            order_by: Fields of `Sequence.Q`, or their `.desc()`. None: by name. Topics are ordered by name.
            limit: Sequences per page. None: all in one response.
            cursor: `cursor` of an earlier response to this query with this limit: where to continue.
                `response.pages()` does this automatically.
            explain: Fill `response.explain`.

        Raises:
            TypeError: `order_by` contains something other than fields of `Sequence.Q`.
            ValueError: The query is empty, two builders are of one kind, or the limit is not positive.
            UnsupportedError: The query uses an extension that a Mosaico 0.2 server does not support.
            MosaicoError: The daemon refuses.

        Example:
            >>> from mosaicolabs import Message, QueryOntologyCatalog, QuerySequence, Temperature
            >>> with MosaicoClient.embedded(store) as client:
            ...     with client.sequence_create("boiler-1", {"site": "north"}) as writer:
            ...         probe = writer.topic_create("probe", {}, Temperature)
            ...         for second, kelvin in enumerate([293.0, 370.0, 372.0]):
            ...             probe.push(Message(timestamp_ns=second, data=Temperature(value=kelvin)))
            ...     found = client.query(
            ...         QuerySequence().with_user_metadata("site", eq="north"),
            ...         QueryOntologyCatalog(Temperature.Q.value.gt(350.0), include_timestamp_range=True),
            ...     )
            >>> found[0].sequence.name, found[0].topics[0].name, found[0].topics[0].timestamp_range
            ('boiler-1', '/probe', TimestampRange(start=1, end=2))
        """
        if queries:
            query = Query(*queries)
        elif query is None:
            raise InvalidInputError("query() needs builders such as QuerySequence(...), or query=Query(...)")
        return _query.run(self._native, query, _query.paging(order_by, limit, cursor, explain))

    # -- links -----------------------------------------------------------------------------------

    def sequence_link(
        self,
        sequence_name: str,
        expires_in_s: int = 3600,
        *,
        start_timestamp_ns: TimeLike | None = None,
        end_timestamp_ns: TimeLike | None = None,
        topics: str | Iterable[str] | None = None,
    ) -> SequenceLink:
        """Creates a signed link to a sequence, for pages, players and people without an API key.

        The link opens the sequence over HTTP, nothing else, until it expires. It has the rights of the API
        key of this client at the time of each use: it ends when the key is revoked or loses the right to read
        the sequence.

        Args:
            sequence_name: Name of the sequence.
            expires_in_s: Time until the link expires, s.
            start_timestamp_ns: Only rows from this time on: ns, a datetime, `"+1.5s"`, ... (`TimeLike`).
                None: from the first one.
            end_timestamp_ns: Only rows before this time. None: up to the last one.
            topics: Names or patterns of the topics that it opens. None: all.

        Raises:
            NotFoundError: There is no such sequence.
            InvalidInputError: The time, the window or a topic is not valid.
            FailedPreconditionError: This client has no API key, or the daemon no HTTP port.
            UnsupportedError: The daemon is a Mosaico 0.2 server.
        """
        handler = SequenceHandler._connect(self._native, sanitize_sequence_name(sequence_name))
        return handler.link(
            expires_in_s,
            start_timestamp_ns=start_timestamp_ns,
            end_timestamp_ns=end_timestamp_ns,
            topics=topics,
        )

    # -- notifications ---------------------------------------------------------------------------

    def list_sequence_notify(self, sequence_name: str) -> list[Notified]:
        """Notifications of a sequence, oldest first; none for an unknown sequence."""
        name = sanitize_sequence_name(sequence_name)
        return actions.list_notifications(self._native, FlightAction.SEQUENCE_NOTIFY_LIST, name)

    def list_topic_notify(self, sequence_name: str, topic_name: str) -> list[Notified]:
        """Notifications of a topic, oldest first; none for an unknown topic."""
        name = pack_topic_resource_name(sequence_name, topic_name)
        return actions.list_notifications(self._native, FlightAction.TOPIC_NOTIFY_LIST, name)

    def clear_sequence_notify(self, sequence_name: str) -> None:
        """Deletes the notifications of a sequence."""
        name = sanitize_sequence_name(sequence_name)
        actions.call(self._native, FlightAction.SEQUENCE_NOTIFY_PURGE, name=name)

    def clear_topic_notify(self, sequence_name: str, topic_name: str) -> None:
        """Deletes the notifications of a topic."""
        name = pack_topic_resource_name(sequence_name, topic_name)
        actions.call(self._native, FlightAction.TOPIC_NOTIFY_PURGE, name=name)

    # -- events ----------------------------------------------------------------------------------

    def events(
        self,
        after: str | None = None,
        *,
        follow: bool = False,
        kinds: Iterable[EventKind | str] | None = None,
        sequence_name: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[Event]:
        """Events of the daemon, oldest first: creations, ends, stored chunks, errors.

        The daemon keeps the last 100 000 events, or as many as it is configured to. Slow listeners do not
        slow it down. After a lost connection, continue with the id of the last event; if later events were
        discarded in the meantime, the first event is an `EventKind.GAP`.

        Args:
            after: Id of the last event already received. None: from the oldest event that is kept.
            follow: Wait for future events instead of ending with the newest.
            kinds: Only these kinds. None: all except `EventKind.AUDIT`.
            sequence_name: Only events of this sequence. None: all.
            timeout: With `follow`, end after so many seconds without an event. None: never end.

        Raises:
            ValueError: A kind does not exist.
            InvalidInputError: `after` is not the id of an event.
            UnsupportedError: The daemon is a Mosaico 0.2 server, which has no events.
            MosaicoError: The daemon refuses.

        Example:
            >>> with MosaicoClient.embedded(store) as client:
            ...     with client.sequence_create("boiler"):
            ...         pass
            ...     for event in client.events():
            ...         print(event.kind.value, event.sequence_name)
            sequence_created boiler
            sequence_finalized boiler
        """
        return _events.events(
            self._native,
            after=after,
            follow=follow,
            kinds=kinds,
            sequence_name=None if sequence_name is None else sanitize_sequence_name(sequence_name),
            timeout=timeout,
        )

    # -- life cycle ------------------------------------------------------------------------------

    def clear_sequence_handlers_cache(self) -> None:
        """Drops the cached sequence handlers; handlers in use stay usable."""
        self._sequence_handlers.clear()

    def clear_topic_handlers_cache(self) -> None:
        """Drops the cached topic handlers; handlers in use stay usable."""
        self._topic_handlers.clear()

    def close(self) -> None:
        """Closes cached handlers and all connections; an embedded daemon stops with its last client."""
        if self._closed:
            return
        self._closed = True
        for sequence in self._sequence_handlers.values():
            sequence.close()
        for topic in self._topic_handlers.values():
            topic.close()
        self.clear_sequence_handlers_cache()
        self.clear_topic_handlers_cache()
        self._native.close()

    def _forget(self, sequence_name: str) -> None:
        prefix = f"{sequence_name}/"
        for key in [key for key in self._sequence_handlers if sanitize_sequence_name(key) == sequence_name]:
            self._sequence_handlers.pop(key).close()
        for key in [key for key in self._topic_handlers if key.startswith(prefix)]:
            self._topic_handlers.pop(key).close()

    def _repr_html_(self) -> str:
        return repr(self) if self._closed else _display.client_table(self._native, repr(self))

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            logger.warning("MosaicoClient was never closed; use it in `with` or call close()")

    def __repr__(self) -> str:
        state = "closed" if self._closed else (self._native.server() or "Mosaico 0.2 server")
        return f"<MosaicoClient: {state}>"


# The threads of the native runtime do not survive a fork: child processes refuse to use it, and do not hang.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_native.after_fork_in_child)


def _or_default(value: int | None, default: int) -> int:
    return default if value is None else value
