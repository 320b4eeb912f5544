"""Frames of H.264 and HEVC streams, decoded by FFmpeg through PyAV (`pip install av`)."""

from typing import TYPE_CHECKING, NamedTuple, cast

from PIL import Image as PillowImage
from typing_extensions import overload

from mosaicolabs._closing import Closing
from mosaicolabs.helpers.optional_packages import import_optional
from mosaicolabs.logging_config import get_logger
from mosaicolabs.models.sensors._format import ImageFormat

if TYPE_CHECKING:
    from av import VideoCodecContext, VideoFrame

_logger = get_logger(__name__)

_CODECS = {ImageFormat.H264: "h264", ImageFormat.HEVC: "hevc"}


class _Decoder(NamedTuple):
    format: ImageFormat
    codec: "VideoCodecContext"


class StatefulDecodingSession(Closing):
    """Decodes the packets of video streams, which depend on the packets before them.

    Pass the packets of a stream in order, from a key frame on; a `context`, such as the topic, identifies
    the stream. Decoding releases the GIL. Use a session from one thread at a time. A `with` block closes it.

    Needs PyAV: `pip install av`.

    Example:
        >>> import av
        >>> encoder = av.CodecContext.create("libx264", "w")
        >>> encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuv420p", 1
        >>> encoder.options = {"tune": "zerolatency"}
        >>> packets = [p for _ in range(3) for p in encoder.encode(av.VideoFrame(64, 48, "yuv420p"))]
        >>> with StatefulDecodingSession() as session:
        ...     pictures = [session.decode(bytes(p), ImageFormat.H264, "camera") for p in packets]
        >>> [picture.size for picture in pictures]
        [(64, 48), (64, 48), (64, 48)]
    """

    def __init__(self) -> None:
        self._decoders: dict[str, _Decoder] = {}

    @overload
    def decode(self, img_data: bytes, format: ImageFormat, context: str) -> PillowImage.Image | None: ...
    @overload
    def decode(self, *, img_bytes: bytes, format: ImageFormat, context: str) -> PillowImage.Image | None: ...

    def decode(
        self,
        img_data: bytes | None = None,
        format: ImageFormat | None = None,
        context: str | None = None,
        *,
        img_bytes: bytes | None = None,
    ) -> PillowImage.Image | None:
        """The frame that the next packet of a stream completes, as `RGB`.

        None, usually with a line in the log: the packet is empty or damaged, the key frame that it depends
        on is missing, or the codec is not a video codec. In a stream with B-frames, the first packets
        complete no frame and each later one completes an earlier frame; `flush` returns the last ones.

        Args:
            img_data: One packet from the camera (Annex B, one access unit).
            format: `H264` or `HEVC`. A change restarts the stream.
            context: Name of the stream.
            img_bytes: The packet, instead of `img_data`.

        Raises:
            TypeError: An argument is missing.
            ModuleNotFoundError: PyAV is not installed.
        """
        data = img_bytes if img_data is None else img_data
        if data is None or format is None or context is None:
            raise TypeError("decode() needs the packet, its format and a context")
        if format not in _CODECS:
            _logger.error("'%s' is not a video codec; it needs no session", ImageFormat(format).value)
            return None
        if not data:  # to FFmpeg it would mean the end of the stream
            _logger.error("an empty packet of '%s' cannot be decoded", context)
            return None
        frames = self._frames(self._decoder(ImageFormat(format), context), data, context)
        return _picture(frames[0]) if frames else None

    def flush(self, context: str) -> list[PillowImage.Image]:
        """Ends a stream; returns the frames delayed by B-frames in order, usually none."""
        decoder = self._decoders.pop(context, None)
        if decoder is None:
            return []
        return [_picture(frame) for frame in self._frames(decoder, None, context)]

    def close(self) -> None:
        """Drops all streams."""
        self._decoders.clear()

    def _decoder(self, format: ImageFormat, context: str) -> _Decoder:
        decoder = self._decoders.get(context)
        if decoder is None or decoder.format is not format:
            decoder = self._decoders[context] = _Decoder(format, _open(format))
        return decoder

    def _frames(self, decoder: _Decoder, data: bytes | None, context: str) -> list["VideoFrame"]:
        import av

        try:
            frames = decoder.codec.decode(None if data is None else av.Packet(data))
        except av.FFmpegError as error:
            size = 0 if data is None else len(data)
            _logger.error("%d bytes of '%s' cannot be decoded: %s", size, context, error)
            return []
        whole = [frame for frame in frames if not frame.is_corrupt]
        if len(whole) < len(frames):
            _logger.error("a packet of '%s' gives a damaged frame", context)
        return whole


def _picture(frame: "VideoFrame") -> PillowImage.Image:
    return PillowImage.fromarray(frame.to_ndarray(format="rgb24"))


def _open(format: ImageFormat) -> "VideoCodecContext":
    av = import_optional("av", f"decoding {format.value}")
    codec = cast("VideoCodecContext", av.CodecContext.create(_CODECS[format], "r"))
    # Threads of FFmpeg delay frames, and deadlock on the GIL if they log while the decoder is freed. Use a
    # session per thread to decode streams in parallel.
    codec.thread_count = 1
    codec.options = {"err_detect": "explode"}
    return codec
