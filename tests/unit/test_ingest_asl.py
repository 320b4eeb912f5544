"""The ASL/EuRoC reader: exact values and times; malformed input is refused."""

import math
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs.ingest import FailedMessage, Reader, Recording, RecordingError
from mosaicolabs.ingest._asl_csv import BadRow, read_numbers
from mosaicolabs.ingest.asl import AslReader
from mosaicolabs.models.data import MotionState, Point3d, Pose, Vector3d
from mosaicolabs.models.sensors import IMU, Image

IMU_HEADER = "#timestamp [ns],wx,wy,wz,ax,ay,az\n"
IMU_ROW = "100,1,2,3,4,5,6\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a text file below `mav0/`; returns the folder to ingest."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / "mav0" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return tmp_path

    return write_file


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63) + 1, 2**63 - 1),
            st.lists(st.floats(allow_nan=False), min_size=6, max_size=6),
        ),
        max_size=20,
    )
)
def test_rows_are_exact(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, list[float]]]
) -> None:
    rows.sort(key=lambda row: row[0])
    csv = tmp_path_factory.mktemp("rows") / "data.csv"
    lines = [",".join([str(time), *map(repr, values)]) for time, values in rows]
    csv.write_text(IMU_HEADER + "".join(line + "\n" for line in lines))

    read = [
        (row[0].timestamp_ns, [bits(value) for value in row[1]])
        for row in read_numbers(csv, 7)
        if not isinstance(row, BadRow)
    ]

    assert read == [(time, [bits(value) for value in values]) for time, values in rows]


def test_nan_is_a_number(write: Callable[[str, str], Path]) -> None:
    folder = write("imu0/data.csv", IMU_HEADER + "100,nan,inf,-inf,4,5,6\n")

    ((_, message),) = AslReader().open(folder).messages()

    rate = message.get_data(IMU).angular_velocity
    assert rate is not None
    assert math.isnan(rate.x)
    assert (rate.y, rate.z) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("200,1,2,3,4,5\n", "6 columns, expected 7"),
        ("200,1,2,3,4,5,6,7\n", "8 columns, expected 7"),
        ("200,1,2,x,4,5,6\n", "`x` is not a number"),
        ("200,1,2,,4,5,6\n", "`` is not a number"),
        ("200,1_0,2,3,4,5,6\n", "`1_0` is not a number"),
        ("200,\u0661,2,3,4,5,6\n", "is not a number"),
        ("2e2,1,2,3,4,5,6\n", "time `2e2` is not a whole number"),
        ("1_000,1,2,3,4,5,6\n", "time `1_000` is not a whole number"),
        (f"{2**63},1,2,3,4,5,6\n", "does not fit into 64 bits"),
        ("9" * 5000 + ",1,2,3,4,5,6\n", "does not fit into 64 bits"),
        ("200,1,2,3,4,5,6\x00\n", "is not a number"),
    ],
)
def test_malformed_row_fails_with_its_place_and_no_other(
    write: Callable[[str, str], Path], line: str, reason: str
) -> None:
    folder = write("imu0/data.csv", IMU_HEADER + IMU_ROW + line + IMU_ROW)

    recording = AslReader().open(folder)
    (_, before), (_, bad), (_, after) = recording.messages()

    assert recording.topics[0].messages == 3
    assert isinstance(bad, FailedMessage)
    assert f"{folder / 'mav0/imu0/data.csv'}:3: " in bad.reason
    assert reason in bad.reason
    assert not isinstance(before, FailedMessage)
    assert not isinstance(after, FailedMessage)


def test_rows_in_disorder_are_read_and_reported(write: Callable[[str, str], Path]) -> None:
    folder = write("imu0/data.csv", IMU_HEADER + IMU_ROW + "99,1,2,3,4,5,6\n98,1,2,3,4,5,6\n")

    recording = AslReader().open(folder)

    assert [message.timestamp_ns for _, message in recording.messages()] == [100, 99, 98]  # type: ignore[union-attr]
    assert "2 rows are earlier than a row before them" in recording.skipped[0].reason


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_mark_is_no_text(encoding: str, write: Callable[[str, str], Path]) -> None:
    folder = write("imu0/data.csv", "")
    (folder / "mav0/imu0/data.csv").write_bytes((IMU_HEADER + IMU_ROW).encode(encoding))

    ((_, message),) = AslReader().open(folder).messages()

    assert message.timestamp_ns == 100  # type: ignore[union-attr]


def test_sensor_without_a_readable_row_is_skipped(write: Callable[[str, str], Path]) -> None:
    write("imu0/data.csv", IMU_HEADER + IMU_ROW)
    folder = write("imu1/data.csv", "#t,wx,wy,wz,ax,ay,az,temp\n" + "100,1,2,3,4,5,6,21.5\n" * 2)

    recording = AslReader().open(folder)

    assert [topic.name for topic in recording.topics] == ["/imu0"]
    ((source, count, reason),) = [(s.source, s.messages, s.reason) for s in recording.skipped]
    assert (source, count) == ("imu1", 2)
    assert "8 columns, expected 7" in reason


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_is_a_row_or_an_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    csv = tmp_path_factory.mktemp("text") / "data.csv"
    csv.write_text(text, encoding="utf-8", newline="")

    rows = list(read_numbers(csv, 2))

    assert all(row.problem.startswith(f"{csv}:") for row in rows if isinstance(row, BadRow))
    lines = csv.read_text(encoding="utf-8-sig").split("\n")
    assert len(rows) == sum(1 for line in lines if line.strip() and not line.startswith("#"))


