"""Writes a recording into a sequence and makes sure that all of it arrived."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from mosaicolabs.comm import MosaicoClient
from mosaicolabs.enum import OnErrorPolicy
from mosaicolabs.handlers import SequenceHandler

from ._types import Metadata, Recording, RecordingError

Progress = Callable[[int, float], None]
"""Called after each message with (messages, input bytes) that it stands for."""


@dataclass(frozen=True)
class IngestResult:
    """What was stored. `messages` maps topic names to row counts."""

    messages: dict[str, int]
    seconds: float
    handler: SequenceHandler


def ingest(
    client: MosaicoClient,
    recording: Recording,
    sequence_name: str,
    *,
    metadata: Metadata | None = None,
    on_error: OnErrorPolicy = OnErrorPolicy.Delete,
    progress: Progress = lambda messages, size_bytes: None,
) -> IngestResult:
    """Store `recording` as a new sequence. `metadata` is added to the recording's own and wins over it.

    Raises:
        RecordingError: The input is damaged, or does not hold what it announced; `on_error` has been applied.
    """
    started = time.monotonic()
    pushed = dict.fromkeys((topic.name for topic in recording.topics), 0)
    share = {topic.name: topic.size_bytes / max(topic.messages, 1) for topic in recording.topics}
    all_metadata = {**recording.metadata, **(metadata or {})}
    with client.sequence_create(sequence_name, all_metadata, on_error=on_error) as sequence:
        writers = {
            topic.name: sequence.topic_create(topic.name, dict(topic.metadata), topic.ontology)
            for topic in recording.topics
        }
        for name, message in recording.messages():
            writers[name].push(message=message)
            pushed[name] += 1
            progress(1, share[name])
        _check_announced(recording, pushed)
    handler = client.sequence_handler(sequence_name)
    if handler is None:
        raise RecordingError(
            f"sequence `{sequence_name}` was finalized but cannot be found; look at the server's log"
        )
    _check_stored(handler, pushed)
    return IngestResult(pushed, time.monotonic() - started, handler)


def _check_announced(recording: Recording, pushed: dict[str, int]) -> None:
    for topic in recording.topics:
        if pushed[topic.name] != topic.messages:
            raise RecordingError(
                f"topic `{topic.name}`: {topic.messages} messages announced, {pushed[topic.name]} read; "
                "the input changed while it was read"
            )


def _check_stored(handler: SequenceHandler, pushed: dict[str, int]) -> None:
    for name, count in pushed.items():
        stored = handler.get_topic_handler(name).rows_number
        # None: a server of the 0.2 line does not tell.
        if stored is not None and stored != count:
            raise RecordingError(f"topic `{name}`: {count} messages sent, {stored} stored")
