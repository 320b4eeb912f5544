"""Conversions between encodings, against independent definitions and other libraries."""

import re
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image as PillowImage

from mosaicolabs.models import Header, Time
from mosaicolabs.models.sensors import CompressedImage, Image, ImageFormat
from mosaicolabs.models.sensors._pixels import ENCODINGS

ORDERED = [f"{order}{bits}" for order in ("mono", "rgb", "bgr", "rgba", "bgra") for bits in (8, 16)]
BAYER = ["bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"]
YUV = ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"]
COLOURLESS = sorted(set(ENCODINGS) - {*ORDERED, *BAYER, *YUV})

each_order = pytest.mark.parametrize("encoding", ORDERED)


def converted(pixels: Any, source: str, target: str) -> Any:
    return Image.from_numpy(np.asarray(pixels), source).convert(target).to_numpy()


def random_pixels(encoding: str, height: int = 6, width: int = 8) -> Any:
    layout = ENCODINGS[encoding]
    shape = (height, width, layout.channels)[: 2 if layout.channels == 1 else 3]
    return np.random.default_rng(3).integers(0, 2**8, shape).astype(layout.dtype)


def white(encoding: str) -> Any:
    pixels = random_pixels(encoding)
    return np.full_like(pixels, np.iinfo(pixels.dtype).max)


# All of them


@pytest.mark.parametrize("target", ENCODINGS)
@pytest.mark.parametrize("source", ENCODINGS)
def test_every_pair_is_converted_or_refused(source: str, target: str) -> None:
    pixels = random_pixels(source)
    image = Image.from_numpy(pixels, source, Header(stamp=Time(sec=1, nanosec=2)), ImageFormat.PNG)
    coloured = [name not in COLOURLESS for name in (source, target)]
    if all(coloured):
        possible = source == target or target in ORDERED
    else:
        same = ENCODINGS[source].channels == ENCODINGS[target].channels
        possible = same and float(pixels.max()) <= _largest(target)
    if not possible:
        with pytest.raises(ValueError, match=re.escape(f"'{source}'")):
            image.convert(target)
        return
    other = image.convert(target)
    assert (other.encoding, other.header, other.format) == (target, image.header, image.format)
    assert (other.width, other.height) == (image.width, image.height)
    if not all(coloured):
        np.testing.assert_array_equal(other.to_numpy(), pixels)


def _largest(encoding: str) -> float:
    dtype = ENCODINGS[encoding].dtype
    return float(np.iinfo(dtype).max if dtype.kind in "iu" else np.finfo(dtype).max)


def test_unknown_encodings() -> None:
    with pytest.raises(NotImplementedError, match="'nv21' is unknown"):
        converted(random_pixels("rgb8"), "rgb8", "nv21")


# Orders and depths


@pytest.mark.parametrize("target", [e for e in ORDERED if e not in ("mono8", "mono16")])
@pytest.mark.parametrize("source", ["rgb8", "bgr8", "rgb16"])
def test_colours_survive_another_order_and_more_bits(source: str, target: str) -> None:
    pixels = random_pixels(source)
    if target.endswith("8") and source.endswith("16"):
        pixels = pixels * np.uint16(257)
    np.testing.assert_array_equal(converted(converted(pixels, source, target), target, source), pixels)


@each_order
def test_white_is_white_and_opaque(encoding: str) -> None:
    for source in (*ORDERED, *BAYER):
        np.testing.assert_array_equal(converted(white(source), source, encoding), white(encoding))


def test_each_channel_goes_where_it_belongs() -> None:
    pixel = np.array([[[1, 2, 3, 4]]], np.uint8)
    expected = {"rgb8": [1, 2, 3], "bgr8": [3, 2, 1], "rgba8": [1, 2, 3, 4], "bgra8": [3, 2, 1, 4]}
    for target, values in expected.items():
        assert converted(pixel, "rgba8", target).ravel().tolist() == values
        wide = converted(pixel, "rgba8", target.replace("8", "16")).ravel().tolist()
        assert wide == [257 * value for value in values]


@given(st.integers(0, 2**16 - 1))
def test_sixteen_bits_are_rounded_to_the_nearest_eight(value: int) -> None:
    pixels = np.array([[value]], np.uint16)
    assert converted(pixels, "mono16", "mono8").item() == round(value / 65535 * 255)


