"""Pictures, and packets of video streams, compressed by a codec."""

import io
import os
from tempfile import TemporaryFile
from typing import IO, Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa
from PIL import Image as PillowImage
from typing_extensions import Self

from mosaicolabs.enum import SerializationFormat
from mosaicolabs.logging_config import get_logger
from mosaicolabs.models._arrow import column
from mosaicolabs.models.header import Header
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.sensors._format import ImageFormat
from mosaicolabs.models.sensors._notebook import png_of
from mosaicolabs.models.sensors._pixels import (
    Pixels,
    check_pixels,
    default_encoding,
    pillow_from_pixels,
    pixels_from_pillow,
)
from mosaicolabs.models.serializable import Serializable

_logger = get_logger(__name__)

_PILLOW_CODECS = {ImageFormat.PNG: "PNG", ImageFormat.JPEG: "JPEG", ImageFormat.TIFF: "TIFF"}


class Decoder(Protocol):
    """Interface of the codec of `CompressedImage.to_image`."""

    def decode(self, *args: Any, **kwargs: Any) -> PillowImage.Image | None:
        """The picture, or None; called with `img_bytes`, `format` and the further arguments of `to_image`."""
        ...


class CompressedImage(Serializable, HeaderMixin):
    """A picture, or a packet of a video stream, as encoded by its codec.

    Attributes:
        data: The encoded bytes.
        format: The codec.

    Example:
        >>> picture = CompressedImage.from_image(PillowImage.new("RGB", (64, 48)), ImageFormat.JPEG)
        >>> picture.to_image().size
        (64, 48)
    """

    __serialization_format__: ClassVar[SerializationFormat] = SerializationFormat.Image
    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("data", pa.binary(), "Encoded bytes.", required=True),
            column("format", pa.string(), "Codec.", required=True),
        ]
    )

    data: bytes
    format: ImageFormat

    @classmethod
    def from_image(
        cls,
        image: PillowImage.Image,
        format: ImageFormat = ImageFormat.PNG,
        header: Header | None = None,
        **kwargs: Any,
    ) -> Self:
        """Compresses an image of Pillow, in the calling thread with the GIL released.

        `TopicWriter.submit` runs it in other threads.

        Args:
            image: The image.
            format: `PNG`, `JPEG` or `TIFF`.
            header: Time and frame.
            kwargs: Arguments of Pillow's encoder, e.g. `quality=90`.

        Raises:
            RuntimeError: Pillow cannot write the format, or cannot write this image in it.
        """
        codec = _PILLOW_CODECS.get(format)
        if codec is None:
            raise RuntimeError(f"pictures cannot be compressed as '{format}'; use png, jpeg or tiff")
        if codec == "PNG" and image.mode == "I":
            image = _as_16_bit(image)
        with _memory_file() as file:
            try:
                image.save(file, format=codec, **kwargs)
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise RuntimeError(f"a '{image.mode}' image cannot be written as {codec}: {error}") from error
            file.seek(0)
            return cls(data=file.read(), format=ImageFormat(format), header=header)

    @classmethod
    def from_numpy(
        cls,
        array: Pixels,
        encoding: str,
        format: ImageFormat = ImageFormat.PNG,
        header: Header | None = None,
        **kwargs: Any,
    ) -> Self:
        """Compresses an array of shape (height, width) or (height, width, channels), see `from_image`.

        Args:
            array: Type and number of channels must be those of the encoding.
            encoding: Layout of a pixel, e.g. `mono8`, `rgb8`.
            format: `PNG`, `JPEG` or `TIFF`.
            header: Time and frame.
            kwargs: Arguments of Pillow's encoder, e.g. `quality=90`.

        Raises:
            NotImplementedError: Unknown encoding.
            ValueError: The array does not match the encoding, or Pillow has no mode for it.
            RuntimeError: Pillow cannot write the format, or cannot write this encoding in it.
        """
        check_pixels(array, encoding)
        return cls.from_image(pillow_from_pixels(array, encoding), format, header, **kwargs)

    def to_image(self, codec: Decoder | None = None, **kwargs: Any) -> PillowImage.Image | None:
        """The decoded picture; None, with a line in the log, if it cannot be decoded.

        Args:
            codec: Decodes the bytes instead of Pillow. Packets of a video stream (`H264`, `HEVC`)
                depend on earlier ones and need a `StatefulDecodingSession`.
            kwargs: Further arguments of `codec.decode`, e.g. `context="camera"`.
        """
        if codec is not None:
            return codec.decode(img_bytes=self.data, format=self.format, **kwargs)
        if self.format in (ImageFormat.H264, ImageFormat.HEVC):
            _logger.error(
                "a packet of '%s' is not a single picture; pass a StatefulDecodingSession to to_image",
                self.format.value,
            )
            return None
        try:
            return self._decoded()
        except ValueError as error:
            _logger.error("%s", error)
            return None

    def to_numpy(self, encoding: str | None = None) -> Pixels:
        """The pixels as an array of shape (height, width) or (height, width, channels), decoded by Pillow.

        Args:
            encoding: Encoding to convert to. None: a lossless one, as chosen by `Image.from_pillow`.

        Raises:
            NotImplementedError: Unknown encoding.
            ValueError: The picture cannot be decoded or converted.
        """
        picture = self._decoded()
        return pixels_from_pillow(picture, encoding or default_encoding(picture))

    def _repr_png_(self) -> bytes | None:
        """The picture in notebooks; None for a frame of a video, which is no picture by itself."""
        return png_of(self._decoded)

    def _decoded(self) -> PillowImage.Image:
        if self.format not in _PILLOW_CODECS:
            raise ValueError(f"'{self.format.value}' is not a format of single pictures")
        try:
            image = PillowImage.open(io.BytesIO(self.data), formats=list(_PILLOW_CODECS.values()))
            image.load()
        except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
            size = len(self.data)
            raise ValueError(f"{size} bytes of '{self.format.value}' cannot be decoded: {error}") from error
        return image


def _as_16_bit(image: PillowImage.Image) -> PillowImage.Image:
    """The 16-bit image of 32-bit values; Pillow would clip them silently."""
    pixels = np.asarray(image)
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 0xFFFF:
        raise RuntimeError(f"values from {low} to {high} do not fit into the 16 bits of a PNG; use tiff")
    return PillowImage.fromarray(pixels.astype(np.uint16))


def _memory_file() -> IO[bytes]:
    """A file in memory. Pillow releases the GIL for JPEG only if the file has a descriptor."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("picture"), "w+b")
    return TemporaryFile()
