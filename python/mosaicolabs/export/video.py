"""Writer of MP4 files: the packets of H.264 and HEVC topics, as they are stored."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mosaicolabs.helpers.optional_packages import import_optional
from mosaicolabs.models import Message
from mosaicolabs.models.sensors import CompressedImage, ImageFormat
from mosaicolabs.models.sensors._annex_b import VIDEO_FORMATS, is_key_frame

from ._cameras import TimesFile, format_of, plan_cameras
from ._errors import ExportError
from ._selection import SelectedTopic, Selection
from ._writer_api import Advance, ExportPlan

if TYPE_CHECKING:
    from av import Packet, VideoStream

_TICKS_PER_S = 1_000_000
"""Resolution of the times in the file; those in the CSV file are exact."""


class Mp4Writer:
    """Copies packets into a container; nothing is decoded or encoded. Needs PyAV."""

    name = "mp4"
    description = "MP4 files from H.264 and HEVC topics without encoding again, and CSV files of times"

    def plan(self, selection: Selection) -> ExportPlan:
        """One folder per topic of video packets.

        Raises:
            ExportError: PyAV is not installed.
        """
        try:
            import_optional("av", "format mp4")
        except ModuleNotFoundError as error:
            raise ExportError(str(error)) from error
        return plan_cameras(selection, video=True, other="images", path=str, write=_write)


def _write(selection: Selection, topic: SelectedTopic, folder: Path, advance: Advance) -> int:
    import av

    format, key_frame = _first_key_frame(selection, topic)
    folder.mkdir()
    count, last = 0, -1
    with (
        av.open(io.BytesIO(key_frame), format=format.value) as described,
        av.open(
            str(folder / "video.mp4"), "w", format="mp4", options={"movflags": "+faststart"}
        ) as container,
        TimesFile(folder / "times.csv", "frame") as times,
    ):
        source = described.streams.video[0]
        if source.codec_context.has_b_frames:
            raise ExportError(
                f"topic `{topic.name}`: its stream reorders frames (B-frames), whose times are not recorded; "
                "export the topic to parquet instead"
            )
        stream = cast("VideoStream", container.add_stream_from_template(source))
        stream.time_base = Fraction(1, _TICKS_PER_S)
        start_ns: int | None = None
        for message, data in _packets(selection, topic, format):
            start_ns = message.timestamp if start_ns is None else start_ns
            # Times of a stream increase, those of messages may be equal.
            last = max((message.timestamp - start_ns) * _TICKS_PER_S // 10**9, last + 1)
            container.mux(_packet(av, data, last, stream, is_key=is_key_frame(data, format)))
            times.add(count, message, format.value)
            count += 1
            advance(1, topic.message_bytes)
    return count


def _packet(
    av: Any, data: bytes, ticks: int, stream: "VideoStream", *, is_key: bool
) -> "Packet[VideoStream]":
    packet: Packet[VideoStream] = av.Packet(data)
    packet.stream = stream
    packet.time_base = Fraction(1, _TICKS_PER_S)
    packet.pts = packet.dts = ticks
    packet.is_keyframe = is_key
    return packet


def _first_key_frame(selection: Selection, topic: SelectedTopic) -> tuple[ImageFormat, bytes]:
    """Format and first key frame, which describes the stream.

    Raises:
        ExportError: There is none.
    """
    for _, message in selection.messages([topic]):
        format = format_of(message)
        if format not in VIDEO_FORMATS:
            raise _mixed(topic, message)
        data = _data(message)
        if is_key_frame(data, format):
            return format, data
    raise ExportError(f"topic `{topic.name}` has no key frame in the selection; choose a longer window")


def _packets(
    selection: Selection, topic: SelectedTopic, format: ImageFormat
) -> Iterator[tuple[Message, bytes]]:
    for _, message in selection.messages([topic]):
        if format_of(message) is not format:
            raise _mixed(topic, message)
        yield message, _data(message)


def _data(message: Message) -> bytes:
    return message.get_data(CompressedImage).data


def _mixed(topic: SelectedTopic, message: Message) -> ExportError:
    return ExportError(
        f"topic `{topic.name}` changes its format at {message.timestamp_ns} ns to "
        f"{format_of(message).value}; "
        "export a window of time with one format"
    )
