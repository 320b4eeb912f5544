"""Notifications: what went wrong with a sequence or topic, told by whoever noticed."""

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
        message: Text for people.
        created_datetime: When it was stored, UTC.
        topic_name: The topic with a leading slash; None if it concerns the whole sequence.
    """

    sequence_name: str
    notify_type: NotifyType
    message: str
    created_datetime: datetime
    topic_name: str | None = None