def test_binary_file_is_refused(write: Callable[[str, str], Path]) -> None:
    folder = write("imu0/data.csv", IMU_HEADER)
    (folder / "mav0/imu0/data.csv").write_bytes(b"#time\n\xff\xfe\x00")

    with pytest.raises(RecordingError, match=r"imu0: .*data\.csv:2: 1 columns, expected 7"):
        AslReader().open(folder)


def test_folder_itself_or_its_parent(write: Callable[[str, str], Path]) -> None:
    folder = write("imu0/data.csv", IMU_HEADER + IMU_ROW)
    reader: Reader = AslReader()

    for path in (folder, folder / "mav0"):
        assert reader.sniff(path)
        assert [topic.name for topic in reader.open(path).topics] == ["/imu0"]
    assert not reader.sniff(folder / "mav0/imu0")
    assert not reader.sniff(folder / "mav0/imu0/data.csv")


def test_imu_takes_rates_first_then_forces(write: Callable[[str, str], Path]) -> None:
    folder = write("imu0/data.csv", IMU_HEADER + IMU_ROW)

    ((topic, message),) = AslReader().open(folder).messages()

    imu = message.get_data(IMU)
    assert (topic, message.timestamp_ns) == ("/imu0", 100)
    assert imu.angular_velocity is not None
    assert (imu.angular_velocity.x, imu.angular_velocity.y, imu.angular_velocity.z) == (1.0, 2.0, 3.0)
    assert (imu.acceleration.x, imu.acceleration.y, imu.acceleration.z) == (4.0, 5.0, 6.0)


def test_ground_truth_trackers_and_unknown_folders(write: Callable[[str, str], Path]) -> None:
    write("leica0/data.csv", "#t,x,y,z\n30,1,2,3\n")
    write("vicon0/data.csv", "#t,p,q\n20,1,2,3,0.5,0.1,0.2,0.3\n")
    write("pointcloud0/data.ply", "ply\n")
    folder = write(
        "state_groundtruth_estimate0/data.csv",
        "#t,p,q,v,bw,ba\n10," + ",".join(map(str, range(1, 17))) + "\n",
    )

    recording = AslReader().open(folder)
    messages = {topic: message.data for topic, message in recording.messages()}

    state = messages["/state_groundtruth_estimate0/state"]
    assert isinstance(state, MotionState)
    assert state.pose.position == Point3d(x=1, y=2, z=3)
    turned = state.pose.orientation
    assert (turned.w, turned.x, turned.y, turned.z) == (4, 5, 6, 7)
    assert state.velocity.linear == Vector3d(x=8, y=9, z=10)
    bias = messages["/state_groundtruth_estimate0/gyroscope_bias"]
    assert isinstance(bias, Vector3d)
    assert (bias.x, bias.y, bias.z) == (11, 12, 13)
    pose = messages["/vicon0"]
    assert isinstance(pose, Pose)
    assert (pose.orientation.w, pose.orientation.x) == (0.5, 0.1)
    assert isinstance(messages["/leica0"], Point3d)
    assert list(messages)[-1] == "/leica0"
    assert [skip.source for skip in recording.skipped] == ["pointcloud0"]


def camera(folder: Path, pixels: npt.NDArray[Any], name: str = "100.png", listed: str | None = None) -> Path:
    data = folder / "mav0/cam0/data"
    data.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(data / name)
    (data.parent / "data.csv").write_text(f"#timestamp [ns],filename\n100,{listed or name}\n")
    return folder


@pytest.mark.parametrize(
    ("shape", "dtype", "encoding"),
    [((5, 7), np.uint8, "mono8"), ((5, 7), np.uint16, "mono16"), ((5, 7, 3), np.uint8, "rgb8")],
)
def test_frames_keep_their_pixels(tmp_path: Path, shape: tuple[int, ...], dtype: type, encoding: str) -> None:
    random = np.random.default_rng(1)
    pixels: npt.NDArray[Any] = random.integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    folder = camera(tmp_path, pixels)

    ((topic, message),) = AslReader().open(folder).messages()

    image = message.get_data(Image)
    assert (topic, image.encoding, image.width, image.height) == ("/cam0", encoding, 7, 5)
    assert bytes(image.to_linear_pixels()) == pixels.tobytes()


@pytest.mark.parametrize(
    ("listed", "reason"),
    [("200.png", "is missing"), ("../imu0/data.csv", "is not the name of a file")],
)
def test_listed_frame_must_lie_in_the_folder(tmp_path: Path, listed: str, reason: str) -> None:
    folder = camera(tmp_path, np.zeros((2, 2), np.uint8), listed=listed)

    with pytest.raises(RecordingError, match=rf"cam0: .*cam0/data\.csv:2: .*{reason}"):
        AslReader().open(folder)


