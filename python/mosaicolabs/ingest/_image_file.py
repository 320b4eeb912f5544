"""Image files as messages, every pixel as it is in the file."""

import warnings
from pathlib import Path

import PIL.Image

from mosaicolabs.models.sensors import Image, ImageFormat

from ._png16 import has_deep_colours, read_deep_colours

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm")
_MODES = ("L", "RGB", "RGBA", "I;16")


def check_image(path: Path) -> None:
    """Checks the header of an image.

    Raises:
        ValueError: The file is missing, no image, or of a kind that is not supported; the text names it.
    """
    _open(path).close()


def read_image(path: Path) -> Image:
    """The pixels of an image.

    Raises:
        ValueError: As `check_image`; or the image cannot be decoded.
    """
    with _open(path) as image:
        try:
            if has_deep_colours(path):
                return read_deep_colours(path)
            image.load()
        except Exception as error:  # Pillow's plug-ins raise many kinds for broken files
            raise ValueError(f"image {path} cannot be decoded: {error}") from error
        if image.mode == "L" and image.format == "PNG":
            return _grey_png(path.read_bytes(), *image.size)
        return Image.from_pillow(image, output_format=ImageFormat.PNG)


def _open(path: Path) -> PIL.Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            image = PIL.Image.open(path)
    except FileNotFoundError as error:
        raise ValueError(f"image {path} is missing") from error
    except Exception as error:  # as above
        raise ValueError(f"image {path} cannot be read: {error}") from error
    if image.mode not in _MODES:
        image.close()
        raise ValueError(f"image {path} has mode {image.mode}; supported: {', '.join(_MODES)}")
    return image


def _grey_png(png: bytes, width: int, height: int) -> Image:
    """An `Image` of a grey PNG, which is stored unchanged: `Image` would encode these pixels the same way."""
    return Image(data=png, format=ImageFormat.PNG, width=width, height=height, stride=width, encoding="mono8")
