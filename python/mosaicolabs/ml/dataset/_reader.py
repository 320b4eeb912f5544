"""Reads the samples of signals around some times."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mosaicolabs.handlers import TopicHandler

from ._align import Mask, Times, interpolate, pick
from ._columns import numbers
from ._frames import frames, is_packet
from ._pictures import picture
from .signal import Signal

_SHORTEST_NS = 1_000_000
_LIMIT = 2**62


@dataclass(frozen=True)
class Aligned:
    """The values of a signal at some times.

    Attributes:
        values: Shape (times, channels), or (times, height, width, channels) for pictures.
        valid: Whether there is a value; shape (times,). Others are zero.
    """

    values: npt.NDArray[Any]
    valid: Mask


def read_aligned(topic: TopicHandler, signal: Signal, at: Times) -> Aligned:
    """The values of a topic at times of its own clock.

    Args:
        topic: The topic, which has messages.
        signal: What to read, and how to align it.
        at: Times, ns, in any order; shape (times,).
    """
    if signal.image:
        return _pictures(topic, signal, at)
    samples, values = _numbers(topic, signal, at)
    if signal.align in ("hold", "nearest"):
        chosen = pick(samples, at, signal.align, signal.max_age_ns)
        found, valid = np.zeros((len(at), values.shape[1])), chosen >= 0
        found[valid] = values[chosen[valid]]
    else:
        rotations = signal.align == "slerp"
        found, valid = interpolate(samples, values, at, signal.max_age_ns, rotations=rotations)
    return Aligned(found.astype(signal.dtype), valid)


def _numbers(topic: TopicHandler, signal: Signal, at: Times) -> tuple[Times, npt.NDArray[np.float64]]:
    """Samples that decide the values at these times; rows without a value are no samples."""
    for window in _growing_windows(topic, signal, at):
        with topic.batches(window.start, window.end, columns=list(signal.columns)) as batches:
            table = batches.to_arrow()
        values, present = numbers(table, signal.columns, topic.name)
        times = table.column("timestamp_ns").to_numpy()[present]
        if window.decides(times):
            break
    return times, values[present]


def _times(topic: TopicHandler, signal: Signal, at: Times) -> Times:
    for window in _growing_windows(topic, signal, at):
        with topic.batches(window.start, window.end, columns=[]) as batches:
            times: Times = batches.to_arrow().column("timestamp_ns").to_numpy()
        if window.decides(times):
            break
    return times


@dataclass(frozen=True)
class _Window:
    """A part of a topic, which may contain the samples before `first` and after `last`.

    `has_start` and `has_end`: whether samples outside of the window do not exist or do not matter.
    """

    start: int
    end: int
    first: int
    last: int
    has_start: bool
    has_end: bool

    def decides(self, samples: Times) -> bool:
        """Whether its samples determine the values at all times."""
        before = self.has_start or bool(len(samples) and samples[0] <= self.first)
        return before and (self.has_end or bool(len(samples) and samples[-1] >= self.last))


def _growing_windows(topic: TopicHandler, signal: Signal, at: Times) -> Iterator[_Window]:
    """Windows around the times, each wider than the one before, up to the whole topic."""
    low, high = topic.timestamp_ns_min, topic.timestamp_ns_max
    if low is None or high is None:
        raise ValueError(f"topic {topic.name} has no messages")
    if signal.max_age_ns is not None:
        first, last = int(at.min()), int(at.max())
        start, end = first - signal.max_age_ns, last + signal.max_age_ns + 1
        yield _Window(max(start, -_LIMIT), min(end, _LIMIT), first, last, True, True)
        return
    # Beyond its ends the topic has no samples.
    first, last = (int(time) for time in np.clip([at.min(), at.max()], low, high))
    period = (high - low) // max((topic.rows_number or 2) - 1, 1)
    margin = max(4 * period, _SHORTEST_NS)
    while True:
        start, end = first - margin, last + margin + 1
        no_later = signal.align == "hold" or end > high
        yield _Window(max(start, -_LIMIT), min(end, _LIMIT), first, last, start <= low, no_later)
        margin *= 8


def _pictures(topic: TopicHandler, signal: Signal, at: Times) -> Aligned:
    """Decodes the pictures that are chosen, each once."""
    samples = _times(topic, signal, at)
    chosen = pick(samples, at, signal.align, signal.max_age_ns)
    valid = chosen >= 0
    wanted = np.unique(chosen[valid])
    decoded: dict[int, npt.NDArray[Any]] = {}
    if len(wanted):
        start, end = int(samples[wanted[0]]), int(samples[wanted[-1]]) + 1
        # The first message of the window may have the time of earlier samples, too.
        before = int(np.searchsorted(samples, start, side="left"))
        needed = set(wanted.tolist())
        with topic.get_data_streamer(start, end) as streamer:
            for number, message in enumerate(streamer, start=before):
                if is_packet(message):
                    decoded = frames(topic, signal, start, end, before, needed)
                    break
                if number in needed:
                    decoded[number] = picture(message, signal)
    shape = next(iter(decoded.values())).shape if decoded else (*_size(signal), 3)
    dtype = next(iter(decoded.values())).dtype if decoded else np.dtype(np.uint8)
    found = np.zeros((len(at), *shape), dtype)
    for place, number in enumerate(chosen.tolist()):
        if number >= 0:
            found[place] = _same_shape(decoded[number], shape, signal)
    return Aligned(found, valid)


def _size(signal: Signal) -> tuple[int, int]:
    return signal.image if isinstance(signal.image, tuple) else (0, 0)


def _same_shape(pixels: npt.NDArray[Any], shape: tuple[int, ...], signal: Signal) -> npt.NDArray[Any]:
    if pixels.shape != shape:
        raise ValueError(
            f"pictures of {signal.topic} have the shapes {shape} and {pixels.shape}; "
            "give image=(height, width) to resize them"
        )
    return pixels