def frames(folder: Path, count: int) -> Path:
    """A camera folder with `count` frames, at 100, 101 ... ns."""
    random = np.random.default_rng(1)
    for i in range(count):
        camera(folder, random.integers(0, 255, (64, 64)).astype(np.uint8), f"{100 + i}.png")
    lines = [f"{100 + i},{100 + i}.png" for i in range(count)]
    (folder / "mav0/cam0/data.csv").write_text("#timestamp [ns],filename\n" + "\n".join(lines) + "\n")
    return folder


def outcome(recording: Recording) -> list[int | str]:
    return [m.reason if isinstance(m, FailedMessage) else m.timestamp_ns for _, m in recording.messages()]


def test_bad_frames_fail_and_no_other(tmp_path: Path) -> None:
    folder = frames(tmp_path, 5)
    data = folder / "mav0/cam0/data"
    (data / "101.png").unlink()
    (data / "102.png").write_bytes(b"no image")
    (data / "103.png").write_bytes((data / "103.png").read_bytes()[:-2000])

    recording = AslReader().open(folder)
    first, missing, unreadable, cut, last = outcome(recording)

    assert recording.topics[0].messages == 5
    assert (first, last) == (100, 104)
    assert re.search(r"cam0/data\.csv:3: image .*101\.png is missing", str(missing))
    assert re.search(r"cam0/data\.csv:4: image .*102\.png cannot be read", str(unreadable))
    assert re.search(r"cam0/data\.csv:5: image .*103\.png cannot be decoded", str(cut))


def test_files_that_nothing_lists_are_reported(tmp_path: Path) -> None:
    folder = frames(tmp_path, 3)
    for name in ("data/a.png", "data/b.png"):
        (folder / "mav0/cam0" / name).write_bytes(b"")
    (folder / "mav0/notes.txt").write_text("windy")

    found = {(skip.source, skip.messages): skip.reason for skip in AslReader().open(folder).skipped}

    assert found == {
        ("cam0/data", 2): "files that data.csv does not list: a.png, b.png",
        ("notes.txt", 0): "a file beside the sensor folders",
    }


@pytest.mark.parametrize(("channels", "encoding"), [(3, "rgb16"), (4, "rgba16")])
def test_colours_of_16_bits_keep_their_values(tmp_path: Path, channels: int, encoding: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 65536, (5, 7, channels)).astype(">u2")
    folder = frames(tmp_path, 1)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", 7, 5, 16, 2 if channels == 3 else 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    (folder / "mav0/cam0/data/100.png").write_bytes(png)

    ((_, message),) = AslReader().open(folder).messages()

    image = message.get_data(Image)  # type: ignore[union-attr]
    assert image.encoding == encoding
    assert np.array_equal(image.to_numpy(), pixels)


def test_sensor_yaml_becomes_metadata(write: Callable[[str, str], Path]) -> None:
    write(
        "imu0/sensor.yaml",
        "%YAML:1.0\n#comment\nrate_hz: 200\nT_BS:\n  cols: 4\n  data: [1.0, 0.0]\nnoise: 1.6e-04\n",
    )
    folder = write("imu0/data.csv", IMU_HEADER + IMU_ROW)

    (topic,) = AslReader().open(folder).topics

    assert topic.metadata == {"rate_hz": 200, "T_BS": {"cols": 4, "data": [1.0, 0.0]}, "noise": 1.6e-4}


@pytest.mark.parametrize("text", ["a: [1,", "- a list", "a: &x [*x]", "? [1]\n: 2"])
def test_broken_sensor_yaml_is_kept_as_text(write: Callable[[str, str], Path], text: str) -> None:
    write("imu0/sensor.yaml", text)
    folder = write("imu0/data.csv", IMU_HEADER + IMU_ROW)

    recording = AslReader().open(folder)

    assert recording.topics[0].metadata == {"sensor.yaml": text}
    ((source, reason),) = [(skip.source, skip.reason) for skip in recording.skipped]
    assert source == "imu0/sensor.yaml"
    assert "stored as text" in reason


def test_values_that_opencv_writes(write: Callable[[str, str], Path]) -> None:
    write(
        "imu0/sensor.yaml",
        "%YAML:1.0\n---\nT_BS: !!opencv-matrix\n   rows: 1\n   data: [ 1., .nan ]\nname: !mine x\nb: .inf\n",
    )
    folder = write("imu0/data.csv", IMU_HEADER + IMU_ROW)

    recording = AslReader().open(folder)

    matrix = {"rows": 1, "data": [1.0, "nan"]}
    assert recording.topics[0].metadata == {"T_BS": matrix, "name": "x", "b": "inf"}
    assert recording.skipped == ()


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    assert not AslReader().sniff(tmp_path)
    with pytest.raises(RecordingError, match="no sensor folder"):
        AslReader().open(tmp_path)