@given(arrays.arrays(np.uint8, (3, 4, 3)))
def test_grey_is_that_of_pillow(pixels: Any) -> None:
    expected = np.asarray(PillowImage.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(converted(pixels, "rgb8", "mono8"), expected)
    np.testing.assert_array_equal(converted(pixels[..., ::-1], "bgr8", "mono8"), expected)


# Bayer


def neighbours_mean(mosaic: Any, pattern: str, row: int, column: int, colour: str) -> float:
    """The pixel itself if it has the colour, else the mean of those around it that have."""

    def has(y: int, x: int) -> bool:
        return pattern[y % 2 * 2 + x % 2] == colour

    if has(row, column):
        return float(mosaic[row, column])
    height, width = mosaic.shape
    around = [
        float(mosaic[y, x])
        for y in range(max(row - 1, 0), min(row + 2, height))
        for x in range(max(column - 1, 0), min(column + 2, width))
        if has(y, x)
    ]
    return float(np.mean(around))


@pytest.mark.parametrize("encoding", BAYER)
@given(mosaic=arrays.arrays(np.uint8, st.tuples(st.integers(2, 7), st.integers(2, 7))))
def test_bayer_is_interpolated_between_neighbours(encoding: str, mosaic: Any) -> None:
    rgb = converted(mosaic, encoding, "rgb8")
    pattern = encoding[len("bayer_") : -1]
    for row, column in np.ndindex(mosaic.shape):
        exact = [neighbours_mean(mosaic, pattern, row, column, colour) for colour in "rgb"]
        assert np.abs(rgb[row, column] - np.array(exact)).max() <= 0.5


@pytest.mark.parametrize("shape", [(1, 4), (4, 1)])
def test_bayer_needs_two_rows_and_columns(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 2x2 pixels"):
        converted(np.zeros(shape, np.uint8), "bayer_rggb8", "rgb8")


# YUV


@pytest.mark.parametrize("encoding", YUV)
def test_yuv_is_that_of_ffmpeg(encoding: str) -> None:
    """In patches of one colour, since FFmpeg blends the colours of neighbours."""
    rng = np.random.default_rng(5)
    luma = rng.integers(16, 236, (6, 4, 1)).repeat(4, 0).repeat(8, 1)
    chroma = rng.integers(60, 196, (6, 4, 2)).repeat(4, 0).repeat(4, 1).reshape(24, 32, 1)
    yuyv = np.concatenate([luma, chroma], axis=2).astype(np.uint8)
    expected = av.VideoFrame.from_ndarray(yuyv, format="yuyv422").to_ndarray(format="rgb24")
    pixels = yuyv if encoding in ("yuv422_yuy2", "yuyv") else yuyv[..., ::-1]
    ours = converted(pixels, encoding, "rgb8")
    inner = np.s_[1:3, 2:6]  # of each patch of 4x8
    for row, column in np.ndindex(6, 4):
        patch = np.s_[4 * row : 4 * row + 4, 8 * column : 8 * column + 8]
        assert np.abs(ours[patch][inner].astype(int) - expected[patch][inner]).max() <= 3
    np.testing.assert_array_equal(converted(pixels, encoding, "mono8"), yuyv[..., 0])


def test_yuv_needs_pairs_of_columns() -> None:
    with pytest.raises(ValueError, match="3 columns is not yuv422"):
        converted(np.zeros((2, 3, 2), np.uint8), "yuv422", "rgb8")


# Values


@pytest.mark.parametrize(
    ("values", "source", "target"),
    [
        ([[256]], "16UC1", "8UC1"),
        ([[-1]], "16SC1", "mono16"),
        ([[2**24 + 1]], "32SC1", "32FC1"),
        ([[0.5]], "32FC1", "8UC1"),
        ([[np.nan]], "32FC1", "32SC1"),
        ([[2.0**31]], "32FC1", "32SC1"),
        ([[1e300]], "64FC1", "32FC1"),
        ([[0.1]], "64FC1", "32FC1"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: Any, source: str, target: str) -> None:
    with pytest.raises(ValueError, match=f"of '{source}' are not values of '{target}'"):
        converted(np.array(values, ENCODINGS[source].dtype), source, target)


@pytest.mark.parametrize("values", [[[np.nan, np.inf]], [[-np.inf, -0.0]]])
def test_nan_and_infinities_are_preserved(values: Any) -> None:
    pixels = np.array(values, np.float32)
    np.testing.assert_array_equal(converted(pixels, "32FC1", "64FC1"), pixels)


# Pictures of arrays


@pytest.mark.parametrize("format", [ImageFormat.PNG, ImageFormat.TIFF])
@pytest.mark.parametrize("encoding", [e for e in ENCODINGS if ENCODINGS[e].pillow_mode])
def test_pictures_without_loss(encoding: str, format: ImageFormat) -> None:
    """What a format cannot hold is refused, the rest comes back as it was."""
    pixels = random_pixels(encoding)
    if (ENCODINGS[encoding].pillow_mode, format) == ("F", ImageFormat.PNG):
        with pytest.raises(RuntimeError, match="cannot be written as PNG"):
            CompressedImage.from_numpy(pixels, encoding, format)
        return
    picture = CompressedImage.from_numpy(pixels, encoding, format)
    np.testing.assert_array_equal(picture.to_numpy(encoding), pixels)


def test_a_picture_is_one_for_other_programs() -> None:
    pixels = random_pixels("bgr8")
    image = CompressedImage.from_numpy(pixels, "bgr8").to_image()
    assert image is not None
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (8, 6))
    np.testing.assert_array_equal(np.asarray(image), pixels[..., ::-1])


@pytest.mark.parametrize("values", [[[-1, 5]], [[0, 65536]]])
def test_a_png_does_not_clip(values: Any) -> None:
    with pytest.raises(RuntimeError, match="do not fit into the 16 bits of a PNG"):
        CompressedImage.from_numpy(np.array(values, np.int32), "32SC1")


def test_arrays_that_are_not_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="is not 'rgb8'"):
        CompressedImage.from_numpy(np.zeros((2, 2), np.uint8), "rgb8")
    with pytest.raises(ValueError, match="no mode for 'rgb16'"):
        CompressedImage.from_numpy(random_pixels("rgb16"), "rgb16")


@pytest.mark.parametrize("format", [ImageFormat.PNG, ImageFormat.H264, ImageFormat.RAW])
def test_pixels_of_undecodable_pictures_are_refused(format: ImageFormat) -> None:
    with pytest.raises(ValueError, match=r"cannot be decoded|not a format of single pictures"):
        CompressedImage(data=b"garbage", format=format).to_numpy()


def test_the_encoding_of_a_picture_is_found() -> None:
    depth = np.array([[1, 65535]], np.uint16)
    assert CompressedImage.from_numpy(depth, "mono16").to_numpy().tolist() == [[1, 65535]]
    grey = CompressedImage.from_numpy(np.array([[7]], np.uint8), "mono8", ImageFormat.TIFF)
    assert grey.to_numpy("rgb8").tolist() == [[[7, 7, 7]]]
