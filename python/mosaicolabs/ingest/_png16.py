"""PNG files with 16 bits per colour, which Pillow reduces to 8 without a word."""

from pathlib import Path

import numpy as np

from mosaicolabs.models.sensors import Image, ImageFormat

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Of the header chunk: width and height come first, then one byte each of depth and colour type.
_DEPTH, _COLOUR_TYPE = 24, 25
_RGB, _RGBA = 2, 6
_DECODED = {_RGB: ("rgb48le", "rgb16"), _RGBA: ("rgba64le", "rgba16")}


def has_deep_colours(path: Path) -> bool:
    """Whether the file is a PNG with colours of 16 bits per channel."""
    head = _head(path)
    return head.startswith(_SIGNATURE) and head[_DEPTH] == 16 and head[_COLOUR_TYPE] in _DECODED


def read_deep_colours(path: Path) -> Image:
    """The frame as `rgb16` or `rgba16`, every value as it is in the file.

    Raises:
        ImportError: PyAV is not installed.
        ValueError: The file cannot be decoded.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError("colours of 16 bits need PyAV: pip install av") from error
    layout, encoding = _DECODED[_head(path)[_COLOUR_TYPE]]
    with path.open("rb") as file, av.open(file) as container:
        frame = next(container.decode(video=0))
    pixels = frame.to_ndarray(format=layout).astype(np.dtype("<u2"))
    return Image.from_numpy(pixels, encoding, format=ImageFormat.PNG)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(_COLOUR_TYPE + 1)
    return head if len(head) > _COLOUR_TYPE else bytes(_COLOUR_TYPE + 1)
