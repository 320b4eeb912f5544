"""The client, and what a daemon answers besides sensor data: metadata, events, notifications."""

from typing import TYPE_CHECKING

from mosaicolabs._lazy_names import lazy_names

if TYPE_CHECKING:
    from mosaicolabs._protocol.metadata import SequenceMetadata, TopicMetadata
    from mosaicolabs._protocol.notifications import Notified, NotifyType
    from mosaicolabs.comm.events import Event, EventKind
    from mosaicolabs.comm.mosaico_client import MosaicoClient

__all__ = [
    "Event",
    "EventKind",
    "MosaicoClient",
    "Notified",
    "NotifyType",
    "SequenceMetadata",
    "TopicMetadata",
]

_HOMES = {
    "Event": "events",
    "EventKind": "events",
    "MosaicoClient": "mosaico_client",
    "Notified": "notifications",
    "NotifyType": "notifications",
    "SequenceMetadata": "metadata",
    "TopicMetadata": "metadata",
}

__getattr__ = lazy_names(
    __name__, _HOMES, ["connection", "events", "metadata", "mosaico_client", "notifications"]
)
