"""Notifications: problems of a sequence or topic that a daemon or a client recorded."""

from mosaicolabs._protocol.notifications import Notified, NotifyType

__all__ = ["Notified", "NotifyType"]
