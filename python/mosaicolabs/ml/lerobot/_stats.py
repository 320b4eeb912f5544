"""Running statistics of features: minimum, maximum, mean, standard deviation, number of values."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Stats:
    """Statistics of each channel, in one pass.

    Means are updated by batches, so that large values lose no digits of a small deviation.
    """

    def __init__(self) -> None:
        self._count = 0
        self._low: Array | None = None
        self._high: Array | None = None
        self._mean: Array = np.zeros(0)
        self._squares: Array = np.zeros(0)
        self._frames = 0

    def add(self, values: Array, frames: int) -> None:
        """Adds values of shape (values, channels), of a number of frames; at least one value."""
        low, high, mean = values.min(0), values.max(0), values.mean(0)
        self._merge(len(values), low, high, mean, ((values - mean) ** 2).sum(0), frames)

    def add_all(self, other: "Stats") -> None:
        """Adds what others have seen."""
        if other._low is not None and other._high is not None:
            self._merge(other._count, other._low, other._high, other._mean, other._squares, other._frames)

    def _merge(self, count: int, low: Array, high: Array, mean: Array, squares: Array, frames: int) -> None:
        self._frames += frames
        if self._low is None or self._high is None:
            self._count, self._low, self._high, self._mean, self._squares = count, low, high, mean, squares
            return
        total = self._count + count
        apart = mean - self._mean
        self._squares = self._squares + squares + apart**2 * (self._count * count / total)
        self._mean = self._mean + apart * (count / total)
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
        self._count = total

    def document(self, *, picture: bool) -> dict[str, Any]:
        """As LeRobot writes it; those of pictures have the shape (channels, 1, 1)."""
        found = {
            "min": self._low,
            "max": self._high,
            "mean": self._mean,
            "std": np.sqrt(self._squares / max(self._count, 1)),
        }
        shaped = {
            key: (np.asarray(value).reshape(-1, 1, 1) if picture else np.asarray(value)).tolist()
            for key, value in found.items()
        }
        return {**shaped, "count": [self._frames]}
