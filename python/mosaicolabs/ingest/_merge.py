"""The one way in which readers bring their topics into time order."""

import heapq
from collections.abc import Iterable, Iterator

from mosaicolabs.models import Message


def merge_in_time(streams: Iterable[Iterable[tuple[str, Message]]]) -> Iterator[tuple[str, Message]]:
    """Merge streams, each in time order, into one; at equal times the earlier stream comes first."""
    return heapq.merge(*streams, key=lambda item: item[1].timestamp)
