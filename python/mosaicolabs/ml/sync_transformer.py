"""Resamples sparse samples of many sensors to rows at a constant rate."""

import math
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mosaicolabs.ml._frame_adapters import Column, Frame, frame_of
from mosaicolabs.ml.sync_policies import SyncHold
from mosaicolabs.ml.sync_policies.hold import LastSample
from mosaicolabs.ml.sync_policy import SyncPolicy

__all__ = ["SyncTransformer"]

Rows: TypeAlias = npt.NDArray[np.int64]
Samples: TypeAlias = tuple[npt.NDArray[np.int64], Column]
_Alike: TypeAlias = tuple[list[Hashable], npt.NDArray[np.int64], Rows]
"""Columns with samples at the same times: their names, the retained times, the rows of the chunk."""

_NOTHING: Samples = np.empty(0, dtype=np.int64), np.empty(0, dtype=object)

_HOLD = SyncHold()
_MAX_TICKS = 100_000_000
"""Maximum rows of one result: more would exhaust memory, and indicate a wrong time rather than a gap."""


class SyncTransformer:
    """Resamples the columns of a frame to a regular time grid, chunk by chunk.

    The first tick is the time of the first row, the others follow every `int(1e9 / target_fps)` ns. A chunk
    gives the ticks up to the time of its last row, including those in the gap before its first row. State
    kept between chunks: the samples since the last tick, and the one before. Missing values are not samples.

    Implements the transformer protocol of scikit-learn.

    Args:
        target_fps: Ticks per second.
        policy: Gives each column its value at a tick: `SyncHold`, `SyncAsOf`, `SyncDrop`, or an object with
            the method of `SyncPolicy`. It is called from the first sample of a column on.
        timestamp_column: Column of the times, ns, integers, ascending.

    Attributes:
        step_ns: Time between two ticks, ns.

    Raises:
        ValueError: `target_fps` gives a step of less than 1 ns.
        TypeError: `policy` is not an instance of a policy.

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
            raise TypeError(f"{policy!r} is not a policy; give an object with apply(grid, s_ts, s_val)")
        self.target_fps = target_fps
        self.policy = policy
        self.timestamp_column = timestamp_column
        self.step_ns = int(1e9 / target_fps)
        self._next_tick_ns: int | None = None
        self._last_time_ns: int | None = None
        self._samples: dict[Hashable, Samples] = {}

    def fit(self, X: Any, y: None = None) -> "SyncTransformer":  # noqa: N803
        """Sets the first tick to the time of the first row, unless it is already set.

        Raises:
            ValueError: The time column does not exist (also a KeyError), or has no integers.
        """
        times = self._times(frame_of(X))
        if self._next_tick_ns is None and len(times):
            self._next_tick_ns = int(times[0])
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """The rows of all ticks up to the last row of the chunk.

        Args:
            X: Rows sorted by time, later than those of earlier chunks: a frame of pandas or polars, an Arrow
                table, or anything that exports an Arrow stream. Without rows, or without a tick, the result
                has no rows; the samples count at later ticks.

        Returns:
            The time column and the others in their order. With pandas, a frame whose other columns hold
            objects, None for missing values. Otherwise a frame of polars or an Arrow table whose columns
            keep their types. If the policy returns arrays of numbers, columns have the types of these.

        Raises:
            ValueError: The time column does not exist (also a KeyError), has no integers, or is not in order;
                the policy returned a wrong number of values; there are more than 100 million ticks. The
                state is unchanged.
            TypeError: `X` is not a frame.
        """
        frame = frame_of(X)
        times = self._times(frame)
        self._check_order(times)
        grid = self._due(times)
        columns: dict[Hashable, Column | None] = {self.timestamp_column: grid}
        columns |= dict.fromkeys(name for name in frame.names if name != self.timestamp_column)
        samples: dict[Hashable, Samples] = {}
        for names, kept_times, rows in self._alike(frame):
            sample_times = np.concatenate([kept_times, times[rows]])
            at_ticks = self._policy_at(grid, sample_times)
            needed = self._since_last_tick(grid, sample_times)
            needed_times = sample_times[needed].copy()
            for name in names:
                values = self._with_kept(name, rows, frame)
                columns[name] = at_ticks(name, values)
                samples[name] = needed_times, values[needed].copy()
        result = frame.like(columns, len(grid))

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
        """Drops grid and samples; the next chunk starts over, e.g. with another recording."""
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
            raise ValueError(f"time column '{name}' must contain integers, ns, without missing values")
        back = np.flatnonzero(exact[1:] < exact[:-1])
        if len(back):
            row = int(back[0]) + 1
            raise ValueError(f"row {row} at {exact[row]} ns is earlier than the one before; sort by '{name}'")
        return exact

    def _check_order(self, times: npt.NDArray[np.int64]) -> None:
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
                f"{ticks} ticks of {self.step_ns} ns lie between {first} and {times[-1]} ns; "
                "check these times, lower target_fps, or call reset() after the gap"
            )
        return first + self.step_ns * np.arange(ticks, dtype=np.int64)

    def _alike(self, frame: Frame) -> Iterator[_Alike]:
        """Columns that have samples, grouped by the times of their samples.

        Most columns of a topic share their times, so work that depends on times alone is done once for all.
        """
        found: dict[tuple[int, bytes], _Alike] = {}
        for name in frame.names:
            if name == self.timestamp_column:
                continue
            kept_times, _ = self._samples.get(name, _NOTHING)
            present = frame.present(name)
            if len(kept_times) or present.any():
                key = id(kept_times), np.packbits(present).tobytes()
                if key not in found:
                    found[key] = [], kept_times, np.flatnonzero(present)
                found[key][0].append(name)
        yield from found.values()

    def _with_kept(self, name: Hashable, rows: Rows, frame: Frame) -> Column:
        _, kept = self._samples.get(name, _NOTHING)
        values = frame.values(name, rows) if len(rows) else kept[:0]
        if len(kept) == 0:
            return values
        if kept.dtype != values.dtype:  # a common type of numbers may be lossy
            kept, values = kept.astype(object), values.astype(object)
        return np.concatenate([kept, values])

    def _policy_at(
        self, grid: npt.NDArray[np.int64], times: npt.NDArray[np.int64]
    ) -> Callable[[Hashable, Column], Column | None]:
        """A function from the samples of a column at these times to its values at the ticks."""
        policy = self.policy
        if len(grid) == 0:
            return lambda name, values: None
        pick = None
        if (
            isinstance(policy, LastSample) and type(policy).apply is LastSample.apply
        ):  # not overridden by a subclass
            pick = policy.pick(grid, times)

        def at_ticks(name: Hashable, values: Column) -> Column:
            if pick is not None:
                return pick(values)
            computed = np.asarray(policy.apply(grid, times.copy(), values))
            if computed.shape != grid.shape:
                raise ValueError(
                    f"{policy!r} gave column {name!r} values of shape {computed.shape}; "
                    f"there are {len(grid)} ticks"
                )
            return computed

        return at_ticks

    def _since_last_tick(self, grid: npt.NDArray[np.int64], times: npt.NDArray[np.int64]) -> slice:
        if len(grid) == 0:
            return slice(0, None)
        return slice(max(0, int(np.searchsorted(times, grid[-1], side="right")) - 1), None)


class _MissingColumnError(ValueError, KeyError):
    """Mosaico 0.2 raises the one in `transform`, the other in `fit`."""

    __str__ = ValueError.__str__  # KeyError would quote the text
