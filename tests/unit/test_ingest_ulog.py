"""The ULog reader: units, axes, times and damage, on logs written byte by byte."""

import struct
from pathlib import Path
from typing import Any

import pytest

from mosaicolabs.ingest import Recording, RecordingError
from mosaicolabs.ingest.ulog import UlogReader
from mosaicolabs.models import Message
from mosaicolabs.models.data import Floating64, MotionState, Point3d, Quaternion, Velocity
from mosaicolabs.models.sensors import GPS, IMU, Magnetometer, Pressure, Temperature

MAGIC = b"ULog\x01\x12\x35"
CODES = {
    "uint64_t": "Q",
    "int64_t": "q",
    "uint8_t": "B",
    "int32_t": "i",
    "float": "f",
    "double": "d",
    "bool": "?",
}
Fields = list[tuple[str, str, Any]]


def record(kind: str, body: bytes) -> bytes:
    return struct.pack("<HB", len(body), ord(kind)) + body


def ulog(*topics: tuple[str, int, list[Fields]]) -> bytes:
    """A log with rows per `(name, instance, rows)`; a row is `(type, column, value)` for each column."""
    definitions, rows = b"", b""
    for number, (name, instance, values) in enumerate(topics):
        columns = ";".join(f"{kind} {column}" for kind, column, _ in values[0])
        if instance == 0:
            definitions += record("F", f"{name}:{columns};".encode())
        rows += record("A", struct.pack("<BH", instance, number) + name.encode())
        for row in values:
            data = b"".join(struct.pack("<" + CODES[kind], value) for kind, _, value in row)
            rows += record("D", struct.pack("<H", number) + data)
    return MAGIC + b"\x01" + struct.pack("<Q", 0) + definitions + rows


def floats(**values: float) -> Fields:
    return [("float", name, value) for name, value in values.items()]


def at(timestamp_us: int, *columns: Fields) -> Fields:
    return [("uint64_t", "timestamp", timestamp_us), *(column for group in columns for column in group)]


def open_log(path: Path, *topics: tuple[str, int, list[Fields]]) -> Recording:
    path.write_bytes(ulog(*topics))
    return UlogReader().open(path, known_only="true")


def read(recording: Recording) -> dict[str, list[Message]]:
    messages: dict[str, list[Message]] = {topic.name: [] for topic in recording.topics}
    for topic, message in recording.messages():
        messages[topic].append(message)
    return messages


GPS_OLD = [
    ("int32_t", "lat", 473768912),
    ("int32_t", "lon", -85417123),
    ("int32_t", "alt", 488123),
    ("int32_t", "alt_ellipsoid", 535250),
    ("uint64_t", "time_utc_usec", 0),
    ("uint8_t", "fix_type", 3),
    ("uint8_t", "satellites_used", 11),
    *floats(vel_n_m_s=1.5, vel_e_m_s=-2.5, vel_d_m_s=0.5, eph=0.5, epv=2.0, hdop=0.75),
]


def test_gps_integers_become_degrees_and_metres(tmp_path: Path) -> None:
    recording = open_log(tmp_path / "a.ulg", ("vehicle_gps_position", 0, [at(5, GPS_OLD)]))

    (message,) = read(recording)["/vehicle_gps_position/gps"]

    gps = message.get_data(GPS)
    assert (gps.position.x, gps.position.y, gps.position.z) == (47.3768912, -8.5417123, 535.25)
    assert gps.position.covariance == [0.25, 0, 0, 0, 0.25, 0, 0, 0, 4.0]
    assert gps.velocity is not None
    assert (gps.velocity.x, gps.velocity.y, gps.velocity.z) == (1.5, -2.5, -0.5)
    assert gps.status is not None
    assert (gps.status.status, gps.status.satellites, gps.status.hdop, gps.status.vdop) == (0, 11, 0.75, None)
    assert recording.topics[0].metadata["altitude"] == "WGS84 ellipsoid"
    assert recording.metadata["time_reference"] == "boot"
    assert message.timestamp_ns == 5_000


def test_gps_degrees_stay_as_they_are(tmp_path: Path) -> None:
    position: Fields = [
        ("double", "latitude_deg", 47.1),
        ("double", "longitude_deg", 8.2),
        ("double", "altitude_ellipsoid_m", 99.5),
    ]
    row = at(
        5, position, [column for column in GPS_OLD if column[1] not in {"lat", "lon", "alt", "alt_ellipsoid"}]
    )
    recording = open_log(tmp_path / "a.ulg", ("sensor_gps", 0, [row]))

    (message,) = read(recording)["/sensor_gps/gps"]

    where = message.get_data(GPS).position
    assert (where.x, where.y, where.z) == (47.1, 8.2, 99.5)


