"""Pixel encodings: the meaning of the bytes of an image, as numpy arrays and as Pillow images."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

Pixels = npt.NDArray[Any]


class Encoding(NamedTuple):
    """Layout of one pixel.

    `pillow_mode` is the mode of such pixels, None if Pillow has none. `blue_first`: the first three channels
    are in the reverse of Pillow's order.
    """

    dtype: np.dtype[Any]
    channels: int
    pillow_mode: str | None
    blue_first: bool = False

    @property
    def pixel_bytes(self) -> int:
        """Size of one pixel, bytes."""
        return self.channels * self.dtype.itemsize


_U8, _U16, _S16, _S32 = np.dtype("u1"), np.dtype("u2"), np.dtype("i2"), np.dtype("i4")
_F32, _F64 = np.dtype("f4"), np.dtype("f8")

# Names follow ROS `sensor_msgs/image_encodings`. A bayer image is kept as its one-channel mosaic.
ENCODINGS: dict[str, Encoding] = {
    "rgb8": Encoding(_U8, 3, "RGB"),
    "bgr8": Encoding(_U8, 3, "RGB", blue_first=True),
    "rgba8": Encoding(_U8, 4, "RGBA"),
    "bgra8": Encoding(_U8, 4, "RGBA", blue_first=True),
    "mono8": Encoding(_U8, 1, "L"),
    "8UC1": Encoding(_U8, 1, "L"),
    "8UC2": Encoding(_U8, 2, "LA"),
    "8UC3": Encoding(_U8, 3, "RGB"),
    "8UC4": Encoding(_U8, 4, "RGBA"),
    "bayer_rggb8": Encoding(_U8, 1, "L"),
    "bayer_bggr8": Encoding(_U8, 1, "L"),
    "bayer_gbrg8": Encoding(_U8, 1, "L"),
    "bayer_grbg8": Encoding(_U8, 1, "L"),
    "mono16": Encoding(_U16, 1, "I;16"),
    "rgb16": Encoding(_U16, 3, None),
    "bgr16": Encoding(_U16, 3, None, blue_first=True),
    "rgba16": Encoding(_U16, 4, None),
    "bgra16": Encoding(_U16, 4, None, blue_first=True),
    "16UC1": Encoding(_U16, 1, "I;16"),
    "16UC2": Encoding(_U16, 2, None),
    "16UC3": Encoding(_U16, 3, None),
    "16UC4": Encoding(_U16, 4, None),
    "16SC1": Encoding(_S16, 1, "I"),
    "32SC1": Encoding(_S32, 1, "I"),
    "32FC1": Encoding(_F32, 1, "F"),
    "32FC2": Encoding(_F32, 2, None),
    "32FC3": Encoding(_F32, 3, None),
    "32FC4": Encoding(_F32, 4, None),
    "64FC1": Encoding(_F64, 1, "F"),
    # Pairs of columns share their colour: luma and, in turn, u and v. `uyvy`, `yuyv` are their newer names.
    "yuv422": Encoding(_U8, 2, None),
    "uyvy": Encoding(_U8, 2, None),
    "yuv422_yuy2": Encoding(_U8, 2, None),
    "yuyv": Encoding(_U8, 2, None),
}

_DEFAULT_BY_MODE = {"L": "mono8", "RGB": "rgb8", "RGBA": "rgba8", "LA": "8UC2", "F": "32FC1", "I": "32SC1"}
_DEFAULT_BY_MODE |= {"I;16": "mono16", "I;16L": "mono16", "I;16B": "mono16", "I;16N": "mono16"}

_BLUE_FIRST = {3: [2, 1, 0], 4: [2, 1, 0, 3]}


def encoding_of(name: str) -> Encoding:
    """The layout of a named encoding.

    Raises:
        NotImplementedError: The name is unknown.
    """
    encoding = ENCODINGS.get(name)
    if encoding is None:
        raise NotImplementedError(f"pixel encoding '{name}' is unknown; known are {', '.join(ENCODINGS)}")
    return encoding


def default_encoding(image: PillowImage.Image) -> str:
    """The encoding that preserves an image of Pillow; `rgb8` or `rgba8` for modes without an equivalent."""
    return _DEFAULT_BY_MODE.get(image.mode, "rgba8" if image.has_transparency_data else "rgb8")


def pixels_from_bytes(
    data: bytes, *, width: int, height: int, stride: int, encoding: str, is_bigendian: bool | None
) -> Pixels:
    """A view of the bytes of shape (height, width) or (height, width, channels), in host byte order.

    Padding at the end of the rows is skipped; a `stride` below the size of a row is ignored. Copies only to
    change the byte order.

    Raises:
        ValueError: There are not enough bytes.
    """
    layout = encoding_of(encoding)
    row_bytes = width * layout.pixel_bytes
    stride = max(stride, row_bytes)
    needed = stride * (height - 1) + row_bytes
    if len(data) < needed:
        raise ValueError(
            f"{width}x{height} '{encoding}' with {stride} bytes per row needs {needed} bytes, "
            f"there are {len(data)}"
        )
    dtype = layout.dtype if is_bigendian is None else layout.dtype.newbyteorder(">" if is_bigendian else "<")
    item = dtype.itemsize
    shape, strides = (height, width), (stride, layout.pixel_bytes)
    view: Pixels
    if layout.channels == 1:
        view = np.ndarray(shape, dtype, data, strides=strides)
    else:
        view = np.ndarray((*shape, layout.channels), dtype, data, strides=(*strides, item))
    return view.astype(layout.dtype, copy=False)


def check_pixels(array: Pixels, encoding: str) -> Encoding:
    """The layout of the encoding, after checking that the array has it.

    Raises:
        ValueError: Shape or type of the array do not match.
    """
    layout = encoding_of(encoding)
    channels = array.shape[2] if array.ndim == 3 else 1
    if (
        array.ndim not in (2, 3)
        or channels != layout.channels
        or array.dtype.newbyteorder("=") != layout.dtype
    ):
        wanted = "height x width" + (f" x {layout.channels}" if layout.channels > 1 else "")
        raise ValueError(
            f"an array of {array.dtype} {array.shape} is not '{encoding}', which is {layout.dtype} {wanted}"
        )
    return layout


def pillow_from_pixels(pixels: Pixels, encoding: str) -> PillowImage.Image:
    """The pixels as an image of Pillow.

    Raises:
        ValueError: Pillow has no mode for the encoding.
    """
    layout = encoding_of(encoding)
    if layout.pillow_mode is None:
        raise ValueError(
            f"Pillow has no mode for '{encoding}'; use to_numpy(), or convert() to another encoding"
        )
    if layout.blue_first:
        pixels = pixels[..., _BLUE_FIRST[layout.channels]]
    if layout.pillow_mode == "I":
        pixels = pixels.astype(np.int32, copy=False)
    elif layout.pillow_mode == "F":
        pixels = pixels.astype(np.float32, copy=False)
    return PillowImage.fromarray(pixels)


def pixels_from_pillow(image: PillowImage.Image, encoding: str) -> Pixels:
    """The pixels of an image of Pillow, converted to the encoding.

    Raises:
        ValueError: Pillow has no mode for the encoding, cannot convert, or the values do not fit.
    """
    layout = encoding_of(encoding)
    if layout.pillow_mode is None:
        raise ValueError(f"Pillow has no mode for '{encoding}'; use from_numpy()")
    if encoding.startswith("bayer_") and image.mode != "L":
        raise ValueError(
            f"an image of mode '{image.mode}' is not a '{encoding}' mosaic; give one of mode 'L'"
        )
    if image.mode != layout.pillow_mode and not image.mode.startswith(f"{layout.pillow_mode};"):
        image = _as_16_bit(image) if layout.pillow_mode == "I;16" else image.convert(layout.pillow_mode)
    pixels: Pixels = np.asarray(image)
    if layout.blue_first:
        pixels = pixels[..., _BLUE_FIRST[layout.channels]]
    if pixels.dtype.kind == "i" and not np.array_equal(pixels, pixels.astype(layout.dtype)):
        raise ValueError(f"values from {pixels.min()} to {pixels.max()} do not fit into '{encoding}'")
    return pixels.astype(layout.dtype, copy=False)


def _as_16_bit(image: PillowImage.Image) -> PillowImage.Image:
    """Pillow converts only few modes to 16 bits, and clips silently when it does."""
    if image.mode.startswith("I;16"):
        return PillowImage.fromarray(np.asarray(image).astype(_U16))
    if image.mode == "L":
        return PillowImage.fromarray(np.asarray(image).astype(_U16))
    raise ValueError(
        f"an image of mode '{image.mode}' has no 16-bit grey values; convert it to 'L' or 'I;16'"
    )
