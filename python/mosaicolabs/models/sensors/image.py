"""Images: raw pixels without loss; also exports the other image classes."""

import sys
from collections.abc import Sequence
from typing import ClassVar

import pyarrow as pa
from PIL import Image as PillowImage
from typing_extensions import Self

from mosaicolabs.enum import SerializationFormat
from mosaicolabs.logging_config import get_logger
from mosaicolabs.models._arrow import column
from mosaicolabs.models.header import Header
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.sensors import _png
from mosaicolabs.models.sensors._compressed import CompressedImage
from mosaicolabs.models.sensors._convert import convert
from mosaicolabs.models.sensors._format import ImageFormat
from mosaicolabs.models.sensors._notebook import png_of
from mosaicolabs.models.sensors._pixels import (
    ENCODINGS,
    Pixels,
    check_pixels,
    default_encoding,
    pillow_from_pixels,
    pixels_from_bytes,
    pixels_from_pillow,
)
from mosaicolabs.models.sensors._video import StatefulDecodingSession
from mosaicolabs.models.serializable import Serializable

__all__ = ["CompressedImage", "Image", "ImageFormat", "StatefulDecodingSession"]

_logger = get_logger(__name__)


class Image(Serializable, HeaderMixin):
    """The raw pixels of one camera frame, without loss.

    Attributes:
        data: The pixels row by row from the top, in the container named by `format`.
        format: `RAW`: the plain bytes. `PNG`: a container, not a picture: the same bytes as
            an 8-bit grey PNG of `stride` columns and `height` rows.
        width: px.
        height: px.
        stride: Bytes from one row to the next, padding included.
        encoding: Layout of a pixel, e.g. `mono8`, `rgb8`, `bayer_rggb8`, `16UC1`, `32FC1`, `yuv422`.
        is_bigendian: Byte order of pixels wider than a byte. None: that of the reading host.

    Source: encodings follow ROS `sensor_msgs/Image`.

    Example:
        >>> import numpy as np
        >>> frame = Image.from_numpy(np.zeros((480, 752), np.uint8), "mono8")
        >>> frame.stride, frame.to_numpy().shape
        (752, (480, 752))
    """

    __serialization_format__: ClassVar[SerializationFormat] = SerializationFormat.Image
    __supported_image_formats__: ClassVar[list[ImageFormat]] = [ImageFormat.PNG, ImageFormat.RAW]
    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("data", pa.binary(), "Pixels in the container named by format.", required=True),
            column("format", pa.string(), "Container: raw or png.", required=True),
            column("width", pa.int32(), "Width, px.", required=True),
            column("height", pa.int32(), "Height, px.", required=True),
            column("stride", pa.int32(), "Bytes from one row to the next.", required=True),
            column("encoding", pa.string(), "Layout of a pixel.", required=True),
            column("is_bigendian", pa.bool_(), "Byte order of wide pixels; null means that of the host."),
        ]
    )

    data: bytes
    format: ImageFormat
    width: int
    height: int
    stride: int
    encoding: str
    is_bigendian: bool | None = None

    @classmethod
    def from_linear_pixels(
        cls,
        data: Sequence[int] | bytes | bytearray | memoryview | Pixels,
        stride: int,
        height: int,
        width: int,
        encoding: str,
        header: Header | None = None,
        is_bigendian: bool | None = None,
        format: ImageFormat | None = ImageFormat.PNG,
    ) -> Self:
        """An image from its bytes, row by row.

        Bytes that are not `height` rows of `stride` are stored as `RAW` whatever the format, with a warning
        in the log; reading them as pixels may fail.

        Args:
            data: Byte values. `bytes` are used without a copy, anything else is copied once.
            stride: Bytes from one row to the next.
            height: px.
            width: px.
            encoding: Layout of a pixel. Not checked, so that unknown layouts can be recorded too.
            header: Time and frame.
            is_bigendian: Byte order of pixels wider than a byte.
            format: `PNG` or `RAW`; None means `PNG`.

        Raises:
            ValueError: Another format, or a byte value outside 0 to 255.
        """
        container = _container(ImageFormat.PNG if format is None else format)
        payload = data if isinstance(data, bytes) else bytes(data)
        if container is ImageFormat.PNG:
            layout = ENCODINGS.get(encoding)
            try:
                payload = _png.encode(payload, stride, height, layout.pixel_bytes if layout else 1)
            except ValueError as error:
                _logger.warning("image is stored raw instead of png: %s", error)
                container = ImageFormat.RAW
        return cls(
            data=payload,
            format=container,
            width=width,
            height=height,
            stride=stride,
            encoding=encoding,
            is_bigendian=is_bigendian,
            header=header,
        )

    @classmethod
    def from_numpy(
        cls,
        array: Pixels,
        encoding: str,
        header: Header | None = None,
        format: ImageFormat = ImageFormat.RAW,
    ) -> Self:
        """An image from an array of shape (height, width) or (height, width, channels); copied once.

        Args:
            array: Type and number of channels must be those of the encoding; any byte order and memory
                layout.
            encoding: Layout of a pixel.
            header: Time and frame.
            format: `RAW` or `PNG`.

        Raises:
            NotImplementedError: Unknown encoding.
            ValueError: The array does not match the encoding, or the format is neither RAW nor PNG.
        """
        layout = check_pixels(array, encoding)
        height, width = array.shape[:2]
        return cls.from_linear_pixels(
            array.astype(layout.dtype, copy=False).tobytes(),
            stride=width * layout.pixel_bytes,
            height=height,
            width=width,
            encoding=encoding,
            header=header,
            is_bigendian=None if layout.dtype.itemsize == 1 else sys.byteorder == "big",
            format=format,
        )

    @classmethod
    def from_pillow(
        cls,
        pil_image: PillowImage.Image,
        header: Header | None = None,
        target_encoding: str | None = None,
        output_format: ImageFormat | None = None,
    ) -> Self:
        """An image from an image of Pillow.

        Args:
            pil_image: The image.
            header: Time and frame.
            target_encoding: Encoding to convert to. None: the equivalent of the mode (`L` mono8, `RGB` rgb8,
                `RGBA` rgba8, `LA` 8UC2, `I;16` mono16, `I` 32SC1, `F` 32FC1), else rgb8, or rgba8
                for an image with transparency.
            output_format: `PNG` or `RAW`; None means `PNG`.

        Raises:
            NotImplementedError: Unknown encoding.
            ValueError: Pillow cannot convert to the encoding, or the format is neither PNG nor RAW.
        """
        encoding = default_encoding(pil_image) if target_encoding is None else target_encoding
        container = ImageFormat.PNG if output_format is None else output_format
        return cls.from_numpy(pixels_from_pillow(pil_image, encoding), encoding, header, container)

    def convert(self, encoding: str) -> Self:
        """The image in another encoding, with the same header and container.

        Colour encodings (`mono`, `rgb`, `bgr`, also with alpha, 8 or 16 bits) are converted into each other:
        255 of 8 bits is 65535 of 16, grey is the luma of BT.601, a new alpha is opaque, alpha without a
        counterpart is dropped. `bayer` (bilinear) and `yuv422` can be converted to them. The others have no
        colours: their values are kept, as between `mono16` and `16UC1`.

        Raises:
            NotImplementedError: Unknown encoding.
            ValueError: The conversion does not exist, the values do not fit, or the payload is damaged.

        Example:
            >>> import numpy as np
            >>> white = Image.from_numpy(np.full((2, 2), 255, np.uint8), "bayer_rggb8")
            >>> white.convert("rgb16").to_numpy()[0, 0].tolist()
            [65535, 65535, 65535]
        """
        pixels = convert(self.to_numpy(), self.encoding, encoding)
        return self.from_numpy(pixels, encoding, self.header, self.format)

    def to_linear_pixels(self) -> list[int]:
        """All bytes as a list of values, padding included; `to_numpy` is hundreds of times cheaper.

        A payload that cannot be unpacked is returned unchanged, with an error in the log.
        """
        try:
            return list(self._unpacked())
        except ValueError as error:
            _logger.error("returning the payload of an image unchanged: %s", error)
            return list(self.data)

    def to_numpy(self) -> Pixels:
        """The pixels as an array of shape (height, width) or (height, width, channels), in host byte order.

        The array may be a read-only view of `data`; copy it to change it.

        Raises:
            NotImplementedError: Unknown encoding.
            ValueError: The payload is damaged or too short.
        """
        return pixels_from_bytes(
            self._unpacked(),
            width=self.width,
            height=self.height,
            stride=self.stride,
            encoding=self.encoding,
            is_bigendian=self.is_bigendian,
        )

    def to_pillow(self) -> PillowImage.Image:
        """The pixels as an image of Pillow; blue-first encodings are converted to red-first.

        Raises:
            NotImplementedError: Unknown encoding.
            ValueError: Pillow has no mode for the encoding, or the payload is damaged or too short.
        """
        return pillow_from_pixels(self.to_numpy(), self.encoding)

    def _repr_png_(self) -> bytes | None:
        """The picture in notebooks; None if its encoding has no picture."""
        return png_of(self.to_pillow)

    def _unpacked(self) -> bytes:
        if self.format == ImageFormat.RAW:
            return self.data
        if self.format == ImageFormat.PNG:
            return _png.decode(self.data, self.stride, self.height)
        raise ValueError(
            f"the container of an Image is raw or png, not {self.format.value}; use CompressedImage"
        )


def _container(format: ImageFormat) -> ImageFormat:
    if format not in Image.__supported_image_formats__:
        raise ValueError(
            f"an Image is stored as raw or png, not as '{format}'; use CompressedImage for pictures"
        )
    return ImageFormat(format)
