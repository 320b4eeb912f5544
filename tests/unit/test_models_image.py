"""Pixels survive every encoding, container, padding and byte order."""

import io
import logging
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from pydantic import ValidationError

from mosaicolabs.models import Header, Time
from mosaicolabs.models.sensors import CompressedImage, Image, ImageFormat
from mosaicolabs.models.sensors import _png as png
from mosaicolabs.models.sensors._pixels import ENCODINGS

HEIGHT, WIDTH = 5, 7
HEADER = Header(stamp=Time(sec=1, nanosec=2))
IN_PILLOW = sorted(name for name, encoding in ENCODINGS.items() if encoding.pillow_mode)
NOT_IN_PILLOW = sorted(set(ENCODINGS) - set(IN_PILLOW))

each_container = pytest.mark.parametrize("container", [ImageFormat.RAW, ImageFormat.PNG])


def pixels_of(encoding: str, seed: int = 0) -> Any:
    """Random pixels over the whole range of the encoding."""
    layout = ENCODINGS[encoding]
    shape = (HEIGHT, WIDTH) if layout.channels == 1 else (HEIGHT, WIDTH, layout.channels)
    random = np.random.default_rng(seed)
    if layout.dtype.kind == "f":
        # Values of 32 bits, so that Pillow's mode F keeps 64FC1 too.
        return random.normal(size=shape).astype(np.float32).astype(layout.dtype)
    limits = np.iinfo(layout.dtype)
    return random.integers(limits.min, limits.max, shape, layout.dtype, endpoint=True)


@each_container
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_numpy_round_trip(encoding: str, container: ImageFormat) -> None:
    pixels = pixels_of(encoding)
    image = Image.from_numpy(pixels, encoding, HEADER, container)
    back = image.to_numpy()
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, pixels)
    assert (image.width, image.height, image.encoding) == (WIDTH, HEIGHT, encoding)
    assert image.stride == WIDTH * ENCODINGS[encoding].pixel_bytes
    assert (image.format, image.header) == (container, HEADER)
    assert image.to_linear_pixels() == list(pixels.tobytes())


@each_container
@pytest.mark.parametrize("encoding", IN_PILLOW)
def test_pillow_round_trip(encoding: str, container: ImageFormat) -> None:
    pixels = pixels_of(encoding)
    picture = Image.from_numpy(pixels, encoding).to_pillow()
    assert picture.size == (WIDTH, HEIGHT)
    image = Image.from_pillow(picture, HEADER, encoding, container)
    np.testing.assert_array_equal(image.to_numpy(), pixels)
    assert (image.format, image.header) == (container, HEADER)


@pytest.mark.parametrize("encoding", NOT_IN_PILLOW)
def test_encodings_without_a_pillow_mode(encoding: str) -> None:
    with pytest.raises(ValueError, match=f"Pillow has no mode for '{encoding}'; use to_numpy"):
        Image.from_numpy(pixels_of(encoding), encoding).to_pillow()
    with pytest.raises(ValueError, match=f"Pillow has no mode for '{encoding}'; use from_numpy"):
        Image.from_pillow(PillowImage.new("L", (2, 2)), target_encoding=encoding)


@pytest.mark.parametrize("is_bigendian", [True, False])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_byte_order(encoding: str, is_bigendian: bool) -> None:
    pixels = pixels_of(encoding)
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if is_bigendian else "<"))
    image = Image.from_linear_pixels(
        stored.tobytes(),
        stride=WIDTH * ENCODINGS[encoding].pixel_bytes,
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        is_bigendian=is_bigendian,
    )
    back = image.to_numpy()
    assert back.dtype.isnative
    np.testing.assert_array_equal(back, pixels)
    np.testing.assert_array_equal(Image.from_numpy(stored, encoding).to_numpy(), pixels)


@each_container
@pytest.mark.parametrize("padding", [1, 3, 64])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_row_padding(encoding: str, padding: int, container: ImageFormat) -> None:
    pixels = pixels_of(encoding)
    row = WIDTH * ENCODINGS[encoding].pixel_bytes
    padded = np.full((HEIGHT, row + padding), 0xAB, np.uint8)
    padded[:, :row] = np.frombuffer(pixels.tobytes(), np.uint8).reshape(HEIGHT, row)
    image = Image.from_linear_pixels(padded, row + padding, HEIGHT, WIDTH, encoding, format=container)
    assert image.format is container
    np.testing.assert_array_equal(image.to_numpy(), pixels)
    assert image.to_linear_pixels() == padded.ravel().tolist()


