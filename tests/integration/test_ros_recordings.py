"""Real recordings, written into bags of every kind, stored, and compared with the originals."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from harness.bags import KINDS, Row, header, write_bag
from harness.daemon import Daemon
from pyulog import ULog

from mosaicolabs import Message, MosaicoClient
from mosaicolabs.models.data import Quaternion, Velocity
from mosaicolabs.models.sensors import IMU, Image, Magnetometer
from mosaicolabs.ros_bridge import RosbagInjector, ROSInjectionConfig

DELAY_NS = 1_234_567
# Of the flight log every such row; the folder is stored whole.
STEP = 5


def vector(values: Any) -> dict[str, float]:
    return dict(zip("xyz", map(float, values), strict=True))


def euroc_rows(folder: Path) -> Iterator[Row]:
    """The folder as a driver would have published it, recorded a little later."""
    imu = (folder / "imu0/data.csv").read_text().splitlines()[1:]
    for row in (line.split(",") for line in imu):
        time_ns = int(row[0])
        fields = {
            "header": header(time_ns, "imu0"),
            "angular_velocity": vector(row[1:4]),
            "linear_acceleration": vector(row[4:7]),
            "orientation_covariance": [-1.0] + [0.0] * 8,
        }
        yield "/imu0", "sensor_msgs/msg/Imu", time_ns + DELAY_NS, fields
    for camera in ("cam0", "cam1"):
        for png in sorted((folder / camera / "data").glob("*.png")):
            with PIL.Image.open(png) as image:
                fields = {
                    "header": header(int(png.stem), camera),
                    "height": image.height,
                    "width": image.width,
                    "step": image.width,
                    "encoding": "mono8",
                    "data": image.tobytes(),
                }
            yield f"/{camera}/image_raw", "sensor_msgs/msg/Image", int(png.stem) + DELAY_NS, fields


def replay(client: MosaicoClient, name: str) -> dict[str, list[Message]]:
    handler = client.sequence_handler(name)
    assert handler is not None
    messages: dict[str, list[Message]] = defaultdict(list)
    for topic, message in handler.get_data_streamer():
        messages[topic].append(message)
    return messages


@pytest.mark.parametrize("kind", KINDS)
def test_euroc_folder(kind: str, tmp_path: Path, shared: Path) -> None:
    folder = shared / "data/euroc_micro/mav0"
    rows = sorted(euroc_rows(folder), key=lambda row: row[2])
    bag = write_bag(tmp_path, kind, rows)

    command = [sys.executable, "-m", "mosaicolabs.cli", "ingest", str(bag), "--name", "mh01"]
    options = ["--store", str(tmp_path / "store"), "--option", "image_format=raw", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr

    document = json.loads(done.stdout)
    assert document["format"] == "rosbag"
    assert document["skipped"] == document["failed"] == []
    counts = {topic["name"]: topic["messages"] for topic in document["topics"]}
    assert counts == {"/cam0/image_raw": 40, "/cam1/image_raw": 40, "/imu0": 29120}
    assert document["topics"][2]["metadata"] == {"ros_topic": "/imu0", "ros_type": "sensor_msgs/msg/Imu"}
    with MosaicoClient.embedded(tmp_path / "store") as client:
        stored = replay(client, "mh01")
    table = np.loadtxt(folder / "imu0/data.csv", delimiter=",", dtype=np.float64)
    times = [int(line.split(",")[0]) for line in (folder / "imu0/data.csv").read_text().splitlines()[1:]]
    imus = [message.get_data(IMU) for message in stored["/imu0"]]
    assert [message.timestamp for message in stored["/imu0"]] == times
    assert [message.recording_timestamp_ns for message in stored["/imu0"]] == [t + DELAY_NS for t in times]
    turns = [imu.angular_velocity for imu in imus if imu.angular_velocity is not None]
    assert np.array_equal([[v.x, v.y, v.z] for v in turns], table[:, 1:4])
    assert np.array_equal(
        [[i.acceleration.x, i.acceleration.y, i.acceleration.z] for i in imus], table[:, 4:7]
    )
    assert all(imu.orientation is None for imu in imus)
    for camera in ("cam0", "cam1"):
        frames = stored[f"/{camera}/image_raw"]
        assert len(frames) == 40
        for message in frames:
            image = message.get_data(Image)
            assert image.header is not None
            assert image.header.frame_id == camera
            with PIL.Image.open(folder / camera / "data" / f"{message.timestamp}.png") as png:
                assert np.array_equal(image.to_numpy(), np.asarray(png))


def px4_data(shared: Path) -> dict[str, dict[str, Any]]:
    log = ULog(str(shared / "data/px4_sample.ulg"))
    return {
        entry.name: {column: values[::STEP] for column, values in entry.data.items()}
        for entry in log.data_list
    }


def px4_rows(data: dict[str, dict[str, Any]]) -> Iterator[Row]:
    combined, attitude, local = (
        data[name] for name in ("sensor_combined", "vehicle_attitude", "vehicle_local_position")
    )
    for i, time_us in enumerate(combined["timestamp"]):
        time_ns = int(time_us) * 1000
        head = {"header": header(time_ns, "body", seq=i)}
        imu = {
            **head,
            "angular_velocity": vector(combined[f"gyro_rad[{k}]"][i] for k in range(3)),
            "linear_acceleration": vector(combined[f"accelerometer_m_s2[{k}]"][i] for k in range(3)),
        }
        yield "/imu", "sensor_msgs/msg/Imu", time_ns, imu
        tesla = vector(combined[f"magnetometer_ga[{k}]"][i] * 1e-4 for k in range(3))
        yield "/mag", "sensor_msgs/msg/MagneticField", time_ns, {**head, "magnetic_field": tesla}
    for i, time_us in enumerate(attitude["timestamp"]):
        time_ns = int(time_us) * 1000
        wxyz = [float(attitude[f"q[{k}]"][i]) for k in range(4)]
        q = dict(zip("wxyz", wxyz, strict=True))
        fields = {"header": header(time_ns), "quaternion": q}
        yield "/attitude", "geometry_msgs/msg/QuaternionStamped", time_ns, fields
    for i, time_us in enumerate(local["timestamp"]):
        twist = {"linear": vector(local[axis][i] for axis in ("vx", "vy", "vz"))}
        yield "/velocity", "geometry_msgs/msg/Twist", int(time_us) * 1000, twist


@pytest.mark.parametrize("kind", KINDS)
def test_px4_log(kind: str, tmp_path: Path, shared: Path, standing_daemon: Daemon, name: str) -> None:
    data = px4_data(shared)
    bag = write_bag(tmp_path, kind, sorted(px4_rows(data), key=lambda row: row[2]))

    config = ROSInjectionConfig(bag, name, {}, standing_daemon.host, standing_daemon.port)
    result = RosbagInjector(config).run()

    assert result.failed == {}
    with standing_daemon.connect() as client:
        stored = replay(client, name)
    combined, attitude = data["sensor_combined"], data["vehicle_attitude"]
    imus = [message.get_data(IMU) for message in stored["/imu"]]
    for k, axis in enumerate("xyz"):
        assert np.array_equal(
            [getattr(imu.angular_velocity, axis) for imu in imus],
            combined[f"gyro_rad[{k}]"].astype(np.float64),
        )
        fields = [message.get_data(Magnetometer).magnetic_field for message in stored["/mag"]]
        np.testing.assert_allclose(
            [getattr(field, axis) for field in fields], combined[f"magnetometer_ga[{k}]"] * 100.0, rtol=1e-6
        )
    assert [message.timestamp for message in stored["/imu"]] == [int(t) * 1000 for t in combined["timestamp"]]
    sequence = list(range(len(imus))) if kind == "bag" else [None] * len(imus)
    assert [imu.header.seq for imu in imus if imu.header] == sequence
    for k, axis in enumerate("wxyz"):
        quaternions = [message.get_data(Quaternion) for message in stored["/attitude"]]
        assert np.array_equal([getattr(q, axis) for q in quaternions], attitude[f"q[{k}]"].astype(np.float64))
    velocities = [message.get_data(Velocity).linear for message in stored["/velocity"]]
    assert np.array_equal(
        [v.z for v in velocities if v is not None],
        data["vehicle_local_position"]["vz"].astype(np.float64),
    )
