"""Samples of recordings by number."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mosaicolabs.comm import MosaicoClient
from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.models.query import QueryResponse

from ._index import Sampling, build_index
from ._reader import read_aligned
from ._source import Connect, Source
from .signal import Signal
from .window_stream import WindowStream

Sample = dict[str, Any]
"""The arrays of the signals by name, with masks, and where the sample is from."""

_NS = 1_000_000_000
_TAKEN = ("sequence", "timestamp_ns", "index")


class WindowDataset:
    """Samples of sequences: for each signal its values at some times around the time of the sample.

    Works as a map-style dataset of torch's `DataLoader`, and without torch. A sample is a dict:

    | Key | Value |
    | --- | --- |
    | name of a signal | array of shape (times, channels), or (times, height, width, 3) for pictures |
    | `NAME_valid` | shape (times,), bool: whether there is a value; others are zero |
    | `NAME_is_pad` | shape (times,), bool: whether the time is before the first or after the last message |
    | `sequence`, `timestamp_ns`, `index` | where the sample is from |

    Args:
        connect: A client; or, for several processes, a picklable function that opens one, such as
            `functools.partial(MosaicoClient.connect, "localhost", 6726)`. Each process opens its own.
        sequences: Names of sequences, or the response of a query. Those without the topics of the signals are
            listed in `skipped`.
        signals: By name.
        step_s: Time from sample to sample, s, from the time at which all topics have begun.
        at: Instead of a step, the topic whose messages are the times of the samples.
        stride: With `at`, every so many messages.
        padding: Whether samples may reach beyond the recording; see `NAME_is_pad`.

    Raises:
        InvalidInputError: Arguments contradict each other, or a sequence does not exist, or no sequence has
            samples.

    Example:
        >>> from mosaicolabs import Floating64, Message
        >>> with MosaicoClient.embedded(store) as client:
        ...     with client.sequence_create("drive") as writer:
        ...         speed = writer.topic_create("speed", {}, Floating64)
        ...         for second in range(5):
        ...             speed.push(Message(timestamp_ns=second * 10**9, data=Floating64(data=second * 2.0)))
        ...     signals = {"speed": Signal("/speed", ["data"], offsets_s=(-0.5, 0.0), align="linear")}
        ...     dataset = WindowDataset(client, ["drive"], signals, step_s=1.0)
        ...     sample = dataset[2]
        >>> len(dataset), sample["speed"].tolist(), sample["speed_is_pad"].tolist()
        (5, [[3.0], [4.0]], [False, False])
    """

    def __init__(
        self,
        connect: MosaicoClient | Connect,
        sequences: Iterable[str] | QueryResponse,
        signals: Mapping[str, Signal],
        *,
        step_s: float | None = None,
        at: str | None = None,
        stride: int = 1,
        padding: bool = True,
    ) -> None:
        if (step_s is None) == (at is None):
            raise InvalidInputError("give either step_s, or the topic whose messages are the samples as `at`")
        if step_s is not None and not step_s * _NS >= 1:
            raise InvalidInputError(f"step_s is a time above zero, not {step_s}")
        if stride < 1:
            raise InvalidInputError(f"stride is at least 1, not {stride}")
        self.signals = dict(signals)
        _check_names(self.signals)
        self._source = Source(connect)
        sampling = Sampling(
            None if step_s is None else round(step_s * _NS),
            None if at is None else f"/{at.strip('/')}",
            stride,
            padding,
        )
        self._index = build_index(self._source, _names(sequences), self.signals, sampling)

    @property
    def skipped(self) -> dict[str, str]:
        """Sequences without samples, with the reasons."""
        return dict(self._index.skipped)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, number: int) -> Sample:
        if not -len(self) <= number < len(self):
            raise IndexError(f"sample {number} of {len(self)}")
        number %= len(self)
        return self.run(number, number + 1)[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[Sample]:
        """Several samples, as torch's loader asks for a batch; neighbours are read together."""
        ordered = sorted({number % len(self) for number in numbers})
        found: dict[int, Sample] = {}
        first = 0
        for place in range(1, len(ordered) + 1):
            if place == len(ordered) or ordered[place] != ordered[place - 1] + 1:
                run = self.run(ordered[first], ordered[place - 1] + 1)
                found |= zip(range(ordered[first], ordered[place - 1] + 1), run, strict=True)
                first = place
        return [found[number % len(self)] for number in numbers]

    def run(self, first: int, past: int) -> list[Sample]:
        """The samples `first` to `past`, exclusive; those of one sequence are read at once."""
        samples: list[Sample] = []
        while first < past:
            sequence, place = self._index.find(first)
            count = min(past - first, sequence.count - place)
            times = sequence.times(place, place + count)
            columns = [self._signal(name, sequence.name, times) for name in self.signals]
            for row, time_ns in enumerate(times.tolist()):
                sample: Sample = {}
                for column in columns:
                    sample |= {key: values[row] for key, values in column.items()}
                where = {"sequence": sequence.name, "timestamp_ns": time_ns, "index": first + row}
                samples.append({**sample, **where})
            first += count
        return samples

    def _signal(self, name: str, sequence: str, times: Any) -> dict[str, Any]:
        """Arrays of a signal for all samples of the run; the first dimension is the sample."""
        signal = self.signals[name]
        topic = self._source.topic(sequence, signal.locator)
        at = (times[:, None] + signal.offsets_ns[None, :] + signal.latency_ns).reshape(-1)
        aligned = read_aligned(topic, signal, at)
        shape = (len(times), len(signal.offsets_s))
        outside = (at < (topic.timestamp_ns_min or 0)) | (at > (topic.timestamp_ns_max or 0))
        return {
            name: aligned.values.reshape(*shape, *aligned.values.shape[1:]),
            f"{name}_valid": aligned.valid.reshape(shape),
            f"{name}_is_pad": np.asarray(outside).reshape(shape),
        }

    def stream(
        self,
        *,
        shuffle: bool = True,
        seed: int = 0,
        block: int = 64,
        buffer_blocks: int = 8,
        rank: int = 0,
        world_size: int = 1,
        even: bool = False,
    ) -> WindowStream:
        """All samples in an order that reads neighbours together; see `WindowStream`."""
        return WindowStream(
            self,
            shuffle=shuffle,
            seed=seed,
            block=block,
            buffer_blocks=buffer_blocks,
            rank=rank,
            world_size=world_size,
            even=even,
        )

    def blocks(self, size: int) -> list[tuple[int, int]]:
        """Runs of up to `size` samples of one sequence: first and past-the-last number."""
        return list(self._index.blocks(size))

    def name_of(self, number: int) -> str:
        """The sequence of a sample."""
        return self._index.find(number)[0].name

    def reopened(self) -> "WindowDataset":
        """The same dataset with handlers of its own, for another thread."""
        other = object.__new__(WindowDataset)
        other.__dict__ = {**self.__dict__, "_source": self._source.again()}
        return other

    def close(self) -> None:
        """Closes the client that the dataset opened in this process; it is opened again when needed."""
        self._source.close()


def _names(sequences: Iterable[str] | QueryResponse) -> list[str]:
    if isinstance(sequences, str):
        raise InvalidInputError(f"sequences is a list of names, not {sequences!r}")
    if isinstance(sequences, QueryResponse):
        return [item.sequence.name for item in sequences]
    return list(sequences)


def _check_names(signals: Mapping[str, Signal]) -> None:
    if not signals:
        raise InvalidInputError("give at least one signal")
    keys = [key for name in signals for key in (name, f"{name}_valid", f"{name}_is_pad")]
    doubled = sorted({key for key in keys if keys.count(key) > 1 or key in _TAKEN})
    if doubled:
        raise InvalidInputError(
            f"a sample would have several values named {', '.join(doubled)}; rename a signal"
        )