def test_the_last_row_needs_no_padding() -> None:
    image = Image.from_linear_pixels(bytes([1, 2, 0, 3, 4]), 3, 2, 2, "mono8", format=ImageFormat.RAW)
    np.testing.assert_array_equal(image.to_numpy(), [[1, 2], [3, 4]])


@given(
    data=st.data(),
    encoding=st.sampled_from(sorted(ENCODINGS)),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    padding=st.integers(0, 9),
    is_bigendian=st.sampled_from([True, False, None]),
    container=st.sampled_from([ImageFormat.RAW, ImageFormat.PNG]),
)
def test_any_bytes_in_any_layout(
    data: Any,
    encoding: str,
    shape: tuple[int, int],
    padding: int,
    is_bigendian: bool | None,
    container: ImageFormat,
) -> None:
    """The bytes are kept, and mean what `struct` says they mean, pixel by pixel."""
    (height, width), layout = shape, ENCODINGS[encoding]
    row = width * layout.pixel_bytes
    stride = row + padding
    payload = data.draw(st.binary(min_size=stride * height, max_size=stride * height))
    image = Image.from_linear_pixels(
        payload, stride, height, width, encoding, is_bigendian=is_bigendian, format=container
    )
    assert bytes(image.to_linear_pixels()) == payload
    order = {True: ">", False: "<", None: "="}[is_bigendian]
    code = {"u1": "B", "u2": "H", "i2": "h", "i4": "i", "f4": "f", "f8": "d"}[layout.dtype.str[1:]]
    values = [
        struct.unpack_from(f"{order}{width * layout.channels}{code}", payload, stride * number)
        for number in range(height)
    ]
    pixels = image.to_numpy()
    assert pixels.dtype == layout.dtype
    np.testing.assert_array_equal(pixels.reshape(height, -1), np.array(values, layout.dtype))


@given(
    st.builds(
        Image,
        data=st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: b"\x89PNG\r\n\x1a\n" + tail),
        format=st.sampled_from(ImageFormat),
        width=st.integers(-2, 2**31 - 1) | st.integers(0, 4),
        height=st.integers(-2, 2**31 - 1) | st.integers(0, 4),
        stride=st.integers(-2, 2**31 - 1) | st.integers(0, 16),
        encoding=st.sampled_from(sorted(ENCODINGS)),
        is_bigendian=st.none() | st.booleans(),
    )
)
def test_nonsense_is_refused_and_nothing_else_happens(image: Image) -> None:
    try:
        pixels = image.to_numpy()
    except ValueError:
        return
    assert pixels.shape[:2] == (image.height, image.width)
    assert pixels.nbytes <= len(image.data)


@given(st.sampled_from(ImageFormat), st.binary(max_size=200))
def test_invalid_bytes_are_not_a_picture(format: ImageFormat, data: bytes) -> None:
    assert CompressedImage(data=data, format=format).to_image() is None


def test_colours_reach_pillow_in_order() -> None:
    for encoding, value in {
        "bgra8": (3, 2, 1, 9),
        "rgba8": (1, 2, 3, 9),
        "bgr8": (3, 2, 1),
        "rgb8": (1, 2, 3),
    }.items():
        picture = Image.from_numpy(np.array([[value]], np.uint8), encoding).to_pillow()
        assert picture.getpixel((0, 0)) == (1, 2, 3, 9)[: len(value)]


# Linear pixels


def linear(data: Any, **changes: Any) -> Image:
    shape: dict[str, Any] = {"stride": 2, "height": 2, "width": 2, "encoding": "mono8"}
    return Image.from_linear_pixels(data, **(shape | changes))


def test_list_of_values() -> None:
    image = linear([0, 1, 254, 255])
    assert image.format is ImageFormat.PNG
    assert image.to_linear_pixels() == [0, 1, 254, 255]
    with pytest.raises(ValueError, match="range"):
        linear([0, 1, 2, 256])


def test_raw_bytes_are_used_without_a_copy() -> None:
    data = bytes(4)
    assert linear(data, format=ImageFormat.RAW).data is data
    assert linear(memoryview(data), format=ImageFormat.RAW).data == data


def test_raw_pixels_are_a_view() -> None:
    image = linear(bytes(4), format=ImageFormat.RAW)
    assert np.shares_memory(image.to_numpy(), np.frombuffer(image.data, np.uint8))


def test_none_means_png() -> None:
    assert linear(bytes(4), format=None).format is ImageFormat.PNG


