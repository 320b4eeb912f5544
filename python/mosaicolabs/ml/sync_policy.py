"""The interface of synchronization policies."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["SyncPolicy"]


@runtime_checkable
class SyncPolicy(Protocol):
    """Computes the values of a column on a regular time grid. Any object with this method is a policy.

    Example:
        A custom policy: linear interpolation between the samples.

        >>> class Linear:
        ...     def apply(self, grid, s_ts, s_val):
        ...         return np.interp(grid, s_ts, s_val.astype(float))
        >>> isinstance(Linear(), SyncPolicy)
        True
        >>> Linear().apply(np.array([0, 5, 10]), np.array([0, 10]), np.array([1.0, 2.0])).tolist()
        [1.0, 1.5, 2.0]
    """

    def apply(
        self, grid: npt.NDArray[np.int64], s_ts: npt.NDArray[np.int64], s_val: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """The values at the ticks.

        Args:
            grid: Times of the ticks, ns, shape (ticks,), ascending.
            s_ts: Times of the samples, ns, shape (samples,), ascending, at least one; some may be earlier
                than the first tick.
            s_val: Values of the samples, shape (samples,), without missing values.

        Returns:
            Values, shape (ticks,); None for missing values.
        """
        ...
