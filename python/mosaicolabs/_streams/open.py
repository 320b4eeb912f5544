"""Opens the streams of tickets and binds them to the classes of their messages."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.manifests import TopicResourceManifest
from mosaicolabs.exceptions import (
    ClosedError,
    ConnectionFailedError,
    FailedPreconditionError,
    MosaicoError,
    UnsupportedError,
)
from mosaicolabs.models._arrow import ENVELOPE_NAMES
from mosaicolabs.models._decode_plan import decode_plan, is_shipped
from mosaicolabs.models._evolution import plan_for_stored
from mosaicolabs.models.generic import stored_class
from mosaicolabs.models.message import Message
from mosaicolabs.models.serializable import Serializable, registered_class

Window: TypeAlias = tuple[int | None, int | None]
"""First time inside, first time past the end, ns since the Unix epoch; None: unbounded."""

READ_AHEAD_BYTES = 32 * 1024 * 1024
"""Budget of decoded batches beyond the one that is being read of each topic, for all topics of a streamer."""

_UNTAGGED = "untagged"
"""Tag of messages whose server sent none."""

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
    client: _native.Client, manifests: list[TopicResourceManifest], *, skip_damaged: bool = False
) -> tuple[_native.Stream, list[str]]:
    """The stream of these topics merged by time, and the ontology tag of each.

    Raises:
        ConnectionFailedError: The daemon refused, or the connection broke.
    """
    try:
        stream = client.read([manifest.ticket for manifest in manifests], READ_AHEAD_BYTES, skip_damaged)
    except MosaicoError as error:
        raise _open_failed([manifest.topic_name for manifest in manifests], error) from error
    return stream, _bind(client, stream, manifests)


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
    manifests: list[TopicResourceManifest],
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
        return locator.removeprefix(live.sequence), _plan(client, locator, tag or "")

    try:
        stream = client.follow(
            [manifest.locator for manifest in manifests],
            [manifest.ticket for manifest in manifests],
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
        raise _open_failed([manifest.topic_name for manifest in manifests], error) from error
    return stream, _bind(client, stream, manifests)


def _bind(
    client: _native.Client, stream: _native.Stream, manifests: list[TopicResourceManifest]
) -> list[str]:
    """Gives the topics their names and classes; returns their ontology tags."""
    tags = [tag or "" for tag in stream.tags()]
    plans = [_plan(client, manifest.locator, tag) for manifest, tag in zip(manifests, tags, strict=True)]
    stream.bind(_MESSAGE_PLAN, [manifest.topic_name for manifest in manifests], plans)
    return tags


def _plan(client: _native.Client, locator: str, tag: str) -> tuple[Any, ...]:
    cls = registered_class(tag)
    if cls is None:
        return decode_plan(class_of(client, locator, tag))
    if is_shipped(cls):  # their columns never change
        return decode_plan(cls)
    stored = pa.struct(
        [field for field in stored_schema(client, locator) if field.name not in ENVELOPE_NAMES]
    )
    return plan_for_stored(cls, stored, f"topic {locator!r}")


def class_of(client: _native.Client, locator: str, tag: str) -> type[Serializable]:
    """The class of a topic's messages: the registered one, or one with the columns that are stored.

    Raises:
        MosaicoError: The schema is needed and the daemon refuses to send it.
    """
    return registered_class(tag) or stored_class(tag or _UNTAGGED, stored_schema(client, locator))


def stored_schema(client: _native.Client, locator: str) -> pa.Schema:
    """The columns that a topic is stored with.

    Raises:
        MosaicoError: The daemon refuses.
    """
    nothing = (0, 0)
    batches = client.batches(
        [locator],
        nothing,
        columns=None,
        condition=None,
        merged=False,
        lateness_s=None,
        read_ahead_bytes=READ_AHEAD_BYTES,
        skip_damaged=False,
    )
    try:
        return pa.schema(batches)
    finally:
        batches.close()


def _open_failed(names: list[str], error: MosaicoError) -> ConnectionFailedError:
    return ConnectionFailedError(f"cannot open the stream of {', '.join(names)}: {error}")
