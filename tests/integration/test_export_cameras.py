"""Pictures and video streams as files: pixels and packets are those that are stored."""

import csv
import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest
from harness.record import sequence_of
from harness.video import ENCODERS, encoded

from mosaicolabs import CompressedImage, Image, ImageFormat, Message, MosaicoClient, SequenceHandler, String
from mosaicolabs.export import ExportError
from mosaicolabs.models.sensors._pixels import Pixels

RANDOM = np.random.default_rng(7)
STEP_NS = 50_000_000
GREYS = [20 * number for number in range(10)]
PNG_ENCODINGS = ("mono8", "rgb8", "bgr8", "rgba8", "bgra8", "mono16", "16UC1", "8UC1", "8UC3", "bayer_rggb8")
ARRAY_ENCODINGS = ("32FC1", "rgb16", "16SC1", "32SC1", "32FC3", "64FC1", "yuv422")


def record(client: MosaicoClient, **topics: list[Any]) -> SequenceHandler:
    with client.sequence_create("cameras") as sequence:
        for name, items in topics.items():
            topic = sequence.topic_create(name, {}, type(items[0]))
            for number, item in enumerate(items):
                topic.push(Message(timestamp_ns=number * STEP_NS, recording_timestamp_ns=number, data=item))
    return sequence_of(client, "cameras")


def pixels(encoding: str) -> Pixels:
    from mosaicolabs.models.sensors._pixels import ENCODINGS

    layout = ENCODINGS[encoding]
    shape = (6, 8) if layout.channels == 1 else (6, 8, layout.channels)
    return RANDOM.integers(0, 200, shape).astype(layout.dtype)


