"""What a window contains of one topic."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from mosaicolabs.exceptions import InvalidInputError

Align = Literal["hold", "nearest", "linear", "slerp"]
ImageSize = tuple[int, int]
"""Height and width, px."""

_NS = 1_000_000_000


@dataclass(frozen=True)
class Signal:
    """Columns, or the pictures, of one topic at some times around each sample.

    Attributes:
        topic: Name of the topic.
        columns: Dotted paths of numbers or of lists of numbers with a fixed length, as they are stored
            (`"acceleration.x"`, `"positions"`); concatenated to channels. Empty with `image`.
        offsets_s: Times relative to the sample, s, such as `delta_timestamps` of LeRobot: `(-0.1, 0.0)`.
        align: The value at a time: `hold` (the last sample at or before it), `nearest` (of two equally near
            ones the earlier), `linear` (interpolated, never extrapolated) or `slerp` (the same on the shorter
            arc, for the four columns x, y, z, w of a rotation).
        max_age_s: How far a sample may be from the time, s; for `linear` and `slerp` both neighbours. None:
            any distance.
        latency_s: How much later than the event the topic's messages are stamped, s.
        dtype: Type of the array.
        image: Size to which pictures are resized, or `True` for pictures as they are. The topic has pictures.

    Raises:
        InvalidInputError: The settings contradict each other.

    Example:
        >>> Signal("/arm/joints", ["positions"], offsets_s=(0.0, 0.1, 0.2)).offsets_ns.tolist()
        [0, 100000000, 200000000]
    """

    topic: str
    columns: "tuple[str, ...] | list[str]" = ()
    offsets_s: "tuple[float, ...] | list[float]" = (0.0,)
    align: Align = "hold"
    max_age_s: float | None = None
    latency_s: float = 0.0
    dtype: npt.DTypeLike = np.float32
    image: "ImageSize | bool" = False

    def __post_init__(self) -> None:
        if isinstance(self.columns, str):
            raise InvalidInputError(f"columns is a list of paths, not {self.columns!r}")
        if bool(self.columns) == bool(self.image):
            raise InvalidInputError(f"topic {self.topic!r}: give either columns or image")
        if self.align not in get_args(Align):
            raise InvalidInputError(f"align is one of {', '.join(get_args(Align))}, not {self.align!r}")
        if self.image and self.align not in ("hold", "nearest"):
            raise InvalidInputError(
                f"pictures are not interpolated; align is hold or nearest, not {self.align}"
            )
        if not len(self.offsets_s):
            raise InvalidInputError(
                f"topic {self.topic!r}: offsets_s is empty; (0.0,) is the time of the sample"
            )
        if self.max_age_s is not None and not self.max_age_s >= 0:
            raise InvalidInputError(f"max_age_s is a time in seconds, not {self.max_age_s}")

    @property
    def locator(self) -> str:
        """Name of the topic with its leading slash."""
        return f"/{self.topic.strip('/')}"

    @property
    def offsets_ns(self) -> npt.NDArray[np.int64]:
        """The offsets in ns; shape (times,)."""
        return np.array([round(offset * _NS) for offset in self.offsets_s], np.int64)

    @property
    def latency_ns(self) -> int:
        """The latency in ns."""
        return round(self.latency_s * _NS)

    @property
    def max_age_ns(self) -> int | None:
        """The greatest distance in ns."""
        return None if self.max_age_s is None else round(self.max_age_s * _NS)
