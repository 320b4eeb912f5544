"""The client, and what a daemon answers besides sensor data: metadata, events, notifications."""

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