def times(folder: Path) -> list[dict[str, str]]:
    with (folder / "times.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("container", [ImageFormat.RAW, ImageFormat.PNG])
@pytest.mark.parametrize("encoding", PNG_ENCODINGS)
def test_pixels_become_pictures(
    client: MosaicoClient, tmp_path: Path, encoding: str, container: ImageFormat
) -> None:
    frames = [pixels(encoding) for _ in range(3)]
    images = [Image.from_numpy(frame, encoding, format=container) for frame in frames]

    result = record(client, camera=images).export(tmp_path / "out", "images")

    rows = times(tmp_path / "out/camera")
    assert result.messages == 3
    assert [(row["timestamp_ns"], row["recording_timestamp_ns"]) for row in rows] == [
        ("0", "0"),
        ("50000000", "1"),
        ("100000000", "2"),
    ]
    assert {row["encoding"] for row in rows} == {encoding}
    for row, frame in zip(rows, frames, strict=True):
        assert row["file"].endswith(".png")
        with PIL.Image.open(tmp_path / "out/camera" / row["file"]) as picture:
            seen = np.asarray(picture)
        blue_first = encoding.startswith("bgr")
        order = [2, 1, 0, 3][: seen.shape[-1]] if seen.ndim == 3 else []
        np.testing.assert_array_equal(seen[..., order] if blue_first else seen, frame)


@pytest.mark.parametrize("encoding", ARRAY_ENCODINGS)
def test_values_that_no_png_has_become_arrays(client: MosaicoClient, tmp_path: Path, encoding: str) -> None:
    frame = pixels(encoding)

    record(client, depth=[Image.from_numpy(frame, encoding)]).export(tmp_path / "out", "images")

    (row,) = times(tmp_path / "out/depth")
    read = np.load(tmp_path / "out/depth" / row["file"], allow_pickle=False)
    assert read.dtype == frame.dtype
    np.testing.assert_array_equal(read, frame)


def test_unknown_encodings_become_bytes(client: MosaicoClient, tmp_path: Path) -> None:
    odd = Image.from_linear_pixels(b"abcd", 2, 2, 2, "nv12x", format=ImageFormat.RAW)
    short = Image(data=b"abc", format=ImageFormat.RAW, width=2, height=2, stride=2, encoding="mono8")

    record(client, odd=[odd, short]).export(tmp_path / "out", "images")

    files = [tmp_path / "out/odd" / row["file"] for row in times(tmp_path / "out/odd")]
    assert [file.read_bytes() for file in files] == [b"abcd", b"abc"]
    assert [file.suffix for file in files] == [".bin", ".bin"]


def test_compressed_pictures_are_kept_as_they_are(client: MosaicoClient, tmp_path: Path) -> None:
    picture = PIL.Image.fromarray(pixels("rgb8"))
    formats = [ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.TIFF]
    images = [CompressedImage.from_image(picture, format) for format in formats]

    result = record(client, camera=images, note=[String(data="x")]).export(tmp_path / "out", "images")

    files = [tmp_path / "out/camera" / row["file"] for row in times(tmp_path / "out/camera")]
    assert [file.suffix for file in files] == [".jpg", ".png", ".tiff"]
    assert [file.read_bytes() for file in files] == [image.data for image in images]
    assert [(skip.topic, skip.reason) for skip in result.skipped] == [
        ("/note", "its messages (string) are no pictures")
    ]


# -- video ---------------------------------------------------------------------------------------


def decoded(packets: list[bytes], format: ImageFormat) -> list[Pixels]:
    with av.open(io.BytesIO(b"".join(packets)), format=format.value) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


@pytest.mark.parametrize("format", list(ENCODERS))
def test_packets_are_copied_into_a_container(
    client: MosaicoClient, tmp_path: Path, format: ImageFormat
) -> None:
    packets = encoded(format, GREYS, key_frame_every=4)

    result = record(client, camera=packets).export(tmp_path / "out", "mp4")

    assert result.messages == 10
    with av.open(str(tmp_path / "out/camera/video.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == ("h264" if format is ImageFormat.H264 else "hevc")
        frames = list(container.decode(stream))
        seen = [frame.to_ndarray(format="gray") for frame in frames]
        assert [round((frame.time or 0.0) * 1e9) for frame in frames] == [n * STEP_NS for n in range(10)]
    for frame, expected in zip(seen, decoded([packet.data for packet in packets], format), strict=True):
        np.testing.assert_array_equal(frame, expected)
    with av.open(str(tmp_path / "out/camera/video.mp4")) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert keys == [number % 4 == 0 for number in range(10)]
    assert [row["timestamp_ns"] for row in times(tmp_path / "out/camera")] == [
        str(number * STEP_NS) for number in range(10)
    ]


def test_a_window_that_begins_between_key_frames(client: MosaicoClient, tmp_path: Path) -> None:
    handler = record(client, camera=encoded(ImageFormat.H264, GREYS, key_frame_every=4))

    handler.export(tmp_path / "out", "mp4", start_timestamp_ns=2 * STEP_NS)

    with av.open(str(tmp_path / "out/camera/video.mp4")) as container:
        assert [packet.is_keyframe for packet in container.demux(video=0) if packet.size].index(True) == 2
    with pytest.raises(ExportError, match="`/camera` has no key frame in the selection"):
        handler.export(tmp_path / "no", "mp4", start_timestamp_ns=STEP_NS, end_timestamp_ns=3 * STEP_NS)


def test_streams_whose_times_are_unknown(client: MosaicoClient, tmp_path: Path) -> None:
    handler = record(client, camera=encoded(ImageFormat.H264, GREYS, b_frames=2))

    with pytest.raises(ExportError, match="`/camera`: its stream reorders frames"):
        handler.export(tmp_path / "out", "mp4")
    assert not (tmp_path / "out").exists()


def test_pictures_and_video_are_told_apart(client: MosaicoClient, tmp_path: Path) -> None:
    video = encoded(ImageFormat.H264, GREYS[:2])
    still = CompressedImage.from_image(PIL.Image.fromarray(pixels("rgb8")), ImageFormat.JPEG)
    handler = record(client, video=video, still=[still], mixed=[still, *video], mixed_late=[*video, still])

    pictures = handler.export(tmp_path / "images", "images", topics=["/video", "/still"])
    film = handler.export(tmp_path / "film", "mp4", topics=["/video", "/still"])

    assert [(skip.topic, skip.reason) for skip in pictures.skipped] == [
        ("/video", "its messages are packets of a video stream; export it to mp4")
    ]
    assert [(skip.topic, skip.reason) for skip in film.skipped] == [
        ("/still", "its messages are pictures; export it to images")
    ]
    with pytest.raises(ExportError, match=r"`/mixed` has pictures and, at 50000000 ns, a packet"):
        handler.export(tmp_path / "a", "images", topics=["/mixed"])
    with pytest.raises(ExportError, match=r"`/mixed_late` changes its format at 100000000 ns to jpeg"):
        handler.export(tmp_path / "b", "mp4", topics=["/mixed_late"])
    with pytest.raises(ExportError, match="format `mp4` represents none of the topics: /still: its messages"):
        handler.export(tmp_path / "c", "mp4", topics=["/still"])


def test_a_camera_inside_of_another_one(client: MosaicoClient, tmp_path: Path) -> None:
    """As `image_raw` and `image_raw/compressed`."""
    small, large = ([Image.from_numpy(pixels("mono8"), "mono8")] * count for count in (2, 3))

    record(client, **{"left/small": small, "left": large}).export(tmp_path / "out", "images")

    for folder, count in ((tmp_path / "out/left/small", 2), (tmp_path / "out/left", 3)):
        assert {row["file"] for row in times(folder)} == {path.name for path in folder.glob("*.png")}
        assert len(times(folder)) == count
