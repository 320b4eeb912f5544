"""Depth images as `compressed_depth_image_transport` packs them: a header of 12 bytes, then a PNG."""

import io
import struct

import numpy as np
import PIL.Image

from mosaicolabs.models.sensors import ImageFormat

# Format, and the two parameters of the quantization.
_HEADER = struct.Struct("<iff")


def unpack_depth(data: bytes, format: str) -> tuple[bytes, ImageFormat]:
    """The picture without the header, with the depths of the sensor.

    16-bit depths are the PNG as it is. 32-bit depths, which the transport quantizes, become a TIFF of metres;
    no depth is NaN.

    Args:
        data: Header and picture.
        format: Such as `16UC1; compressedDepth png`.

    Raises:
        ValueError: The picture is no PNG, or the encoding is another one.
    """
    encoding = format.partition(";")[0].strip()
    picture = bytes(data[_HEADER.size :])
    if not picture.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(
            f"format '{format}': the depths are not a PNG; only `compressedDepth png` can be read"
        )
    if encoding in ("16UC1", "mono16"):
        return picture, ImageFormat.PNG
    if encoding != "32FC1":
        raise ValueError(f"format '{format}': depths are 16UC1 or 32FC1, not `{encoding}`")
    _, factor, offset = _HEADER.unpack_from(data)
    with PIL.Image.open(io.BytesIO(picture)) as image:
        quantized = np.asarray(image).astype(np.float32)
    with np.errstate(divide="ignore"):
        depth = np.where(quantized == 0, np.nan, np.float32(factor) / (quantized - np.float32(offset)))
    file = io.BytesIO()
    PIL.Image.fromarray(depth.astype(np.float32)).save(file, "TIFF", compression="tiff_deflate")
    return file.getvalue(), ImageFormat.TIFF
