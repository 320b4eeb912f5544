"""H.264 and HEVC streams: encoded from real frames, recorded, replayed, decoded, compared."""

import logging
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from harness.record import sequence_of
from PIL import Image as PillowImage

from mosaicolabs import CompressedImage, ImageFormat, Message, MosaicoClient
from mosaicolabs.models.sensors import StatefulDecodingSession
from mosaicolabs.models.sensors._pixels import Pixels

H264, HEVC = ImageFormat.H264, ImageFormat.HEVC
ENCODERS = {H264: ("libx264", "x264-params"), HEVC: ("libx265", "x265-params")}
KEY_FRAME_EVERY = 3
STEP_NS = 50_000_000

both_codecs = pytest.mark.parametrize("codec", [H264, HEVC])


@pytest.fixture(scope="module")
def cameras(shared: Path) -> list[list[Pixels]]:
    """Frames of both EuRoC cameras while the vehicle moves, at half the size."""
    folders = [shared / "data" / "euroc_micro" / "mav0" / f"cam{n}" / "data" for n in (0, 1)]
    files = [sorted(folder.glob("*.png"))[9:33:3] for folder in folders]
    return [[np.asarray(PillowImage.open(file).reduce(2)) for file in camera] for camera in files]


@pytest.fixture(scope="module")
def frames(cameras: list[list[Pixels]]) -> list[Pixels]:
    return cameras[0]


def encode(frames: Sequence[Pixels], codec: ImageFormat, b_frames: int = 0) -> list[bytes]:
    """One packet per frame, in the order of decoding."""
    name, parameters = ENCODERS[codec]
    encoder = av.CodecContext.create(name, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = frames[0].shape
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 20)
    encoder.gop_size = KEY_FRAME_EVERY
    logs = "" if codec is H264 else ":log-level=none"
    encoder.options = {"preset": "ultrafast", "crf": "8", parameters: f"bframes={b_frames}{logs}"}
    if b_frames == 0:
        encoder.options |= {"tune": "zerolatency"}
    packets = []
    for number, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(pixels, format="gray")
        frame.pts = number
        packets += encoder.encode(frame)
    return [bytes(packet) for packet in (*packets, *encoder.encode(None))]


def psnr(picture: PillowImage.Image, pixels: Pixels) -> float:
    """Likeness in dB; the frames have up to 40 among each other."""
    assert picture.mode == "RGB"
    error = np.mean((np.asarray(picture.convert("L"), float) - pixels) ** 2)
    return float(10 * np.log10(255**2 / error))


def assert_alike(pictures: Sequence[PillowImage.Image | None], frames: Sequence[Pixels]) -> None:
    """Each picture is its frame, and no other of the stream is more like it."""
    assert len(pictures) == len(frames)
    for picture, pixels in zip(pictures, frames, strict=True):
        assert picture is not None
        likeness = [psnr(picture, other) for other in frames]
        assert max(likeness) == psnr(picture, pixels) > 43


def test_two_streams_of_a_recording(either: MosaicoClient, name: str, cameras: list[list[Pixels]]) -> None:
    """Interleaved topics of both codecs; the session tells them apart by their names."""
    streams = {"/left": (H264, cameras[0]), "/right": (HEVC, cameras[1])}
    with either.sequence_create(name) as writer:
        for topic, (codec, frames) in streams.items():
            camera = writer.topic_create(topic, {}, CompressedImage)
            for number, packet in enumerate(encode(frames, codec)):
                data = CompressedImage(data=packet, format=codec)
                camera.push(Message(timestamp_ns=number * STEP_NS, data=data))

    pictures: dict[str, list[Any]] = {topic: [] for topic in streams}
    with StatefulDecodingSession() as session:
        for topic, message in sequence_of(either, name).get_data_streamer():
            image = message.get_data(CompressedImage)
            pictures[topic].append(image.to_image(session, context=topic))
    for topic, (_, frames) in streams.items():
        assert_alike(pictures[topic], frames)


@both_codecs
def test_both_forms_of_the_call(codec: ImageFormat, frames: list[Pixels]) -> None:
    packets = encode(frames, codec)
    session = StatefulDecodingSession()
    pictures = [
        session.decode(packet, codec, "camera")
        if number % 2
        else session.decode(img_bytes=packet, format=codec, context="camera")
        for number, packet in enumerate(packets)
    ]
    assert_alike(pictures, frames)


