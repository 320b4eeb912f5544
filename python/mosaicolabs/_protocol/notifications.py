"""Notifications: problems of a sequence or topic, recorded by the daemon or a client."""

from dataclasses import dataclass
from datetime import datetime

from mosaicolabs.enum._str_enum import StrEnum

__all__ = ["Notified", "NotifyType"]


class NotifyType(StrEnum):
    """Kind of a notification."""

    ERROR = "error"


@dataclass
class Notified:
    """One notification.

    Attributes:
        sequence_name: The sequence, without slashes.
        notify_type: Its kind.
        message: Human-readable text.
        created_datetime: When it was stored, UTC.
        topic_name: The topic with a leading slash; None if it concerns the whole sequence.
    """

    sequence_name: str
    notify_type: NotifyType
    message: str
    created_datetime: datetime
    topic_name: str | None = None
