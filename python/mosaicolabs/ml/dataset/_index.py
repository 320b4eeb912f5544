"""Where the samples of a dataset are: times of each sequence, numbered through all of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mosaicolabs.exceptions import InvalidInputError

from ._source import Source
from .signal import Signal

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sampling:
    """Which times of a sequence are samples.

    Attributes:
        step_ns: From sample to sample, ns; None: the messages of a topic.
        at: Name of that topic.
        stride: Every so many messages of it.
        padding: Also times whose offsets reach beyond the recording.
    """

    step_ns: int | None
    at: str | None
    stride: int
    padding: bool


@dataclass(frozen=True)
class SequenceSamples:
    """The samples of one sequence: a grid, or listed times."""

    name: str
    start_ns: int
    step_ns: int
    count: int
    listed: Times | None = None

    def times(self, first: int, past: int) -> Times:
        """Times of the samples `first` to `past`, exclusive; ns."""
        if self.listed is not None:
            return self.listed[first:past]
        return self.start_ns + np.arange(first, past, dtype=np.int64) * self.step_ns


class Index:
    """All samples.

    Attributes:
        sequences: Those that have samples.
        skipped: Names of others, with the reasons.
    """

    def __init__(self, sequences: list[SequenceSamples], skipped: dict[str, str]) -> None:
        self.sequences, self.skipped = sequences, skipped
        self._ends = np.cumsum([sequence.count for sequence in sequences], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def find(self, number: int) -> tuple[SequenceSamples, int]:
        """The sequence of a sample, and its number there."""
        place = int(np.searchsorted(self._ends, number, side="right"))
        sequence = self.sequences[place]
        return sequence, number - (int(self._ends[place]) - sequence.count)

    def blocks(self, size: int) -> Iterator[tuple[int, int]]:
        """First and past-the-last number of runs of up to `size` samples, each inside of one sequence."""
        start = 0
        for sequence in self.sequences:
            past = start + sequence.count
            for first in range(start, past, size):
                yield first, min(first + size, past)
            start = past


def build_index(source: Source, names: list[str], signals: Mapping[str, Signal], sampling: Sampling) -> Index:
    """Reads bounds of topics, and the times of the topic `sampling.at`; no other rows.

    Raises:
        InvalidInputError: A sequence does not exist, or none has samples.
    """
    found, skipped = [], {}
    for name in names:
        samples = _samples(source, name, signals, sampling)
        if isinstance(samples, str):
            skipped[name] = samples
        else:
            found.append(samples)
    if not found:
        reasons = (
            "; ".join(f"{name}: {reason}" for name, reason in skipped.items()) or "no sequences are given"
        )
        raise InvalidInputError(f"the dataset has no samples: {reasons}")
    return Index(found, skipped)


def _samples(
    source: Source, name: str, signals: Mapping[str, Signal], sampling: Sampling
) -> SequenceSamples | str:
    """The samples of a sequence, or why it has none."""
    handler = source.sequence(name)
    needed = {signal.locator for signal in signals.values()} | ({sampling.at} if sampling.at else set())
    if missing := sorted(needed - set(handler.topics)):
        return f"it has no topic {', '.join(missing)}"
    starts, ends = [], []
    for signal in signals.values():
        topic = source.topic(name, signal.locator)
        if topic.timestamp_ns_min is None or topic.timestamp_ns_max is None:
            return f"topic {signal.locator} has no messages"
        offsets = [0, 0] if sampling.padding else [signal.offsets_ns.min(), signal.offsets_ns.max()]
        starts.append(topic.timestamp_ns_min - signal.latency_ns - int(offsets[0]))
        ends.append(topic.timestamp_ns_max - signal.latency_ns - int(offsets[1]))
    start, end = max(starts), min(ends)
    if end < start:
        return "its topics have no time in common"
    if sampling.step_ns is not None:
        return SequenceSamples(name, start, sampling.step_ns, (end - start) // sampling.step_ns + 1)
    topic = source.topic(name, sampling.at or "")
    if topic.timestamp_ns_min is None:
        return f"topic {sampling.at} has no messages"
    with topic.batches(start, end + 1, columns=[]) as batches:
        times = batches.to_arrow().column("timestamp_ns").to_numpy()[:: sampling.stride]
    if not len(times):
        return f"topic {sampling.at} has no messages while all topics have"
    return SequenceSamples(name, start, 0, len(times), np.ascontiguousarray(times))