def test_formats_may_be_given_by_value() -> None:
    assert linear(bytes(4), format="png").format is ImageFormat.PNG


@pytest.mark.parametrize("container", [ImageFormat.JPEG, ImageFormat.TIFF, ImageFormat.H264, "bmp"])
def test_other_containers(container: Any) -> None:
    with pytest.raises(ValueError, match="stored as raw or png"):
        linear(bytes(4), format=container)


@pytest.mark.parametrize(
    "changes", [{"stride": 3}, {"height": 3}, {"height": 0}, {"stride": 0}, {"stride": -2}]
)
def test_impossible_shape_is_stored_raw(changes: dict[str, int], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="mosaicolabs"):
        image = linear(bytes(4), **changes)
    assert image.format is ImageFormat.RAW
    assert "stored raw instead of png" in caplog.text


def test_unknown_encoding_is_kept_and_refused_when_read() -> None:
    image = linear(bytes(4), encoding="nv21")
    assert image.to_linear_pixels() == [0] * 4
    for read in (image.to_numpy, image.to_pillow):
        with pytest.raises(NotImplementedError, match="'nv21' is unknown"):
            read()


def test_too_few_and_too_many_bytes() -> None:
    with pytest.raises(ValueError, match="needs 6 bytes, there are 4"):
        linear(bytes(4), height=3, format=ImageFormat.RAW).to_numpy()
    assert linear(bytes(9), format=ImageFormat.RAW).to_numpy().shape == (2, 2)


def test_stride_below_the_row_is_ignored() -> None:
    image = linear(bytes(range(12)), stride=2, encoding="rgb8", format=ImageFormat.RAW)
    np.testing.assert_array_equal(image.to_numpy(), np.arange(12).reshape(2, 2, 3))


@pytest.mark.parametrize("payload", [b"", b"no png", "cut", "flipped", "another shape"])
def test_damaged_png(payload: Any, caplog: pytest.LogCaptureFixture) -> None:
    image = Image.from_numpy(pixels_of("mono16"), "mono16", format=ImageFormat.PNG)
    middle = len(image.data) // 2
    damaged = {
        "cut": image.data[:middle],
        "flipped": image.data[:middle] + bytes([image.data[middle] ^ 0xFF]) + image.data[middle + 1 :],
        "another shape": png.encode(bytes(6), 3, 2, 1),
    }
    image.data = damaged.get(payload, payload)
    with pytest.raises(ValueError, match="PNG"):
        image.to_numpy()
    assert image.to_linear_pixels() == list(image.data)
    assert "payload of an image unchanged" in caplog.text


def test_picture_is_not_an_image(caplog: pytest.LogCaptureFixture) -> None:
    image = Image(data=b"\xff\xd8", format=ImageFormat.JPEG, width=1, height=1, stride=1, encoding="mono8")
    with pytest.raises(ValueError, match="use CompressedImage"):
        image.to_numpy()
    assert image.to_linear_pixels() == [0xFF, 0xD8]


def test_unknown_format() -> None:
    with pytest.raises(ValidationError, match="format"):
        CompressedImage(data=b"", format="gif")


# Arrays


@pytest.mark.parametrize(
    ("array", "encoding"),
    [
        (np.zeros((2, 2), np.uint8), "rgb8"),
        (np.zeros((2, 2, 4), np.uint8), "rgb8"),
        (np.zeros((2, 2, 2), np.uint8), "mono8"),
        (np.zeros(4, np.uint8), "mono8"),
        (np.zeros((2, 2), np.uint16), "mono8"),
        (np.zeros((2, 2), np.int16), "mono16"),
        (np.zeros((2, 2)), "32FC1"),
    ],
)
def test_arrays_that_do_not_fit(array: Any, encoding: str) -> None:
    with pytest.raises(ValueError, match=f"is not '{encoding}'"):
        Image.from_numpy(array, encoding)


def test_arrays_of_any_memory_layout() -> None:
    pixels = pixels_of("rgb8")
    for layout in (np.asfortranarray(pixels), pixels[::-1, ::-1, ::-1], pixels[::2, 1::2]):
        np.testing.assert_array_equal(Image.from_numpy(layout, "rgb8").to_numpy(), layout)
    np.testing.assert_array_equal(Image.from_numpy(pixels[..., :1], "mono8").to_numpy(), pixels[..., 0])


def test_byte_order_is_set_for_wide_pixels() -> None:
    assert Image.from_numpy(pixels_of("rgb8"), "rgb8").is_bigendian is None
    assert Image.from_numpy(pixels_of("mono16"), "mono16").is_bigendian is (sys.byteorder == "big")


