"""Policies that use the last sample, unless it is too old."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SyncAsOf", "SyncDrop", "SyncHold"]


class LastSample:
    """The last sample at or before each tick, if its age is acceptable."""

    def apply(
        self, grid: npt.NDArray[np.int64], s_ts: npt.NDArray[np.int64], s_val: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """Values at the ticks, see `SyncPolicy.apply`; an array of objects, None for missing values."""
        return self.pick(grid, s_ts)(s_val)

    def pick(
        self, grid: npt.NDArray[np.int64], s_ts: npt.NDArray[np.int64]
    ) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
        """`apply` for several columns with samples at the same times, which are searched only once."""
        last = np.searchsorted(s_ts, grid, side="right") - 1
        (ticks,) = np.nonzero(last >= 0)
        last = last[ticks]
        # As unsigned number, the age is right even if the difference overflows.
        fresh = self._fresh((grid[ticks] - s_ts[last]).astype(np.uint64))
        ticks, last = ticks[fresh], last[fresh]

        def picked(s_val: npt.NDArray[Any]) -> npt.NDArray[Any]:
            values = np.full(len(grid), None, dtype=object)
            values[ticks] = s_val[last]
            return values

        return picked

    def _fresh(self, age_ns: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        raise NotImplementedError


class SyncHold(LastSample):
    """Holds the last sample until the next one, however old it gets (zero-order hold).

    Example:
        >>> SyncHold().apply(np.array([0, 10, 20]), np.array([5, 15]), np.array([1.0, 2.0])).tolist()
        [None, 1.0, 2.0]
    """

    def _fresh(self, age_ns: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        return np.ones(len(age_ns), dtype=bool)

    def __repr__(self) -> str:
        return "SyncHold()"


class SyncAsOf(LastSample):
    """Holds the last sample as long as it is at most `tolerance_ns` old.

    Raises:
        ValueError: The tolerance is negative.

    Example:
        >>> SyncAsOf(5).apply(np.array([10, 11]), np.array([5]), np.array([1.0])).tolist()
        [1.0, None]
    """

    def __init__(self, tolerance_ns: int) -> None:
        if not tolerance_ns >= 0:
            raise ValueError(f"tolerance_ns is {tolerance_ns}; give 0 or more")
        self.tolerance_ns = tolerance_ns

    def _fresh(self, age_ns: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        return age_ns <= self.tolerance_ns

    def __repr__(self) -> str:
        return f"SyncAsOf(tolerance_ns={self.tolerance_ns})"


class SyncDrop(LastSample):
    """Takes a sample that is less than `step_ns` old: with the step of the grid, no sample counts twice.

    Raises:
        ValueError: The step is not positive, so that no sample would ever count.

    Example:
        >>> SyncDrop(10).apply(np.array([10, 20, 30]), np.array([11]), np.array([1.0])).tolist()
        [None, 1.0, None]
    """

    def __init__(self, step_ns: int) -> None:
        if not step_ns > 0:
            raise ValueError(f"step_ns is {step_ns}; give the age in ns at which a sample no longer counts")
        self.step_ns = step_ns

    def _fresh(self, age_ns: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        return age_ns < self.step_ns

    def __repr__(self) -> str:
        return f"SyncDrop(step_ns={self.step_ns})"