@pytest.mark.parametrize(
    ("px4", "ros"), [(0, -1), (1, -1), (2, 0), (3, 0), (4, 1), (5, 2), (6, 2), (7, 0), (8, 0)]
)
def test_fix_types(tmp_path: Path, px4: int, ros: int) -> None:
    row = [("uint8_t", "fix_type", px4) if column[1] == "fix_type" else column for column in GPS_OLD]
    recording = open_log(tmp_path / "a.ulg", ("vehicle_gps_position", 0, [at(5, row)]))

    (message,) = read(recording)["/vehicle_gps_position/gps"]

    status = message.get_data(GPS).status
    assert status is not None
    assert status.status == ros


def test_times_follow_the_first_3d_fix(tmp_path: Path) -> None:
    def gps(timestamp_us: int, fix: int, utc_us: int) -> Fields:
        changed = {"fix_type": fix, "time_utc_usec": utc_us}
        return at(timestamp_us, [(kind, name, changed.get(name, value)) for kind, name, value in GPS_OLD])

    utc_us = 1_700_000_000_000_000
    recording = open_log(
        tmp_path / "a.ulg",
        ("vehicle_gps_position", 0, [gps(100, 1, 7), gps(200, 3, utc_us), gps(300, 3, utc_us + 101)]),
        ("sensor_baro", 0, [at(150, floats(pressure=101325.0))]),
    )

    messages = read(recording)

    assert recording.metadata["time_reference"] == "gps_utc"
    assert recording.metadata["boot_time_ns"] == (utc_us - 200) * 1000
    times = [message.timestamp_ns for message in messages["/vehicle_gps_position/gps"]]
    assert times == [(utc_us - 100) * 1000, utc_us * 1000, (utc_us + 100) * 1000]
    assert messages["/sensor_baro/pressure"][0].timestamp_ns == (utc_us - 50) * 1000


@pytest.mark.parametrize(("logged", "pascal"), [(1013.25, 101325.0), (101325.0, 101325.0), (300.0, 30000.0)])
def test_pressure_is_pascal(tmp_path: Path, logged: float, pascal: float) -> None:
    recording = open_log(
        tmp_path / "a.ulg", ("sensor_baro", 0, [at(1, floats(pressure=logged, temperature=20.0))])
    )

    messages = read(recording)

    assert messages["/sensor_baro/pressure"][0].get_data(Pressure).value == pytest.approx(pascal, rel=1e-7)
    assert messages["/sensor_baro/temperature"][0].get_data(Temperature).value == 293.15


def test_gauss_become_microtesla_and_instances_get_their_own_topics(tmp_path: Path) -> None:
    recording = open_log(
        tmp_path / "a.ulg",
        ("sensor_mag", 0, [at(1, floats(x=0.25, y=-0.5, z=1.0))]),
        ("sensor_mag", 1, [at(2, floats(x=0.125, y=0.0, z=0.0))]),
    )

    messages = read(recording)

    assert list(messages) == ["/sensor_mag_0/magnetometer", "/sensor_mag_1/magnetometer"]
    field = messages["/sensor_mag_0/magnetometer"][0].get_data(Magnetometer).magnetic_field
    assert (field.x, field.y, field.z) == (25.0, -50.0, 100.0)
    assert recording.topics[1].metadata["px4_instance"] == 1


def combined(timestamp_us: int, mag_offset_us: int, baro_offset_us: int) -> Fields:
    return at(
        timestamp_us,
        [("float", f"gyro_rad[{i}]", 1.0 + i) for i in range(3)],
        [("float", f"accelerometer_m_s2[{i}]", 4.0 + i) for i in range(3)],
        [("int32_t", "magnetometer_timestamp_relative", mag_offset_us)],
        [("float", f"magnetometer_ga[{i}]", 0.5) for i in range(3)],
        [("int32_t", "baro_timestamp_relative", baro_offset_us)],
        floats(baro_alt_meter=12.5, baro_temp_celcius=0.0),
    )


def test_sample_times_and_invalid_samples(tmp_path: Path) -> None:
    invalid = 2**31 - 1
    rows = [combined(1000, -900, invalid), combined(2000, 50, -30), combined(3000, -1100, invalid)]
    recording = open_log(tmp_path / "a.ulg", ("sensor_combined", 0, rows))

    messages = read(recording)

    assert [message.timestamp_ns for message in messages["/sensor_combined/imu"]] == [
        1_000_000,
        2_000_000,
        3_000_000,
    ]
    magnetometer = messages["/sensor_combined/magnetometer"]
    assert [message.timestamp_ns for message in magnetometer] == [100_000, 1_900_000, 2_050_000]
    assert [message.recording_timestamp_ns for message in magnetometer] == [1_000_000, 3_000_000, 2_000_000]
    (altitude,) = messages["/sensor_combined/baro_altitude"]
    assert (altitude.timestamp_ns, altitude.get_data(Floating64).data) == (1_970_000, 12.5)
    invalid_counts = [skip.messages for skip in recording.skipped if "marked invalid" in skip.reason]
    assert invalid_counts == [2, 2]
    imu = messages["/sensor_combined/imu"][0].get_data(IMU)
    assert imu.angular_velocity is not None
    assert (imu.angular_velocity.z, imu.acceleration.x) == (3.0, 4.0)


