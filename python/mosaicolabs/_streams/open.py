"""Opens the streams of tickets and binds them to the classes of their messages."""

import logging
from dataclasses import dataclass
from typing import Any, TypeAlias

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.manifests import TopicResourceManifest
from mosaicolabs.exceptions import (
    ClosedError,
    ConnectionFailedError,
    FailedPreconditionError,
    InvalidInputError,
    MosaicoError,
    UnsupportedError,
)
from mosaicolabs.models._decode_plan import decode_plan
from mosaicolabs.models.message import Message
from mosaicolabs.models.serializable import Serializable

logger = logging.getLogger(__name__)

Window: TypeAlias = tuple[int | None, int | None]
"""First time inside, first time past the end, ns since the Unix epoch; None: unbounded."""

READ_AHEAD_BYTES = 32 * 1024 * 1024
"""Budget of decoded batches beyond the one that is being read of each topic, for all topics of a streamer."""

_MESSAGE_PLAN = (
    "model",
    Message,
    (("data", ("leaf",)), ("timestamp_ns", ("leaf",)), ("recording_timestamp_ns", ("leaf",))),
)


def read_manifests(client: _native.Client, locator: str, window: Window) -> list[TopicResourceManifest]:
    """The topics of a sequence, or the one of a topic, with tickets for the window.

    Raises:
        ClosedError: The client was closed.
        FailedPreconditionError: This process was forked after the client was opened.
        ConnectionFailedError: The daemon refused, or the connection broke.
    """
    try:
        _, endpoints, _ = actions.info(client, locator, window)
    except (ClosedError, FailedPreconditionError):  # this process cannot reach any daemon
        raise
    except MosaicoError as error:
        raise _open_failed([locator], error) from error
    return [TopicResourceManifest.from_endpoint(endpoint) for endpoint in endpoints]


def open_stream(
    client: _native.Client, names: list[str], tickets: list[bytes], *, skip_damaged: bool = False
) -> tuple[_native.Stream, list[str]]:
    """The stream of `tickets` merged by time, and the ontology tag of each.

    Raises:
        ConnectionFailedError: The daemon refused, or the connection broke.
    """
    try:
        stream = client.read(tickets, READ_AHEAD_BYTES, skip_damaged)
    except MosaicoError as error:
        raise _open_failed(names, error) from error
    return stream, _bind(stream, names)


@dataclass(frozen=True)
class FollowOptions:
    """How the topics of a sequence are followed while they are recorded.

    Attributes:
        sequence: Name of the sequence.
        window: Times to read.
        max_lateness_s: How long a message waits for earlier messages of silent topics, s.
        joining: Whether topics that are created later join.
    """

    sequence: str
    window: Window
    max_lateness_s: float
    joining: bool


def follow_stream(
    client: _native.Client,
    names: list[str],
    tickets: list[bytes],
    live: FollowOptions,
    *,
    skip_damaged: bool = False,
) -> tuple[_native.Stream, list[str]]:
    """As `open_stream`, and continues with messages that become durable later.

    Raises:
        UnsupportedError: The daemon is a Mosaico 0.2 server.
        ConnectionFailedError: The daemon refused, or the connection broke.
    """

    def bind(locator: str, tag: str | None) -> tuple[str, tuple[Any, ...]]:
        name = locator.removeprefix(live.sequence)
        return name, _plan(name, tag or "")

    try:
        stream = client.follow(
            [f"{live.sequence}{name}" for name in names],
            tickets,
            READ_AHEAD_BYTES,
            live.max_lateness_s,
            live.window,
            live.sequence if live.joining else None,
            bind,
            skip_damaged,
        )
    except UnsupportedError:
        raise
    except MosaicoError as error:
        raise _open_failed(names, error) from error
    return stream, _bind(stream, names)


def _bind(stream: _native.Stream, names: list[str]) -> list[str]:
    """Gives the topics their names and classes; returns their ontology tags."""
    tags = [tag or "" for tag in stream.tags()]
    plans = [_plan(name, tag) for name, tag in zip(names, tags, strict=True)]
    stream.bind(_MESSAGE_PLAN, names, plans)
    return tags


def _plan(name: str, tag: str) -> tuple[Any, ...]:
    cls = Serializable._get_class_type(tag)
    if cls is not None:
        return decode_plan(cls)
    logger.warning("%s: ontology %r is not registered; define or import its class", name, tag)
    return _refusing_plan(name, tag)


def _open_failed(names: list[str], error: MosaicoError) -> ConnectionFailedError:
    return ConnectionFailedError(f"cannot open the stream of {', '.join(names)}: {error}")


def _refusing_plan(name: str, tag: str) -> tuple[Any, ...]:
    """A plan that raises at the first message of the topic, so that other topics stay readable."""

    def refuse(_: object) -> None:
        raise InvalidInputError(
            f"topic {name!r} holds ontology {tag!r}, which is not registered in this process; "
            "import or define its class before reading"
        )

    return ("convert", refuse)
