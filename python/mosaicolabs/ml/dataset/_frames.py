"""Frames of video streams: exactly those that are asked for, decoded from the key frame before them."""

from collections.abc import Collection
from typing import Any

import numpy.typing as npt

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.handlers import TopicHandler
from mosaicolabs.models import Message
from mosaicolabs.models.sensors import CompressedImage, ImageFormat, StatefulDecodingSession
from mosaicolabs.models.sensors._annex_b import VIDEO_FORMATS, is_key_frame

from ._pictures import pixels_of
from .signal import Signal

_MARGIN_NS = 2 * 10**9
"""How far before a frame its key frame is searched at first."""


def is_packet(message: Message) -> bool:
    """Whether the message is a packet of a video stream."""
    return isinstance(message.data, CompressedImage) and message.data.format in VIDEO_FORMATS


def frames(
    topic: TopicHandler, signal: Signal, start: int, end: int, before: int, wanted: Collection[int]
) -> dict[int, npt.NDArray[Any]]:
    """The pixels of frames by their number.

    Args:
        topic: The topic of packets.
        signal: Size of the pictures.
        start: Time of the first frame, ns.
        end: First time past the last one, ns.
        before: Number of the first message at `start` or later.
        wanted: Numbers of the frames.

    Raises:
        InvalidInputError: There is no key frame before them, or a frame cannot be decoded.
    """
    found: dict[int, npt.NDArray[Any]] = {}
    number = before
    with (
        StatefulDecodingSession() as session,
        topic.get_data_streamer(_key_frame_before(topic, start), end) as streamer,
    ):
        for message in streamer:
            data = message.get_data(CompressedImage)
            shown = session.decode(data.data, ImageFormat(data.format), topic.name)
            if message.timestamp < start:
                continue
            if number in wanted:
                if shown is None:
                    raise InvalidInputError(
                        f"the packet of {topic.name} at {message.timestamp_ns} ns gives no frame: it is "
                        "damaged, or the stream reorders frames (B-frames)"
                    )
                found[number] = pixels_of(shown, signal)
            number += 1
    return found


def _key_frame_before(topic: TopicHandler, time_ns: int) -> int:
    """Time of the last key frame at or before a time, ns."""
    low, margin = topic.timestamp_ns_min, _MARGIN_NS
    while True:
        start = time_ns - margin
        last = None
        with topic.get_data_streamer(start, time_ns + 1) as streamer:
            for message in streamer:
                data = message.get_data(CompressedImage)
                if is_key_frame(data.data, ImageFormat(data.format)):
                    last = message.timestamp
        if last is not None:
            return last
        if low is None or start <= low:
            raise InvalidInputError(
                f"{topic.name} has no key frame before {time_ns} ns; choose later samples"
            )
        margin *= 4