def test_attitude_and_odometry_have_w_last(tmp_path: Path) -> None:
    q: Fields = [("float", f"q[{i}]", value) for i, value in enumerate((0.5, 0.1, 0.2, 0.3))]
    names = ("x", "y", "z", "vx", "vy", "vz", "rollspeed", "pitchspeed", "yawspeed")
    odometry = at(2, q, [("float", name, float(number)) for number, name in enumerate(names)])
    recording = open_log(
        tmp_path / "a.ulg", ("vehicle_attitude", 0, [at(1, q)]), ("vehicle_odometry", 0, [odometry])
    )

    messages = read(recording)

    attitude = messages["/vehicle_attitude/orientation"][0].get_data(Quaternion)
    assert attitude.w == 0.5
    assert [attitude.x, attitude.y, attitude.z] == pytest.approx([0.1, 0.2, 0.3])
    state = messages["/vehicle_odometry/state"][0].get_data(MotionState)
    assert state.pose.orientation.w == 0.5
    assert state.velocity.linear is not None
    assert (state.pose.position.z, state.velocity.linear.x) == (2.0, 3.0)


def test_local_position_counts_its_valid_rows(tmp_path: Path) -> None:
    def row(timestamp_us: int, valid: bool) -> Fields:
        flags: Fields = [("bool", name, valid) for name in ("xy_valid", "z_valid", "v_xy_valid", "v_z_valid")]
        return at(timestamp_us, floats(x=1.0, y=2.0, z=-3.0, vx=4.0, vy=5.0, vz=6.0), flags)

    rows = [row(1, False), row(2, True), row(3, True)]
    recording = open_log(tmp_path / "a.ulg", ("vehicle_local_position", 0, rows))

    messages = read(recording)

    point = messages["/vehicle_local_position/position"][0].get_data(Point3d)
    assert (point.x, point.y, point.z) == (1.0, 2.0, -3.0)
    velocity = messages["/vehicle_local_position/velocity"][0].get_data(Velocity)
    assert velocity.linear is not None
    assert velocity.linear.z == 6.0
    assert recording.topics[0].metadata["xy_valid_rows"] == 2


def test_topics_without_an_ontology_are_listed(tmp_path: Path) -> None:
    recording = open_log(
        tmp_path / "a.ulg",
        ("cpuload", 0, [at(1, floats(load=0.5)), at(2, floats(load=0.6))]),
        ("sensor_baro", 0, [at(1, floats(pressure=1000.0, error_count=0.0))]),
    )

    assert [(skip.source, skip.messages) for skip in recording.skipped] == [
        ("cpuload", 2),
        ("sensor_baro", 0),
    ]
    assert recording.skipped[1].reason == "columns without a place in an ontology: error_count"


def test_nothing_that_fits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no topic with a matching ontology; topics in the log: cpuload"):
        open_log(tmp_path / "a.ulg", ("cpuload", 0, [at(1, floats(load=0.5))]))


@pytest.mark.parametrize("content", [b"", b"ULog", b"not a log at all", MAGIC])
def test_no_log_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ulg"
    path.write_bytes(content)

    with pytest.raises(RecordingError, match=r"a\.ulg"):
        UlogReader().open(path)


def test_sniff_looks_at_the_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "without suffix"
    path.write_bytes(ulog(("sensor_baro", 0, [at(1, floats(pressure=1000.0))])))
    (tmp_path / "other.ulg").write_bytes(b"something else")

    assert UlogReader().sniff(path)
    assert not UlogReader().sniff(tmp_path / "other.ulg")
    assert not UlogReader().sniff(tmp_path)


@pytest.mark.parametrize("cut", [1, 2, 5, 13])
def test_truncated_log_yields_complete_messages_then_raises(tmp_path: Path, cut: int, capfd: Any) -> None:
    path = tmp_path / "a.ulg"
    path.write_bytes(
        ulog(("sensor_baro", 0, [at(time, floats(pressure=1000.0)) for time in range(3)]))[:-cut]
    )
    recording = UlogReader().open(path)
    messages = recording.messages()

    assert [next(messages)[1].timestamp_ns for _ in range(2)] == [0, 1000]  # type: ignore[union-attr]
    with pytest.raises(RecordingError, match=r"a\.ulg: the log is truncated inside the record at byte \d+"):
        next(messages)
    assert capfd.readouterr().out == ""


def test_messages_are_in_time_order(tmp_path: Path) -> None:
    recording = open_log(
        tmp_path / "a.ulg",
        ("sensor_mag", 0, [at(time, floats(x=0, y=0, z=0)) for time in (5, 3, 9)]),
        ("sensor_baro", 0, [at(time, floats(pressure=1000.0)) for time in (4, 1)]),
    )

    times = [message.timestamp_ns for _, message in recording.messages()]

    assert times == [1000, 3000, 4000, 5000, 9000]
