"""Values of a sampled signal at other times."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .signal import Align

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Arcs below this angle are straight enough: sin() of it loses digits.
_STRAIGHT = 1e-6


@dataclass(frozen=True)
class Neighbours:
    """The samples around some times.

    Attributes:
        left: Index of the last sample at or before each time; -1: none.
        right: Index of the first sample at or after each time; the number of samples: none.
    """

    left: npt.NDArray[np.intp]
    right: npt.NDArray[np.intp]

    @classmethod
    def of(cls, samples: Times, at: Times) -> "Neighbours":
        """Of sorted samples; of several at one time the last one counts."""
        left = np.searchsorted(samples, at, side="right") - 1
        exact = (left >= 0) & (samples[np.maximum(left, 0)] == at) if len(samples) else left >= 0
        return cls(left, np.where(exact, left, left + 1))


def pick(samples: Times, at: Times, align: Align, max_age_ns: int | None) -> npt.NDArray[np.intp]:
    """The sample of each time for `hold` and `nearest`; -1: none.

    Args:
        samples: Times of the samples, sorted, ns; shape (samples,).
        at: Times, ns; shape (times,).
        align: `hold` or `nearest`.
        max_age_ns: Greatest distance, ns.
    """
    if not len(samples):
        return np.full(len(at), -1, np.intp)
    around = Neighbours.of(samples, at)
    chosen = around.left
    if align == "nearest":
        before = np.where(around.left >= 0, at - samples[np.maximum(around.left, 0)], np.iinfo(np.int64).max)
        last = len(samples) - 1
        after = np.where(
            around.right <= last, samples[np.minimum(around.right, last)] - at, np.iinfo(np.int64).max
        )
        chosen = np.where(before <= after, around.left, around.right)
    if max_age_ns is not None:
        distance = np.abs(at - samples[np.maximum(chosen, 0)])
        chosen = np.where(distance <= max_age_ns, chosen, -1)
    return chosen


def interpolate(
    samples: Times, values: Values, at: Times, max_age_ns: int | None, *, rotations: bool
) -> tuple[Values, Mask]:
    """The values between the samples, and where there are any.

    Args:
        samples: Times of the samples, sorted, ns; shape (samples,).
        values: Shape (samples, channels); for rotations unit quaternions x, y, z, w.
        at: Times, ns; shape (times,).
        max_age_ns: Greatest distance to each neighbour, ns.
        rotations: Interpolate on the shorter arc.

    Returns:
        Values of shape (times, channels), zero where there are none, and a mask of shape (times,).
    """
    found = np.zeros((len(at), values.shape[1]))
    if not len(samples):
        return found, np.zeros(len(at), np.bool_)
    around = Neighbours.of(samples, at)
    valid = (around.left >= 0) & (around.right < len(samples))
    left, right = around.left[valid], around.right[valid]
    before, after = at[valid] - samples[left], samples[right] - at[valid]
    if max_age_ns is not None:
        near = (before <= max_age_ns) & (after <= max_age_ns)
        valid[valid] = near
        left, right, before, after = left[near], right[near], before[near], after[near]
    share = (before / np.maximum(before + after, 1))[:, None]
    blend = _slerp if rotations else _lerp
    found[valid] = blend(values[left], values[right], share)
    return found, valid


def _lerp(left: Values, right: Values, share: Values) -> Values:
    # Exact at both ends, also for infinities, which a product with zero would make NaN.
    with np.errstate(invalid="ignore"):
        return np.where(share == 0, left, left * (1 - share) + right * share)


def _slerp(left: Values, right: Values, share: Values) -> Values:
    left, right = _unit(left), _unit(right)
    cosine = np.sum(left * right, axis=1, keepdims=True)
    right = np.where(cosine < 0, -right, right)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    straight = angle < _STRAIGHT
    sine = np.where(straight, 1.0, np.sin(angle))
    from_left = np.where(straight, 1 - share, np.sin((1 - share) * angle) / sine)
    from_right = np.where(straight, share, np.sin(share * angle) / sine)
    return _unit(from_left * left + from_right * right)


def _unit(quaternions: Values) -> Values:
    length = np.linalg.norm(quaternions, axis=1, keepdims=True)
    return quaternions / np.where(length == 0, 1.0, length)