# Pillow


@pytest.mark.parametrize(
    ("mode", "encoding"),
    [
        ("L", "mono8"),
        ("RGB", "rgb8"),
        ("RGBA", "rgba8"),
        ("LA", "8UC2"),
        ("I;16", "mono16"),
        ("I;16B", "mono16"),
        ("I", "32SC1"),
        ("F", "32FC1"),
        ("1", "rgb8"),
        ("P", "rgb8"),
        ("CMYK", "rgb8"),
        ("YCbCr", "rgb8"),
        ("PA", "rgba8"),
    ],
)
def test_default_encoding_of_a_mode(mode: str, encoding: str) -> None:
    image = Image.from_pillow(PillowImage.new(mode, (3, 2)))
    assert (image.encoding, image.format) == (encoding, ImageFormat.PNG)
    assert image.to_pillow().size == (3, 2)


def test_palette_images_keep_their_colours() -> None:
    rgb = PillowImage.fromarray(np.array([[(255, 0, 0), (0, 255, 0)]], np.uint8))
    palette = rgb.convert("P", palette=PillowImage.Palette.ADAPTIVE)
    assert Image.from_pillow(palette).to_linear_pixels() == [255, 0, 0, 0, 255, 0]


def test_sixteen_bits_from_other_modes() -> None:
    grey = PillowImage.fromarray(np.array([[0, 255]], np.uint8))
    big = PillowImage.frombytes("I;16B", (2, 1), b"\x01\x02\x03\x04")
    assert Image.from_pillow(grey, target_encoding="mono16").to_numpy().tolist() == [[0, 255]]
    assert Image.from_pillow(big).to_numpy().tolist() == [[0x102, 0x304]]
    with pytest.raises(ValueError, match="mode 'RGB' has no 16-bit grey values"):
        Image.from_pillow(PillowImage.new("RGB", (1, 1)), target_encoding="16UC1")


def test_values_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="values from 0 to 40000 do not fit into '16SC1'"):
        Image.from_pillow(PillowImage.fromarray(np.array([[0, 40000]], np.int32)), target_encoding="16SC1")


def test_a_mosaic_is_not_made_of_colours() -> None:
    with pytest.raises(ValueError, match="is not a 'bayer_rggb8' mosaic"):
        Image.from_pillow(PillowImage.new("RGB", (2, 2)), target_encoding="bayer_rggb8")


# The container


@given(st.data(), st.integers(1, 40), st.integers(1, 40), st.integers(1, 8))
def test_container_round_trip(data: Any, stride: int, height: int, pixel_bytes: int) -> None:
    pixels = data.draw(st.binary(min_size=stride * height, max_size=stride * height))
    payload = png.encode(pixels, stride, height, pixel_bytes)
    assert png.decode(payload, stride, height) == pixels


def test_container_is_a_grey_png_for_every_reader() -> None:
    pixels = pixels_of("rgb16")
    image = Image.from_numpy(pixels, "rgb16", format=ImageFormat.PNG)
    with PillowImage.open(io.BytesIO(image.data)) as grey:
        assert (grey.format, grey.mode, grey.size) == ("PNG", "L", (image.stride, HEIGHT))
        assert grey.tobytes() == pixels.tobytes()


def test_container_of_other_writers_is_read() -> None:
    pixels = pixels_of("rgb8")
    buffer = io.BytesIO()
    PillowImage.frombytes("L", (WIDTH * 3, HEIGHT), pixels.tobytes()).save(buffer, "PNG", optimize=True)
    image = Image(
        data=buffer.getvalue(),
        format=ImageFormat.PNG,
        width=WIDTH,
        height=HEIGHT,
        stride=WIDTH * 3,
        encoding="rgb8",
    )
    np.testing.assert_array_equal(image.to_numpy(), pixels)


def test_container_beyond_the_size_limit_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 4)
    assert png.decode(png.encode(bytes(100), 10, 10, 1), 10, 10) == bytes(100)


def test_container_with_a_false_size_allocates_no_memory() -> None:
    image = Image.from_numpy(np.zeros((2, 2), np.uint8), "mono8", format=ImageFormat.PNG)
    size = struct.pack(">II", 60_000, 60_000)
    head = b"IHDR" + size + image.data[24:29]
    image.data = image.data[:12] + head + struct.pack(">I", zlib.crc32(head)) + image.data[33:]
    image.stride = image.width = image.height = 60_000
    with pytest.raises(ValueError, match="cannot hold 60000 rows of 60000 bytes"):
        image.to_numpy()


