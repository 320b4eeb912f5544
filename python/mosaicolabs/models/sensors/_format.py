"""The names of image formats."""

from enum import Enum


class ImageFormat(str, Enum):  # str() of a member must stay 'ImageFormat.PNG'
    """What the bytes of an image are packed in."""

    RAW = "raw"
    PNG = "png"
    JPEG = "jpeg"
    TIFF = "tiff"
    H264 = "h264"
    HEVC = "hevc"
