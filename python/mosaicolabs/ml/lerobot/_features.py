"""Features of a dataset: their description, and their columns in Parquet."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image as PillowImage

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.ml.dataset import Signal

_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
INDEXES = {
    "timestamp": pa.float32(),
    "frame_index": pa.int64(),
    "episode_index": pa.int64(),
    "index": pa.int64(),
    "task_index": pa.int64(),
}
"""Columns that every dataset has."""


@dataclass(frozen=True)
class Feature:
    """One feature, described by its first value.

    Attributes:
        name: Its name, such as `observation.state`.
        signal: Where it is from.
        shape: (channels,), or (height, width, channels).
        dtype: Type of numbers.
    """

    name: str
    signal: Signal
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, name: str, signal: Signal, value: npt.NDArray[Any]) -> "Feature":
        """The feature whose value at one time this is."""
        if signal.image and value.dtype != np.uint8:
            raise InvalidInputError(
                f"feature {name!r}: pictures of {signal.topic} have more than 8 bits, "
                "for which LeRobot has no type"
            )
        return cls(name, signal, value.shape, str(value.dtype))

    @property
    def is_picture(self) -> bool:
        """Whether it is of a camera."""
        return bool(self.signal.image)

    def description(self) -> dict[str, Any]:
        """Its entry in `meta/info.json`."""
        if self.is_picture:
            names: Any = ["height", "width", "channels"]
        else:
            columns = list(self.signal.columns)
            names = columns if len(columns) == self.shape[0] else None
        return {
            "dtype": "image" if self.is_picture else self.dtype,
            "shape": list(self.shape),
            "names": names,
        }

    def arrow_type(self) -> pa.DataType:
        """The type of its column."""
        if self.is_picture:
            return _PICTURE
        number = pa.from_numpy_dtype(np.dtype(self.dtype))
        return number if self.shape == (1,) else pa.list_(number, self.shape[0])

    def hugging_face(self) -> dict[str, Any]:
        """Its description for the library `datasets`."""
        if self.is_picture:
            return {"_type": "Image"}
        value = {"dtype": self.dtype, "_type": "Value"}
        return (
            value if self.shape == (1,) else {"feature": value, "length": self.shape[0], "_type": "Sequence"}
        )

    def column(self, values: npt.NDArray[Any]) -> pa.Array:
        """The column of values, the first dimension of which is the frame."""
        if self.is_picture:
            return pa.array([{"bytes": _png(pixels), "path": None} for pixels in values], _PICTURE)
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        return flat if self.shape == (1,) else pa.FixedSizeListArray.from_arrays(flat, self.shape[0])

    def numbers(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The values for statistics, shape (values, channels); those of pictures between 0 and 1."""
        flat = np.asarray(values, np.float64).reshape(-1, self.shape[-1])
        return flat / 255 if self.is_picture else flat


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
