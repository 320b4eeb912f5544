"""Pictures for notebooks."""

import io
from collections.abc import Callable
from typing import IO

import numpy as np
from PIL import Image as PillowImage

_VIEWABLE = ("1", "L", "LA", "P", "RGB", "RGBA")


def png_of(make: Callable[[], PillowImage.Image | None]) -> bytes | None:
    """The PNG file of an image; None if there is none. Depths and floats are scaled to their range."""
    try:
        image = make()
    except (ValueError, NotImplementedError):  # an encoding without a picture, or damaged data
        return None
    if image is None:
        return None
    if image.mode[0] in "IF":
        image = _scaled(image)
    file: IO[bytes] = io.BytesIO()
    (image if image.mode in _VIEWABLE else image.convert("RGB")).save(file, "PNG")
    file.seek(0)
    return file.read()


def _scaled(image: PillowImage.Image) -> PillowImage.Image:
    values = np.asarray(image, np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    grey = np.nan_to_num((values - low) / max(high - low, 1e-12) * 255)
    return PillowImage.fromarray(grey.clip(0, 255).astype(np.uint8))