def test_missing_arguments_raise() -> None:
    session: Any = StatefulDecodingSession()
    for arguments in ({"format": H264, "context": "a"}, {"img_bytes": b"x", "context": "a"}):
        with pytest.raises(TypeError, match="needs the packet, its format and a context"):
            session.decode(**arguments)


def test_streams_of_one_codec_do_not_mix(cameras: list[list[Pixels]]) -> None:
    packets = [encode(frames, H264) for frames in cameras]
    session = StatefulDecodingSession()
    pictures: list[list[Any]] = [[], []]
    for pair in zip(*packets, strict=True):
        for number, packet in enumerate(pair):
            pictures[number].append(session.decode(packet, H264, str(number)))
    for number, frames in enumerate(cameras):
        assert_alike(pictures[number], frames)


@both_codecs
def test_frames_delayed_by_b_frames(codec: ImageFormat, frames: list[Pixels]) -> None:
    session = StatefulDecodingSession()
    decoded = [session.decode(packet, codec, "camera") for packet in encode(frames, codec, b_frames=2)]
    assert decoded[0] is None
    rest = session.flush("camera")
    assert rest
    assert_alike([*(picture for picture in decoded if picture), *rest], frames)
    assert session.flush("camera") == []


@both_codecs
def test_nothing_before_the_first_key_frame(
    codec: ImageFormat, frames: list[Pixels], caplog: pytest.LogCaptureFixture
) -> None:
    session = StatefulDecodingSession()
    decoded = [session.decode(packet, codec, "camera") for packet in encode(frames, codec)[1:]]
    assert decoded[: KEY_FRAME_EVERY - 1] == [None] * (KEY_FRAME_EVERY - 1)
    assert_alike(decoded[KEY_FRAME_EVERY - 1 :], frames[KEY_FRAME_EVERY:])


@both_codecs
@pytest.mark.parametrize("bad", [b"", b"\0", b"garbage" * 40, b"\0\0\0\1" + bytes(range(256))])
def test_bad_packets_give_none_and_do_no_harm(
    codec: ImageFormat, bad: bytes, frames: list[Pixels], caplog: pytest.LogCaptureFixture
) -> None:
    session = StatefulDecodingSession()
    good, more = encode(frames, codec)[:2]
    assert session.decode(bad, codec, "camera") is None
    first = session.decode(good, codec, "camera")
    assert session.decode(bad, codec, "camera") is None
    assert_alike([first, session.decode(more, codec, "camera")], frames[:2])


def test_undecodable_packets_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    session = StatefulDecodingSession()
    assert session.decode(b"", H264, "camera") is None
    assert session.decode(b"garbage" * 40, H264, "camera") is None
    assert session.decode(b"\x89PNG", ImageFormat.PNG, "camera") is None
    assert CompressedImage(data=b"\0", format=H264).to_image() is None
    texts = ["empty packet of 'camera'", "280 bytes of 'camera'", "'png' is not a video codec"]
    for text in (*texts, "pass a StatefulDecodingSession to to_image"):
        assert text in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_another_codec_restarts_the_stream(frames: list[Pixels]) -> None:
    session = StatefulDecodingSession()
    for codec in (H264, HEVC, H264):
        assert_alike([session.decode(encode(frames[:1], codec)[0], codec, "camera")], frames[:1])


def test_closed_session_has_no_state(frames: list[Pixels]) -> None:
    packets = encode(frames[:3], H264)
    session = StatefulDecodingSession()
    assert session.decode(packets[0], H264, "camera") is not None
    session.close()
    assert session.decode(packets[1], H264, "camera") is None


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install av$"):
        StatefulDecodingSession().decode(b"\0\0\0\1", H264, "camera")


def test_custom_codecs_are_accepted() -> None:
    class Echo:
        def decode(self, *, img_bytes: bytes, format: ImageFormat, **kwargs: Any) -> PillowImage.Image:
            assert (img_bytes, format, kwargs) == (b"x", ImageFormat.JPEG, {"quality": 3})
            return PillowImage.new("L", (1, 1))

    picture = CompressedImage(data=b"x", format=ImageFormat.JPEG).to_image(Echo(), quality=3)
    assert picture is not None
    assert picture.size == (1, 1)
