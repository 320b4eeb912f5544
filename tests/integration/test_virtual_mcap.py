"""Sequences as MCAP files over HTTP, read by the reference implementation of the format."""

import io
import json
import random
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader
from PIL import Image as PillowImage

from mosaicolabs import Message, MosaicoClient
from mosaicolabs.models.data import Point3d, Pose, Quaternion
from mosaicolabs.models.sensors import GPS, IMU, CompressedImage, Image, ImageFormat

START_NS = 1_700_000_000_000_000_000
STEP_NS = 5_000_000
ROWS = 20_000


class Remote(io.RawIOBase):
    """A file that is read by range requests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests = 0
        self._at = 0
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=60) as answer:
            self.size = int(answer.headers["content-length"])
            assert answer.headers["accept-ranges"] == "bytes"
            self.tag = answer.headers["etag"]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self.size, self._at + len(buffer))
        if end <= self._at:
            return 0
        data = part(self.url, f"bytes={self._at}-{end - 1}")
        self.requests += 1
        assert len(data) == end - self._at
        buffer[: len(data)] = data
        self._at = end
        return len(data)


def part(url: str, asked: str) -> bytes:
    request = urllib.request.Request(url, headers={"range": asked})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 206
        body: bytes = answer.read()
        return body


def whole(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=120) as answer:
        assert answer.status == 200
        body: bytes = answer.read()
        return body


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = tmp_path_factory.mktemp("mcap") / "store"
    grey = PillowImage.linear_gradient("L").resize((32, 16))
    with MosaicoClient.embedded(store) as client:
        with client.sequence_create("run-1", {"site": "north"}) as writer:
            imu = writer.topic_create("sensors/imu", {"rate": 200}, IMU)
            for row in range(ROWS):
                imu.push(
                    Message(
                        timestamp_ns=START_NS + row * STEP_NS,
                        data=IMU(
                            acceleration={"x": row / 7, "y": 0.0, "z": 9.81},
                            angular_velocity={"x": 0, "y": 0, "z": 0},
                        ),
                    )
                )
            jpeg = writer.topic_create("camera", {}, CompressedImage)
            raw = writer.topic_create("raw", {}, Image)
            gps = writer.topic_create("gps", {}, GPS)
            pose = writer.topic_create("pose", {}, Pose)
            for row in range(20):
                time_ns = START_NS + row * 1_000_000_000
                picture = CompressedImage.from_image(grey, ImageFormat.JPEG)
                jpeg.push(Message(timestamp_ns=time_ns, data=picture))
                raw.push(Message(timestamp_ns=time_ns, data=Image.from_pillow(grey)))
                gps.push(
                    Message(timestamp_ns=time_ns, data=GPS(position=Point3d(x=48.1, y=11.5, z=500.0 + row)))
                )
                place = Pose(position=Point3d(x=row, y=0, z=0), orientation=Quaternion(x=0, y=0, z=0, w=1))
                pose.push(Message(timestamp_ns=time_ns, data=place))
            writer.topic_create("empty", {}, IMU)
        yield client.view().url


def test_a_seeking_reader_finds_everything(served: str) -> None:
    remote = Remote(f"{served}sequences/run-1.mcap")
    reader = make_reader(io.BufferedReader(remote, 1 << 16))
    summary = reader.get_summary()
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == ROWS + 80
    assert summary.statistics.message_start_time == START_NS
    topics = {channel.topic: channel for channel in summary.channels.values()}
    assert set(topics) == {"/sensors/imu", "/camera", "/raw", "/gps", "/pose", "/empty"}
    names = {topic: summary.schemas[channel.schema_id].name for topic, channel in topics.items()}
    assert names["/camera"] == "foxglove.CompressedImage"
    assert names["/raw"] == "foxglove.RawImage"
    assert names["/gps"] == "foxglove.LocationFix"
    assert names["/pose"] == "foxglove.PoseInFrame"
    assert names["/sensors/imu"] == "mosaico.imu"
    assert json.loads(topics["/sensors/imu"].metadata["user_metadata"]) == {"rate": 200}

    times = [message.log_time for _, _, message in reader.iter_messages(["/sensors/imu"])]
    assert times == [START_NS + row * STEP_NS for row in range(ROWS)]
    few = [
        json.loads(message.data)["acceleration"]["x"]
        for _, _, message in reader.iter_messages(
            ["/sensors/imu"], starting_at=START_NS + 70 * STEP_NS, ending_before=START_NS + 72 * STEP_NS
        )
    ]
    assert few == [10.0, 71 / 7]


def test_known_classes_are_those_of_foxglove(served: str) -> None:
    import base64

    reader = make_reader(io.BytesIO(whole(f"{served}sequences/run-1.mcap?topics=camera,raw,gps,pose")))
    last: dict[str, Any] = {}
    for schema, channel, message in reader.iter_messages():
        assert schema is not None
        assert schema.encoding == "jsonschema"
        json.loads(schema.data)
        last[channel.topic] = json.loads(message.data)
    stamp = {"sec": (START_NS + 19_000_000_000) // 1_000_000_000, "nsec": 0}
    assert all(message["timestamp"] == stamp and message["frame_id"] == "" for message in last.values())
    picture = PillowImage.open(io.BytesIO(base64.b64decode(last["/camera"]["data"])))
    assert (picture.format, picture.size, last["/camera"]["format"]) == ("JPEG", (32, 16), "jpeg")
    raw = last["/raw"]
    assert (raw["width"], raw["height"], raw["step"], raw["encoding"]) == (32, 16, 32, "mono8")
    assert base64.b64decode(raw["data"]) == PillowImage.linear_gradient("L").resize((32, 16)).tobytes()
    assert (last["/gps"]["latitude"], last["/gps"]["altitude"]) == (48.1, 519.0)
    assert last["/pose"]["pose"]["position"] == {"x": 19.0, "y": 0.0, "z": 0.0}


def test_ranges_are_parts_of_one_file(served: str) -> None:
    url = f"{served}sequences/run-1.mcap"
    file = whole(url)
    assert whole(url) == file, "the bytes are stable"
    chance = random.Random(7)
    for _ in range(25):
        start = chance.randrange(len(file))
        end = min(len(file), start + chance.randrange(1, 300_000))
        assert part(url, f"bytes={start}-{end - 1}") == file[start:end]
    assert part(url, "bytes=-100") == file[-100:]
    assert part(url, f"bytes={len(file) - 5}-") == file[-5:]
    with pytest.raises(urllib.error.HTTPError, match="416"):
        part(url, f"bytes={len(file)}-")
    other = urllib.request.Request(url, headers={"range": "bytes=0-9", "if-range": '"other"'})
    with urllib.request.urlopen(other, timeout=60) as answer:
        assert answer.status == 200, "it is another file by now"
    kinds = {type(record).__name__ for record in StreamReader(io.BytesIO(file), validate_crcs=True).records}
    assert {"Header", "Schema", "Channel", "Message", "Statistics", "ChunkIndex", "Footer"} <= kinds


def test_a_window_has_its_rows(served: str) -> None:
    window = f"from={START_NS + STEP_NS}&to={START_NS + 4 * STEP_NS}"
    file = whole(f"{served}sequences/run-1.mcap?topics=/sensors/imu&{window}")
    reader = make_reader(io.BytesIO(file))
    times = [message.log_time for _, _, message in reader.iter_messages()]
    assert times == [START_NS + row * STEP_NS for row in (1, 2, 3)]
    nothing = make_reader(io.BytesIO(whole(f"{served}sequences/run-1.mcap?topics=empty")))
    assert list(nothing.iter_messages()) == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("run-1.mcap?topics=none", 404),
        ("run-2.mcap", 404),
        ("run-1.bag", 404),
        ("run-1.mcap?topic=camera", 400),
        ("run-1.mcap?from=x", 400),
        ("..%2Frun-1.mcap", 400),
    ],
)
def test_what_is_not_there_is_refused(served: str, path: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        whole(f"{served}sequences/{path}")
    assert refused.value.code == status
    assert "code" in json.loads(refused.value.read())["error"]


def test_a_recording_in_progress_is_a_file_so_far(tmp_path: Path) -> None:
    with Daemon(tmp_path / "store", "--http-port", "0") as daemon, daemon.connect() as client:
        with client.sequence_create("live") as writer:
            topic = writer.topic_create("pose", {}, Pose)
            place = Pose(position=Point3d(x=1, y=2, z=3), orientation=Quaternion(x=0, y=0, z=0, w=1))
            tags = []
            for count in (1, 2):
                topic.push(Message(timestamp_ns=count, data=place))
                topic.flush()
                remote = Remote(f"{daemon.monitor}/sequences/live.mcap")
                tags.append(remote.tag)
                reader = make_reader(io.BufferedReader(remote, 1 << 16))
                assert [message.log_time for _, _, message in reader.iter_messages()] == list(
                    range(1, count + 1)
                )
            assert tags[0] != tags[1], "it is another file after each row"
