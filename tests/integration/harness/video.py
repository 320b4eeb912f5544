"""Video streams of grey frames."""

from fractions import Fraction
from typing import Any

import av
import numpy as np

from mosaicolabs import CompressedImage, ImageFormat

KEY_FRAME_EVERY = 7
ENCODERS = {ImageFormat.H264: ("libx264", "x264-params"), ImageFormat.HEVC: ("libx265", "x265-params")}


def encoded(
    format: ImageFormat, greys: list[int], *, b_frames: int = 0, key_frame_every: int = KEY_FRAME_EVERY
) -> list[CompressedImage]:
    """One packet per frame of 64 x 48 pixels of one grey value, in the order of decoding."""
    name, parameters = ENCODERS[format]
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.gop_size = Fraction(1, 20), key_frame_every
    logs = "" if format is ImageFormat.H264 else ":log-level=none"
    encoder.options = {"preset": "ultrafast", "crf": "4", parameters: f"bframes={b_frames}{logs}"}
    if b_frames == 0:
        encoder.options |= {"tune": "zerolatency"}
    packets: list[Any] = []
    for number, grey in enumerate(greys):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64), grey, np.uint8), format="gray")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [CompressedImage(data=bytes(packet), format=format) for packet in packets]
