"""Pictures as arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.models import Message
from mosaicolabs.models.sensors import CompressedImage, Image

from .signal import Signal

_EIGHT_BITS = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"})


def picture(message: Message, signal: Signal) -> npt.NDArray[Any]:
    """The pixels, resized: `uint8` of shape (height, width, 3) in RGB order, or, for pictures with more than
    8 bits per channel, `float32` of shape (height, width, 1).

    Raises:
        InvalidInputError: The message is no picture, or damaged.
    """  # noqa: D205
    return pixels_of(_decoded(message, signal), signal)


def pixels_of(shown: PillowImage.Image, signal: Signal) -> npt.NDArray[Any]:
    """The pixels of a decoded picture, see `picture`."""
    if shown.mode in _EIGHT_BITS:
        shown = shown.convert("RGB")
        resample = PillowImage.Resampling.BILINEAR
    else:
        # Depths of neighbours are not mixed: the mean of an edge is a depth that nothing has.
        shown = PillowImage.fromarray(np.asarray(shown).astype(np.float32))
        resample = PillowImage.Resampling.NEAREST
    if isinstance(signal.image, tuple):
        height, width = signal.image
        shown = shown.resize((width, height), resample)
    pixels = np.asarray(shown)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _decoded(message: Message, signal: Signal) -> PillowImage.Image:
    data = message.data
    place = f"{signal.topic} at {message.timestamp_ns} ns"
    if isinstance(data, Image):
        try:
            return data.to_pillow()
        except (ValueError, NotImplementedError) as error:
            raise InvalidInputError(f"picture of {place}: {error}") from error
    if not isinstance(data, CompressedImage):
        raise InvalidInputError(f"{place} is a {message.ontology_tag()}, no picture; give columns")
    shown = data.to_image()
    if shown is None:
        raise InvalidInputError(f"picture of {place} cannot be decoded")
    return shown
