"""Sparse samples of many sensors to rows at a steady rate."""

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import numpy.typing as npt

from mosaicolabs.ml._frames import Column, Frame, frame_of
from mosaicolabs.ml.sync_policies import SyncHold
from mosaicolabs.ml.sync_policy import SyncPolicy

__all__ = ["SyncTransformer"]

Samples = tuple[npt.NDArray[np.int64], Column]

_HOLD = SyncHold()
_MAX_TICKS = 100_000_000
"""Rows of one result: far more fit into no memory, and mean a wrong time rather than a long gap."""


class SyncTransformer:
    """Resamples the columns of a frame to a regular grid of times; goes on from chunk to chunk.

    The first tick is the time of the first row, the others follow at `int(1e9 / target_fps)` ns. A chunk
    gives the ticks up to the time of its last row, also those in the gap before its first one. What a later
    tick needs is kept: the samples since the last tick, and the one before. Missing values are no samples.

    It follows scikit-learn's protocol of transformers.

    Args:
        target_fps: Ticks per second.
        policy: Gives each column its value at a tick: `SyncHold`, `SyncAsOf`, `SyncDrop`, or an object with
            the method of `SyncPolicy`. It is asked as soon as the column has had a sample.
        timestamp_column: Column of the times, ns, integers, ascending.

    Attributes:
        step_ns: Time between two ticks, ns.

    Raises:
        ValueError: `target_fps` makes no step of at least 1 ns.
        TypeError: `policy` is no instance of a policy.

    Example:
        >>> import pandas as pd
        >>> chunk = pd.DataFrame({"timestamp_ns": [0, 60, 130], "x": [1.0, None, 3.0]})
        >>> sync = SyncTransformer(target_fps=20_000_000)
        >>> sync.transform(chunk)
           timestamp_ns    x
        0             0  1.0
        1            50  1.0
        2           100  1.0
        >>> sync.transform(pd.DataFrame({"timestamp_ns": [200], "x": [None]}))
           timestamp_ns    x
        0           150  3.0
        1           200  3.0
    """

    def __init__(
        self, target_fps: float, policy: SyncPolicy = _HOLD, timestamp_column: str = "timestamp_ns"
    ) -> None:
        if not (0 < target_fps <= 1e9 and math.isfinite(1e9 / target_fps)):
            raise ValueError(f"target_fps is {target_fps}; give ticks per second, at most 1e9")
        if isinstance(policy, type) or not isinstance(policy, SyncPolicy):
            raise TypeError(f"{policy!r} is no policy; give an object with apply(grid, s_ts, s_val)")
        self.target_fps = target_fps
        self.policy = policy
        self.timestamp_column = timestamp_column
        self.step_ns = int(1e9 / target_fps)
        self._next_tick_ns: int | None = None
        self._last_time_ns: int | None = None
        self._samples: dict[Hashable, Samples] = {}

    def fit(self, X: Any, y: None = None) -> "SyncTransformer":  # noqa: N803
        """Sets the first tick to the time of the first row, unless it is set already.

        Raises:
            ValueError: There is no time column, or it has no integers. The first is a KeyError, too.
        """
        times = self._times(frame_of(X))
        if self._next_tick_ns is None and len(times):
            self._next_tick_ns = int(times[0])
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """The rows of the ticks that are due.

        Args:
            X: Rows that are sorted by time and later than those before: a frame of pandas or polars, an
                Arrow table, or anything that exports an Arrow stream. Without rows, or without a tick that
                is due, the result has no rows; the samples count at later ticks.

        Returns:
            The time column and the others in their order. With pandas a frame whose other columns hold
            objects, None where there is no value. Otherwise a frame of polars or an Arrow table whose
            columns keep their types. Columns of a policy that returns arrays of numbers have these types.

        Raises:
            ValueError: There is no time column, it has no integers, or rows are not in order; a policy
                returned another number of values; there are more than 100 million ticks. Nothing changed
                then. The first is a KeyError, too.
            TypeError: `X` is no frame.
        """
        frame = frame_of(X)
        times = self._times(frame)
        self._check_goes_on(times)
        grid = self._due(times)
        columns: dict[Hashable, Column] = {self.timestamp_column: grid}
        samples: dict[Hashable, Samples] = {}
        for name in frame.names:
            if name == self.timestamp_column:
                continue
            found = self._with_kept(name, times, frame)
            columns[name] = self._at_ticks(name, grid, found)
            samples[name] = self._since_last_tick(grid, found)
        result = frame.like(columns)

        self._samples.update(samples)
        if len(times):
            self._last_time_ns = int(times[-1])
        if len(grid):
            self._next_tick_ns = int(grid[-1]) + self.step_ns
        return result

    def fit_transform(self, X: Any, y: None = None) -> Any:  # noqa: N803
        """`fit`, then `transform`."""
        return self.fit(X).transform(X)

    def reset(self) -> None:
        """Forgets grid and samples; the next chunk begins anew, e.g. with another recording."""
        self._next_tick_ns = None
        self._last_time_ns = None
        self._samples.clear()

    def _times(self, frame: Frame) -> npt.NDArray[np.int64]:
        name = self.timestamp_column
        if name not in frame.names:
            raise _MissingColumnError(f"Unable to find time column '{name}' among {frame.names}")
        times = frame.column(name)
        if len(times) == 0:
            return np.empty(0, dtype=np.int64)
        with np.errstate(invalid="ignore"):
            exact = times.astype(np.int64) if times.dtype.kind in "iuf" else None
        if exact is None or (exact != times).any():
            raise ValueError(f"time column '{name}' must hold integers, ns, and none missing")
        back = np.flatnonzero(exact[1:] < exact[:-1])
        if len(back):
            row = int(back[0]) + 1
            raise ValueError(f"row {row} at {exact[row]} ns is earlier than the one before; sort by '{name}'")
        return exact

    def _check_goes_on(self, times: npt.NDArray[np.int64]) -> None:
        if self._last_time_ns is not None and len(times) and times[0] < self._last_time_ns:
            raise ValueError(
                f"the chunk begins at {times[0]} ns, the last one ended at {self._last_time_ns} ns; "
                "give chunks in order, and call reset() before another recording"
            )

    def _due(self, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if len(times) == 0:
            return np.empty(0, dtype=np.int64)
        first = int(times[0]) if self._next_tick_ns is None else self._next_tick_ns
        ticks = (int(times[-1]) - first) // self.step_ns + 1
        if ticks > _MAX_TICKS:
            raise ValueError(
                f"{ticks} ticks of {self.step_ns} ns are due from {first} to {times[-1]} ns; "
                "is one of these times wrong? Lower target_fps, or reset() after the gap"
            )
        return first + self.step_ns * np.arange(ticks, dtype=np.int64)

    def _with_kept(self, name: Hashable, times: npt.NDArray[np.int64], frame: Frame) -> Samples:
        present, values = frame.samples(name)
        kept = self._samples.get(name)
        if kept is None:
            return times[present], values
        kept_times, kept_values = kept
        if kept_values.dtype != values.dtype:  # a common type of numbers may be lossy
            kept_values, values = kept_values.astype(object), values.astype(object)
        return np.concatenate([kept_times, times[present]]), np.concatenate([kept_values, values])

    def _at_ticks(self, name: Hashable, grid: npt.NDArray[np.int64], samples: Samples) -> Column:
        if len(grid) == 0 or len(samples[0]) == 0:
            return np.full(len(grid), None, dtype=object)
        values = np.asarray(self.policy.apply(grid, *samples))
        if values.shape != grid.shape:
            raise ValueError(
                f"{self.policy!r} gave column {name!r} values of shape {values.shape}; "
                f"there are {len(grid)} ticks"
            )
        return values

    def _since_last_tick(self, grid: npt.NDArray[np.int64], samples: Samples) -> Samples:
        times, values = samples
        if len(grid) == 0:
            return samples
        first = max(0, int(np.searchsorted(times, grid[-1], side="right")) - 1)
        return times[first:].copy(), values[first:].copy()


class _MissingColumnError(ValueError, KeyError):
    """Mosaico raises the one in `transform`, the other in `fit`."""

    __str__ = ValueError.__str__  # KeyError would quote the text
