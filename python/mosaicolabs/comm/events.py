"""Events: what happened on a daemon, in order."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mosaicolabs import _native
from mosaicolabs.comm import _control
from mosaicolabs.enum._own_action import OwnAction
from mosaicolabs.enum._str_enum import StrEnum
from mosaicolabs.exceptions import UnsupportedError

__all__ = ["Event", "EventKind"]

_WAIT_S = 20.0


class EventKind(StrEnum):
    """What an event is about."""

    SEQUENCE_CREATED = "sequence_created"
    """A sequence was created."""

    SEQUENCE_FINALIZED = "sequence_finalized"
    """A sequence is complete, and immutable from now on."""

    SEQUENCE_ENDED = "sequence_ended"
    """A sequence ended without being finalized; what it holds stays, readable and unlocked."""

    SEQUENCE_DELETED = "sequence_deleted"
    """A sequence was removed. `message` says why, if its user did not ask for it."""

    TOPIC_CREATED = "topic_created"
    """A topic was created; `ontology_tag`."""

    TOPIC_COMMITTED = "topic_committed"
    """All rows of a topic are stored and locked."""

    TOPIC_DELETED = "topic_deleted"
    """A topic was removed."""

    CHUNK_STORED = "chunk_stored"
    """Rows lie in a Parquet file: `chunk`, `rows`, `bytes`, `timestamp_ns_min`, `timestamp_ns_max`."""

    ERROR = "error"
    """A notification of an error was added; `message`."""

    TASK_FAILED = "task_failed"
    """Background work of the daemon failed and is tried again; `task`, `message`."""

    DATA_DAMAGED = "data_damaged"
    """A damaged segment of the write-ahead log is in quarantine: `segment`, `file`, `lost_rows`, and their
    ranges in `lost`."""

    GAP = "gap"
    """The listener came too late: events behind the one it knew, `after`, up to this one's id are not kept
    any more. It is told whatever kinds and sequence are asked for."""


@dataclass(frozen=True)
class Event:
    """Something that happened on a daemon.

    Attributes:
        id: Grows from event to event; `MosaicoClient.events(after=event.id)` goes on behind it.
        kind: An `EventKind`; plain text if the daemon is newer than this package.
        sequence_name: The sequence, named as it was then; None if it concerns the daemon.
        topic_name: The topic with a leading slash; None if it concerns the whole sequence.
        timestamp_ns: When it happened, ns since the Unix epoch, by the daemon's clock.
        detail: More, by kind.
    """

    id: str
    kind: EventKind | str
    sequence_name: str | None
    topic_name: str | None
    timestamp_ns: int
    detail: dict[str, Any]


def events(
    client: _native.Client,
    *,
    after: str | None,
    follow: bool,
    kinds: Iterable[EventKind | str] | None,
    sequence_name: str | None,
    timeout: float | None,
) -> Iterator[Event]:
    """The events behind a cursor; with `follow` also those to come.

    Raises:
        UnsupportedError: The daemon is a Mosaico 0.2 server.
    """
    if client.server() is None:
        raise UnsupportedError("a Mosaico 0.2 server tells no events; use mosaicod of this package")
    wanted = None if kinds is None else [str(EventKind(kind).value) for kind in kinds]
    heard_at = time.monotonic()
    wait_s = 0.0
    while True:
        page = _control.call(
            client,
            OwnAction.EVENT_LIST,
            after=after,
            kinds=wanted,
            sequence=sequence_name,
            wait_ms=int(wait_s * 1000),
        )
        found = (page or {}).get("events", [])
        after = (page or {}).get("cursor")
        if found:
            yield from map(_event, found)
            heard_at = time.monotonic()
        elif not follow:
            return
        left_s = _WAIT_S if timeout is None else heard_at + timeout - time.monotonic()
        if follow and not found and left_s <= 0:
            return
        wait_s = max(0.0, min(_WAIT_S, left_s)) if follow else 0.0


def _event(entry: dict[str, Any]) -> Event:
    kind, topic = entry["kind"], entry["topic"]
    return Event(
        id=entry["id"],
        kind=EventKind(kind) if kind in set(EventKind) else kind,
        sequence_name=entry["sequence"],
        topic_name=None if topic is None else f"/{topic}",
        timestamp_ns=entry["at_ns"],
        detail=entry["detail"],
    )
