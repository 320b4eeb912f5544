"""Conversions between pixel encodings.

Colour encodings (mono, rgb, bgr with or without alpha, bayer, yuv422) are converted by appearance: 8 and 16
bits span the same range, grey is the luma of ITU-R BT.601. The others (`16UC3`, `32FC1` ...) have no colours:
their values are kept, and values that do not fit are refused.
"""

import re

import numpy as np

from mosaicolabs.models.sensors._pixels import Pixels, encoding_of

# Channels of the colour encodings, in order; 8 or 16 follow in the name.
_ORDERS = {"mono": "y", "rgb": "rgb", "bgr": "bgr", "rgba": "rgba", "bgra": "bgra"}
# Byte of each pixel pair that is luma; the other one is u and v in turn.
_LUMA_BYTE = {"yuv422": 1, "uyvy": 1, "yuv422_yuy2": 0, "yuyv": 0}


def convert(pixels: Pixels, source: str, target: str) -> Pixels:
    """Converts pixels from one encoding to another.

    Raises:
        NotImplementedError: Unknown encoding.
        ValueError: The conversion does not exist, or the values do not fit.
    """
    encoding_of(source), encoding_of(target)
    if source == target:
        return pixels
    if not (_has_colours(source) and _has_colours(target)):
        return _keep_values(pixels, source, target)
    wanted = _order(target)
    if wanted is None:
        raise ValueError(f"'{source}' cannot be converted to '{target}', which only cameras produce")
    if source.startswith("bayer_"):
        pixels, order = _demosaic(pixels, source[len("bayer_") : -1]), "rgb"
    elif source in _LUMA_BYTE and wanted == "y":
        pixels, order = pixels[..., _LUMA_BYTE[source]], "y"
    elif source in _LUMA_BYTE:
        pixels, order = _rgb_of_yuv422(pixels, _LUMA_BYTE[source]), "rgb"
    else:
        order = _order(source) or ""
    return _reorder(_scale(pixels, encoding_of(target).dtype), order, wanted)


def _order(encoding: str) -> str | None:
    match = re.fullmatch("(mono|rgba?|bgra?)(8|16)", encoding)
    return _ORDERS[match[1]] if match else None


def _has_colours(encoding: str) -> bool:
    return _order(encoding) is not None or encoding.startswith("bayer_") or encoding in _LUMA_BYTE


def _keep_values(pixels: Pixels, source: str, target: str) -> Pixels:
    layout = encoding_of(target)
    if encoding_of(source).channels != layout.channels:
        raise ValueError(f"'{source}' cannot be converted to '{target}'; use to_numpy() and from_numpy()")
    with np.errstate(invalid="ignore", over="ignore"):
        kept: Pixels = pixels.astype(layout.dtype)
    # A 64-bit float represents every value of every encoding.
    if not np.array_equal(kept.astype(np.float64), pixels.astype(np.float64), equal_nan=True):
        raise ValueError(
            f"values from {pixels.min()} to {pixels.max()} of '{source}' are not values of '{target}'; "
            "scale the array of to_numpy() and use from_numpy()"
        )
    return kept


def _scale(pixels: Pixels, dtype: np.dtype[np.generic]) -> Pixels:
    """From 8 to 16 bits or back; 255 and 65535 are the same white."""
    if pixels.dtype == dtype:
        return pixels
    if dtype.itemsize == 2:
        wide: Pixels = pixels.astype(np.uint16) * np.uint16(257)
        return wide
    narrow: Pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return narrow


def _reorder(pixels: Pixels, order: str, target: str) -> Pixels:
    if order == target:
        return pixels
    if target == "y":
        return _luma(*(pixels[..., order.index(channel)] for channel in "rgb"))
    opaque = np.broadcast_to(pixels.dtype.type(np.iinfo(pixels.dtype).max), pixels.shape[:2])
    channels = {"a": opaque, "r": pixels, "g": pixels, "b": pixels}
    if order != "y":
        channels |= {channel: pixels[..., index] for index, channel in enumerate(order)}
    return np.stack([channels[channel] for channel in target], axis=-1)


def _luma(red: Pixels, green: Pixels, blue: Pixels) -> Pixels:
    # 0.299, 0.587, 0.114 in 1/65536, rounded as Pillow does.
    weighed = np.full(red.shape, 0x8000, np.uint32)
    for channel, weight in ((red, 19595), (green, 38470), (blue, 7471)):
        weighed += channel.astype(np.uint32) * np.uint32(weight)
    luma: Pixels = (weighed >> np.uint32(16)).astype(red.dtype)
    return luma


def _rgb_of_yuv422(pixels: Pixels, luma: int) -> Pixels:
    """ITU-R BT.601 with luma from 16 to 235, as cameras send it."""
    if pixels.shape[1] % 2:
        raise ValueError(f"an image of {pixels.shape[1]} columns is not yuv422, which has pairs of columns")
    y = (pixels[..., luma].astype(np.float32) - 16) * np.float32(255 / 219)
    chroma = pixels[..., 1 - luma].astype(np.float32) - 128
    u, v = chroma[:, 0::2].repeat(2, axis=1), chroma[:, 1::2].repeat(2, axis=1)
    channels = [y + 1.596027 * v, y - 0.391762 * u - 0.812968 * v, y + 2.017232 * u]
    rgb: Pixels = np.stack(channels, axis=-1).round().clip(0, 255).astype(np.uint8)
    return rgb


def _demosaic(mosaic: Pixels, pattern: str) -> Pixels:
    """Each missing colour is the mean of its nearest known neighbours (bilinear interpolation)."""
    if min(mosaic.shape) < 2:
        raise ValueError(f"a bayer mosaic has at least 2x2 pixels, not {mosaic.shape[1]}x{mosaic.shape[0]}")
    return np.stack([_interpolated(mosaic, _known(mosaic, pattern, colour)) for colour in "rgb"], axis=-1)


def _known(mosaic: Pixels, pattern: str, colour: str) -> Pixels:
    """Where the sensor sees a colour; a pattern names the colours of the first 2x2 pixels."""
    known = np.zeros(mosaic.shape, np.int32)
    for position, name in enumerate(pattern):
        if name == colour:
            known[position // 2 :: 2, position % 2 :: 2] = 1
    return known


def _interpolated(mosaic: Pixels, known: Pixels) -> Pixels:
    # Around a pixel without the colour, either the direct or the diagonal neighbours have it, never both.
    values, weights = _spread(mosaic * known), _spread(known)
    mean = (2 * values + weights) // (2 * weights)
    return np.where(known, mosaic, mean).astype(mosaic.dtype)


def _spread(image: Pixels) -> Pixels:
    """Sum over 3x3 neighbours with the weights 1 2 1, 2 4 2, 1 2 1."""
    rows = np.pad(image, 1)
    columns = rows[:-2] + 2 * rows[1:-1] + rows[2:]
    spread: Pixels = columns[:, :-2] + 2 * columns[:, 1:-1] + columns[:, 2:]
    return spread
