"""Packets of H.264 and HEVC streams in the form of Annex B: units between start codes."""

import re

from mosaicolabs.models.sensors._format import ImageFormat

VIDEO_FORMATS = frozenset({ImageFormat.H264, ImageFormat.HEVC})
"""Formats whose messages are packets of a stream."""

_START_CODE = re.compile(rb"\x00\x00\x01(?=(.))", re.DOTALL)


def is_key_frame(packet: bytes, format: ImageFormat) -> bool:
    """Whether a packet can be decoded without earlier ones.

    Example:
        >>> is_key_frame(bytes([0, 0, 0, 1, 0x65, 0]), ImageFormat.H264)
        True
        >>> is_key_frame(bytes([0, 0, 0, 1, 0x41, 0]), ImageFormat.H264)
        False
    """
    units = (match.group(1)[0] for match in _START_CODE.finditer(packet))
    if format is ImageFormat.H264:
        return any(unit & 0x1F == 5 for unit in units)
    return any(16 <= unit >> 1 & 0x3F <= 21 for unit in units)
