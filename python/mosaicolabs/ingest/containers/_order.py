"""Puts messages into the order of their times, within a bounded buffer."""

import heapq
from collections.abc import Iterable, Sequence

from ._part import Channel, RawMessages

BUFFER_BYTES = 64 << 20
"""Messages that wait for earlier ones; a message that is late by more than this leaves out of order."""

Block = list[tuple[int, Channel, bytes]]
"""Messages that lie together in a file: time, channel, data."""


def in_time_order(
    blocks: Iterable[Block], first_ns: Sequence[int], buffer_bytes: int = BUFFER_BYTES
) -> RawMessages:
    """Messages of all blocks by time; those of equal times in the order of the file.

    Args:
        blocks: The blocks in the order of the file.
        first_ns: The earliest time of each block, also of messages that `blocks` leaves out.
        buffer_bytes: Size of the messages that may wait, bytes.
    """
    earliest_later = list(first_ns)
    for index in range(len(earliest_later) - 2, -1, -1):
        earliest_later[index] = min(earliest_later[index], earliest_later[index + 1])
    waiting: list[tuple[int, int, Channel, bytes]] = []
    size = number = 0
    for index, block in enumerate(blocks):
        limit = earliest_later[index + 1] if index + 1 < len(earliest_later) else None
        for time_ns, channel, data in block:
            number += 1
            size += len(data)
            heapq.heappush(waiting, (time_ns, number, channel, data))
        while waiting and (limit is None or waiting[0][0] <= limit or size > buffer_bytes):
            time_ns, _, channel, data = heapq.heappop(waiting)
            size -= len(data)
            yield channel, time_ns, data
