"""Connections to a daemon, and what it tells besides sensor data."""

from mosaicolabs.comm.events import Event, EventKind
from mosaicolabs.comm.metadata import SequenceMetadata, TopicMetadata
from mosaicolabs.comm.mosaico_client import MosaicoClient
from mosaicolabs.comm.notifications import Notified, NotifyType

__all__ = [
    "Event",
    "EventKind",
    "MosaicoClient",
    "Notified",
    "NotifyType",
    "SequenceMetadata",
    "TopicMetadata",
]
