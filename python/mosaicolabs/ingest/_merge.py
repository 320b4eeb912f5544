"""Merging of messages by time."""

import heapq
from collections.abc import Iterable, Iterator

from mosaicolabs.models import Message


def merge_in_time(streams: Iterable[Iterable[tuple[str, Message]]]) -> Iterator[tuple[str, Message]]:
    """Merges streams, each in time order, into one; at equal times the earlier stream goes first.

    Example:
        >>> from mosaicolabs import Boolean
        >>> def at(*times):
        ...     return [("/t", Message(timestamp_ns=time, data=Boolean(data=True))) for time in times]
        >>> [message.timestamp_ns for _, message in merge_in_time([at(1, 4), at(2, 3)])]
        [1, 2, 3, 4]
    """
    return heapq.merge(*streams, key=lambda item: item[1].timestamp)
