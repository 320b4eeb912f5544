"""Records the flight, replays it merged, and compares every message with the recorded one."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from mosaicolabs.comm import MosaicoClient
from mosaicolabs.exceptions import InternalError
from mosaicolabs.handlers import SequenceHandler
from mosaicolabs.ingest import IngestResult, Progress, ingest
from mosaicolabs.models import Message

from ._flight import Flight


class DemoError(InternalError):
    """The replay differs from what was recorded."""


@dataclass(frozen=True)
class ReplayResult:
    """Number of replayed, equal messages by topic, and the duration, s."""

    messages: dict[str, int]
    seconds: float


def record(client: MosaicoClient, flight: Flight, sequence_name: str, progress: Progress) -> IngestResult:
    """Stores the flight as a new sequence."""
    return ingest(client, flight.recording(), sequence_name, progress=progress)


def replay(handler: SequenceHandler, flight: Flight, progress: Progress) -> ReplayResult:
    """Replays the sequence and compares it with a second pass over the flight, in constant memory.

    Raises:
        DemoError: A message is missing, additional, out of order or different.
    """
    started = time.monotonic()
    sizes = {spec.name: spec.size_bytes / spec.messages for spec in flight.recording().topics}
    expected = flight.topics()
    counts = dict.fromkeys(expected, 0)
    previous_ns = 0
    with closing(handler.get_data_streamer()) as streamer:
        for topic, message in streamer:
            if topic not in expected:
                raise DemoError(f"topic `{topic}` was never written")
            if message.timestamp < previous_ns:
                raise DemoError(
                    f"topic `{topic}`: {message.timestamp} ns was replayed after {previous_ns} ns"
                )
            previous_ns = message.timestamp
            _compare(topic, counts[topic], message, expected[topic])
            counts[topic] += 1
            progress(1, sizes[topic])
    for topic, rest in expected.items():
        if next(rest, None) is not None:
            raise DemoError(
                f"topic `{topic}`: the replay ends after {counts[topic]} messages, more were written"
            )
    return ReplayResult(counts, time.monotonic() - started)


def _compare(topic: str, number: int, message: Message, expected: Iterator[Message]) -> None:
    written = next(expected, None)
    if written is None:
        raise DemoError(f"topic `{topic}`: the replay has more than the {number} messages written")
    if message.timestamp_ns != written.timestamp_ns or message.data != written.data:
        raise DemoError(
            f"topic `{topic}`: message {number} at {message.timestamp_ns} ns differs from what was written"
        )
