"""Events: what happened on a daemon, in order."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.extension_actions import ExtensionAction
from mosaicolabs._protocol.malformed import well_formed
from mosaicolabs.enum._str_enum import StrEnum
from mosaicolabs.exceptions import UnsupportedError

__all__ = ["Event", "EventKind"]

_WAIT_S = 20.0


class EventKind(StrEnum):
    """What an event is about."""

    SEQUENCE_CREATED = "sequence_created"
    """A sequence was created."""

    SEQUENCE_FINALIZED = "sequence_finalized"
    """A sequence is complete, hence immutable."""

    SEQUENCE_ENDED = "sequence_ended"
    """A recording ended without being finalized; its data stays readable, and the sequence unlocked."""

    SEQUENCE_DELETED = "sequence_deleted"
    """A sequence was deleted; `message` gives the reason unless a user deleted it."""

    TOPIC_CREATED = "topic_created"
    """A topic was created; `ontology_tag`."""

    TOPIC_COMMITTED = "topic_committed"
    """All rows of a topic are stored and locked."""

    TOPIC_DELETED = "topic_deleted"
    """A topic was deleted."""

    CHUNK_STORED = "chunk_stored"
    """Rows were stored as a chunk: `chunk`, `rows`, `bytes`, `timestamp_ns_min`, `timestamp_ns_max`."""

    ERROR = "error"
    """A notification of an error was created; `message`."""

    TASK_FAILED = "task_failed"
    """A background task of the daemon failed and will be retried; `task`, `message`."""

    DATA_DAMAGED = "data_damaged"
    """A damaged segment of the write-ahead log is in quarantine: `segment`, `file`, `lost_rows`, and their
    ranges in `lost`."""

    AUDIT = "audit"
    """A call that changed something or was refused: `who`, `call`, `subject`, `from`, `result`, `request`,
    and `times` if it stands for several. Only if you ask for this kind, which needs the right `admin` on all
    sequences."""

    GAP = "gap"
    """Events after the listener's last one, `after`, up to the id of this event are no longer kept. Sent
    regardless of the selected kinds and sequence."""


@dataclass(frozen=True)
class Event:
    """Something that happened on a daemon.

    Attributes:
        id: Increases from event to event; `MosaicoClient.events(after=event.id)` continues after it.
        kind: An `EventKind`; plain text if the daemon is newer than this package.
        sequence_name: The sequence; None if the event concerns the daemon.
        topic_name: The topic with a leading slash; None if it concerns the whole sequence.
        timestamp_ns: Time of the event by the clock of the daemon, ns since the Unix epoch.
        detail: Further values, by kind.
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
    """The events after a cursor; with `follow` also future ones.

    Raises:
        UnsupportedError: The daemon is a Mosaico 0.2 server.
    """
    if client.server() is None:
        raise UnsupportedError("a Mosaico 0.2 server has no events; connect to mosaicod of this package")
    selected = None if kinds is None else [str(EventKind(kind).value) for kind in kinds]
    last_event_at = time.monotonic()
    wait_s = 0.0
    while True:
        page = actions.call(
            client,
            ExtensionAction.EVENT_LIST,
            after=after,
            kinds=selected,
            sequence=sequence_name,
            wait_ms=int(wait_s * 1000),
        )
        found = (page or {}).get("events", [])
        after = (page or {}).get("cursor")
        if found:
            with well_formed("events"):
                events = [_event(entry) for entry in found]
            yield from events
            last_event_at = time.monotonic()
        elif not follow:
            return
        left_s = _WAIT_S if timeout is None else last_event_at + timeout - time.monotonic()
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
