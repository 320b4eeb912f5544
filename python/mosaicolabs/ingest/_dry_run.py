"""Reads a recording as an ingestion does, and stores nothing."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from ._pipeline import Failures, Progress
from ._reader_api import FailedMessage, Recording, RecordingError


@dataclass(frozen=True)
class DryRun:
    """What an ingestion would store.

    Attributes:
        messages: Number of readable messages by topic.
        failed: Messages that cannot be read, by topic.
        damage: What is damaged; None if nothing is.
        timestamp_ns_min: Earliest time, ns; None without messages.
        timestamp_ns_max: Latest one.
    """

    messages: dict[str, int]
    failed: dict[str, Failures]
    damage: str | None
    timestamp_ns_min: int | None
    timestamp_ns_max: int | None


def dry_run(recording: Recording, progress: Progress = lambda messages, size_bytes: None) -> DryRun:
    """Reads and decodes every message of a recording.

    Args:
        recording: The input.
        progress: Called after each message, as by `ingest`.

    Example:
        >>> from mosaicolabs.demo import Flight
        >>> result = dry_run(Flight(1).recording())
        >>> sum(result.messages.values()) > 0, result.failed, result.damage
        (True, {}, None)
    """
    share = {topic.name: topic.size_bytes / max(topic.messages, 1) for topic in recording.topics}
    counts = Counter(dict.fromkeys(share, 0))
    failed: dict[str, Failures] = {}
    damage = None
    first_ns: int | None = None
    last_ns: int | None = None
    try:
        for name, item in recording.messages():
            if isinstance(item, FailedMessage):
                known = failed.get(name, Failures(0, item.reason))
                failed[name] = Failures(known.messages + item.messages, known.first)
                progress(1, share[name])
                continue
            if isinstance(item, pa.RecordBatch):
                times = item["timestamp_ns"].to_numpy(zero_copy_only=False)
                count, earliest, latest = item.num_rows, int(times.min()), int(times.max())
            else:
                count, earliest, latest = 1, item.timestamp, item.timestamp
            counts[name] += count
            first_ns = earliest if first_ns is None else min(first_ns, earliest)
            last_ns = latest if last_ns is None else max(last_ns, latest)
            progress(count, count * share[name])
    except RecordingError as error:
        damage = str(error)
    return DryRun(dict(counts), failed, damage, first_ns, last_ns)
