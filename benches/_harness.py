"""What every case needs: alternating repetitions, processes of their own, and the rows of the table."""

import gc
import multiprocessing
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """How to run.

    Attributes:
        folder: Where stores and files are written.
        mosaicod: The daemon's executable.
        repetitions: Timed runs of each side, after one that is not counted.
        quick: A hundredth of the work, once: shows that everything runs, measures nothing.
    """

    folder: Path
    mosaicod: Path
    repetitions: int
    quick: bool

    def sized(self, count: int) -> int:
        return max(count // 100, 64) if self.quick else count


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        goal: Number of the goal, or `-` for context.
        ours: Against a daemon of its own process, over loopback TCP.
        embedded: The same with the daemon inside the client's process.
        other: What ours is compared with, named by `other_way`.
        least_ratio: The goal as `ours / other`.
        most: The goal as an upper bound of `ours`.
    """

    goal: str
    case: str
    size: str
    unit: str
    ours: float | None
    embedded: float | None
    other: float
    other_way: str
    least_ratio: float | None = None
    most: float | None = None

    @property
    def more_is_better(self) -> bool:
        """False for times and sizes."""
        return self.unit.split(",")[0] not in ("s", "ms", "MiB")

    @property
    def ratio(self) -> float | None:
        return None if self.ours is None else self.ours / self.other

    @property
    def verdict(self) -> str:
        if self.ratio is not None and self.least_ratio is not None:
            return "met" if self.ratio >= self.least_ratio else "missed"
        if self.ours is not None and self.most is not None:
            return "met" if self.ours <= self.most else "missed"
        return "context"


def alternate(sides: dict[str, Callable[[], float]], options: Options) -> dict[str, float]:
    """The median seconds of each side; the sides take turns, so that a busy moment touches all of them."""
    gc.collect()
    gc.freeze()  # data made beforehand would cost every side a walk of the collector
    if not options.quick:
        for side in sides.values():
            side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.repetitions):
        for name, side in sides.items():
            gc.collect()
            seconds[name].append(side())
    return {name: statistics.median(times) for name, times in seconds.items()}


def isolated(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a function in a fresh process, so that no case inherits another's heap."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def short(count: int) -> str:
    """`200000` as `200 k`."""
    return f"{count / 1000:g} k" if count >= 10_000 else str(count)
