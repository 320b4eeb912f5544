"""Merging of messages by time."""

import heapq
from collections.abc import Iterable
from typing import Any

from mosaicolabs.models import Message

from ._reader_api import Messages


def merge_in_time(streams: Iterable[Iterable[tuple[str, Any]]]) -> Messages:
    """Merges streams, each in time order, into one; at equal times the earlier stream goes first.

    Failed messages and columns have no single time and leave as soon as they are read.

    Example:
        >>> from mosaicolabs import Boolean
        >>> def at(*times):
        ...     return [("/t", Message(timestamp_ns=time, data=Boolean(data=True))) for time in times]
        >>> [message.timestamp_ns for _, message in merge_in_time([at(1, 4), at(2, 3)])]
        [1, 2, 3, 4]
    """
    return heapq.merge(*streams, key=_time)


def _time(item: tuple[str, Any]) -> int:
    return item[1].timestamp if isinstance(item[1], Message) else -(2**63)
