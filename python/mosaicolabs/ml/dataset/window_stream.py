"""Samples of a dataset in an order that is random and cheap to read."""

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from mosaicolabs.exceptions import InvalidInputError

Blocks = list[tuple[int, int]]


class Samples(Protocol):
    """What a stream needs of a `WindowDataset`."""

    def __len__(self) -> int: ...

    def run(self, first: int, past: int) -> list[dict[str, Any]]:
        """The samples of a run."""

    def blocks(self, size: int) -> Blocks:
        """The runs of up to `size` samples."""

    def reopened(self) -> "Samples":
        """The same with handlers of its own."""

    def close(self) -> None:
        """Closes them."""


class WindowStream:
    """Iterates over the samples of a dataset once per epoch, each exactly once over all ranks and workers.

    Blocks of neighbouring samples are read at once. With `shuffle`, the order of blocks is random, and so is
    that of the samples of each `buffer_blocks` blocks, which are in memory together; the next ones are read
    in the background. The order depends on seed, epoch and the number of ranks and workers only.

    `state_dict` after a sample continues with the next one, whatever was read ahead. In workers of torch's
    `DataLoader`, which this class finds by itself, each has a state of its own, as `StatefulDataLoader` of
    torchdata expects.

    Args:
        dataset: The samples.
        shuffle: Random order; False: that of the dataset.
        seed: Of the order.
        block: Number of samples that are read together.
        buffer_blocks: Number of blocks that are mixed.
        rank: Number of this process.
        world_size: Number of processes that share the samples.
        even: Give every rank and worker the same number of samples, leaving out a few, as distributed
            training needs.

    Raises:
        InvalidInputError: A number is out of range.

    Example:
        >>> from mosaicolabs import Floating64, Message
        >>> from mosaicolabs.ml import Signal, WindowDataset
        >>> with MosaicoClient.embedded(store) as client:
        ...     with client.sequence_create("drive") as writer:
        ...         speed = writer.topic_create("speed", {}, Floating64)
        ...         for second in range(100):
        ...             speed.push(Message(timestamp_ns=second * 10**9, data=Floating64(data=second)))
        ...     dataset = WindowDataset(client, ["drive"], {"v": Signal("/speed", ["data"])}, step_s=1.0)
        ...     stream = dataset.stream(seed=7, block=10)
        ...     seen = [sample["index"] for sample in stream]
        >>> sorted(seen) == list(range(100)), seen == sorted(seen)
        (True, False)
    """

    def __init__(
        self,
        dataset: Samples,
        *,
        shuffle: bool,
        seed: int,
        block: int,
        buffer_blocks: int,
        rank: int,
        world_size: int,
        even: bool,
    ) -> None:
        for name, value in (("block", block), ("buffer_blocks", buffer_blocks), ("world_size", world_size)):
            if value < 1:
                raise InvalidInputError(f"{name} is at least 1, not {value}")
        if not 0 <= rank < world_size:
            raise InvalidInputError(f"rank is between 0 and {world_size - 1}, not {rank}")
        self._dataset = dataset
        self._shuffle, self._seed, self._block, self._buffer = shuffle, seed, block, buffer_blocks
        self._rank, self._world_size, self._even = rank, world_size, even
        self._epoch, self._position = 0, 0

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that of another epoch, from its first sample."""
        self._epoch, self._position = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Epoch and number of samples handed out, with the settings that the order depends on."""
        return {"epoch": self._epoch, "position": self._position, "order": self._order_settings()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues after the sample at which the state was taken.

        Raises:
            InvalidInputError: The state is of a stream with another order.
        """
        if state["order"] != self._order_settings():
            raise InvalidInputError(
                f"the state is of a stream with {state['order']}, this one has {self._order_settings()}"
            )
        self._epoch, self._position = state["epoch"], state["position"]

    def __len__(self) -> int:
        """Number of samples of an epoch on this rank."""
        return self._limit(self._parts(0, 1), 1)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker, workers = _torch_worker()
        blocks = self._parts(worker, workers)
        left = self._limit(blocks, workers) - self._position
        groups = [blocks[start : start + self._buffer] for start in range(0, len(blocks), self._buffer)]
        skip = self._position
        first = 0
        while first < len(groups) and skip >= _count(groups[first]):
            skip -= _count(groups[first])
            first += 1
        dataset = self._dataset.reopened()
        try:
            # One thread: reading overlaps with training, and memory is bounded by two groups.
            with ThreadPoolExecutor(1) as executor:
                ahead: Future[list[dict[str, Any]]] | None = None
                for number in range(first, len(groups)):
                    current = ahead or executor.submit(self._read, dataset, groups[number], number, worker)
                    samples = current.result()
                    ahead = (
                        executor.submit(self._read, dataset, groups[number + 1], number + 1, worker)
                        if number + 1 < len(groups)
                        else None
                    )
                    for sample in samples[skip:][:left]:
                        left -= 1
                        self._position += 1
                        yield sample
                    skip = 0
                    if left <= 0:
                        break
        finally:
            dataset.close()
        self._epoch, self._position = self._epoch + 1, 0

    def for_torch(self) -> Any:
        """The stream as an `IterableDataset` of torch, which its `DataLoader` needs to see.

        Raises:
            ModuleNotFoundError: torch is not installed.
        """
        from mosaicolabs.ml.dataset._torch import torch_stream

        return torch_stream(self)

    def _parts(self, worker: int, workers: int) -> Blocks:
        """The blocks of this rank and worker, in their order."""
        return self._shards(workers)[self._rank * workers + worker]

    def _shards(self, workers: int) -> list[Blocks]:
        blocks = self._dataset.blocks(self._block)
        if self._shuffle:
            order = np.random.default_rng([self._seed, self._epoch]).permutation(len(blocks))
            blocks = [blocks[place] for place in order]
        shards = self._world_size * workers
        return [blocks[shard::shards] for shard in range(shards)]

    def _limit(self, blocks: Blocks, workers: int) -> int:
        if not self._even:
            return _count(blocks)
        return min(_count(shard) for shard in self._shards(workers))

    def _read(self, dataset: Samples, group: Blocks, number: int, worker: int) -> list[dict[str, Any]]:
        samples = [sample for block in group for sample in dataset.run(*block)]
        if not self._shuffle:
            return samples
        seed = [self._seed, self._epoch, self._rank, worker, number]
        return [samples[place] for place in np.random.default_rng(seed).permutation(len(samples))]

    def _order_settings(self) -> dict[str, Any]:
        worker, workers = _torch_worker()
        return {
            "samples": len(self._dataset),
            "shuffle": self._shuffle,
            "seed": self._seed,
            "block": self._block,
            "buffer_blocks": self._buffer,
            "rank": self._rank,
            "world_size": self._world_size,
            "even": self._even,
            "worker": worker,
            "workers": workers,
        }


def _count(blocks: Blocks) -> int:
    return sum(past - first for first, past in blocks)


def _torch_worker() -> tuple[int, int]:
    """Number of this worker of torch's `DataLoader`, and how many there are."""
    data = sys.modules.get("torch.utils.data")
    info = data.get_worker_info() if data is not None else None
    return (0, 1) if info is None else (info.id, info.num_workers)