@pytest.mark.parametrize("side", [1, 3, 1000])
def test_container_of_nothing_but_zeros(side: int) -> None:
    """The smallest that a container can be."""
    pixels = np.zeros((side, side), np.uint8)
    image = Image.from_numpy(pixels, "mono8", format=ImageFormat.PNG)
    np.testing.assert_array_equal(image.to_numpy(), pixels)


def test_container_compresses() -> None:
    smooth = np.linspace(0, 255, 480 * 752).astype(np.uint8).reshape(480, 752)
    assert len(Image.from_numpy(smooth, "mono8", format=ImageFormat.PNG).data) < smooth.nbytes / 50


@pytest.fixture(scope="module")
def euroc(shared: Path) -> list[Any]:
    files = sorted((shared / "data" / "euroc_micro" / "mav0" / "cam0" / "data").glob("*.png"))[::10]
    return [np.asarray(PillowImage.open(file)) for file in files]


def test_container_of_real_images_is_smaller_than_a_fast_png(euroc: list[Any]) -> None:
    """Pillow's fastest level; what both cost in time is measured by benches/pictures.py."""
    assert len(euroc) == 4
    for pixels in euroc:
        buffer = io.BytesIO()
        PillowImage.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        image = Image.from_numpy(pixels, "mono8", format=ImageFormat.PNG)
        assert len(image.data) < len(buffer.getvalue())
        np.testing.assert_array_equal(image.to_numpy(), pixels)


def test_images_that_mosaico_has_sent(shared: Path) -> None:
    with pa.ipc.open_file(shared / "contract" / "vectors" / "do_get_image.arrow") as file:
        rows = file.read_all().to_pylist()
    pixels = [Image(**row).to_numpy() for row in rows]
    assert [(array.shape, *np.unique(array)) for array in pixels] == [((4, 4, 3), n) for n in (0, 40, 80)]


# Compressed images


@pytest.mark.parametrize("codec", [ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.TIFF])
def test_compressed_round_trip(codec: ImageFormat) -> None:
    picture = PillowImage.new("RGB", (32, 16), (10, 200, 30))
    compressed = CompressedImage.from_image(picture, codec, HEADER)
    assert (compressed.format, compressed.header) == (codec, HEADER)
    back = compressed.to_image()
    assert back is not None
    assert back.size == (32, 16)
    assert np.abs(np.asarray(back).astype(int) - np.asarray(picture)).max() <= (
        2 if codec is ImageFormat.JPEG else 0
    )


def test_encoder_options_are_used() -> None:
    picture = PillowImage.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))
    sizes = [len(CompressedImage.from_image(picture, ImageFormat.JPEG, quality=q).data) for q in (10, 95)]
    assert sizes[0] < sizes[1] / 2


@pytest.mark.parametrize("codec", [ImageFormat.RAW, ImageFormat.H264, ImageFormat.HEVC, "gif"])
def test_formats_that_cannot_be_written(codec: Any) -> None:
    with pytest.raises(RuntimeError, match="cannot be compressed as"):
        CompressedImage.from_image(PillowImage.new("L", (1, 1)), codec)


def test_images_that_a_codec_cannot_store() -> None:
    with pytest.raises(RuntimeError, match="'RGBA' image cannot be written as JPEG"):
        CompressedImage.from_image(PillowImage.new("RGBA", (1, 1)), ImageFormat.JPEG)


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (b"", ImageFormat.PNG),
        (b"\x89PNG\r\n\x1a\nrubbish", ImageFormat.PNG),
        (b"\xff\xd8\xff\xe0", ImageFormat.JPEG),
        (b"\x00\x00\x00\x01", ImageFormat.H264),
        (b"\x00\x00\x00\x01", ImageFormat.HEVC),
        (b"raw", ImageFormat.RAW),
    ],
)
def test_undecodable_payloads(data: bytes, codec: ImageFormat, caplog: pytest.LogCaptureFixture) -> None:
    assert CompressedImage(data=data, format=codec).to_image() is None
    assert caplog.records


def test_truncated_picture_is_not_decoded(caplog: pytest.LogCaptureFixture) -> None:
    whole = CompressedImage.from_image(PillowImage.fromarray(pixels_of("rgb8")), ImageFormat.PNG)
    whole.data = whole.data[: len(whole.data) // 2]
    assert whole.to_image() is None
    assert "cannot be decoded" in caplog.text
