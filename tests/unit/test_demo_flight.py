"""The demo flight obeys its physics, and its check detects every difference."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest

from mosaicolabs import Message
from mosaicolabs.demo import DemoError, Flight, replay
from mosaicolabs.demo._trajectory import GRAVITY, Floats, motion_at
from mosaicolabs.models.data import Pose
from mosaicolabs.models.sensors import GPS, IMU, Image, Pressure

STEP_S = 0.005
TIMES = np.arange(0.0, 60.0, STEP_S)


def rotate(quaternion: Floats, vectors: Floats) -> Floats:
    axis, w = quaternion[:, :3], quaternion[:, 3:]
    return np.asarray(vectors + 2.0 * np.cross(axis, np.cross(axis, vectors) + w * vectors))


def test_velocity_is_the_derivative_of_position() -> None:
    motion = motion_at(TIMES)

    mean = (motion.velocity[1:] + motion.velocity[:-1]) / 2.0

    assert np.allclose(np.diff(motion.position, axis=0) / STEP_S, mean, atol=1e-4)


def test_accelerometer_feels_acceleration_minus_gravity() -> None:
    motion = motion_at(TIMES)
    felt = rotate(motion.quaternion, motion.specific_force)

    mean = (felt[1:] + felt[:-1]) / 2.0 + GRAVITY

    assert np.allclose(np.diff(motion.velocity, axis=0) / STEP_S, mean, atol=1e-4)


def test_gyroscope_turns_the_attitude() -> None:
    motion = motion_at(TIMES)
    x, y, z, w = motion.quaternion[:-1].T
    half = motion.quaternion[1:]
    turned = np.column_stack(
        [
            w * half[:, 0] - x * half[:, 3] - y * half[:, 2] + z * half[:, 1],
            w * half[:, 1] - y * half[:, 3] - z * half[:, 0] + x * half[:, 2],
            w * half[:, 2] - z * half[:, 3] - x * half[:, 1] + y * half[:, 0],
        ]
    )

    mean = (motion.angular_velocity[1:] + motion.angular_velocity[:-1]) / 2.0

    assert np.allclose(2.0 * turned / STEP_S, mean, atol=1e-5)


def test_every_sensor_sees_the_same_flight() -> None:
    streams = Flight(2).topics()
    pose = next(streams["/pose"]).get_data(Pose)
    imu = next(streams["/imu"]).get_data(IMU)
    gps = next(streams["/gps"]).get_data(GPS)
    pressure = next(streams["/pressure"]).get_data(Pressure)

    force = imu.acceleration
    assert 9.0 < np.linalg.norm([force.x, force.y, force.z]) < 12.0
    assert gps.position.z == pytest.approx(408.0 + pose.position.z, abs=4.0)
    altitude = (1.0 - (pressure.value / 101325.0) ** (1 / 5.25588)) / 2.25577e-5
    assert altitude == pytest.approx(408.0 + pose.position.z, abs=1.0)


def test_rates_and_order() -> None:
    flight = Flight(2)
    recording = flight.recording()
    messages = list(recording.messages())

    counts = Counter(topic for topic, _ in messages)
    times = [message.timestamp for _, message in messages]

    assert counts == {"/imu": 400, "/gps": 10, "/pressure": 100, "/pose": 100, "/camera": 40}
    assert counts == {topic.name: topic.messages for topic in recording.topics}
    assert times == sorted(times)


def test_passes_are_equal_and_seeds_differ() -> None:
    def frames(seed: int) -> list[Any]:
        return [message.data for message in islice(Flight(1, seed).topics()["/imu"], 20)]

    assert frames(1) == frames(1)
    assert frames(1) != frames(2)


def test_camera_moves() -> None:
    first, second = islice(Flight(1).topics()["/camera"], 2)

    assert len(first.get_data(Image).data) == 752 * 480
    assert first.get_data(Image).data != second.get_data(Image).data


Replayed = Iterator[tuple[str, Message]]


class Handler:
    """Stands for a sequence that replays what `change` makes of the flight."""

    def __init__(self, change: Callable[[Replayed], Replayed]) -> None:
        self._change = change

    def get_data_streamer(self) -> Replayed:
        yield from self._change(Flight(1).recording().messages())


def check(change: Callable[[Replayed], Replayed]) -> dict[str, int]:
    handler: Any = Handler(change)
    return replay(handler, Flight(1), lambda messages, size_bytes: None).messages


def without_last(messages: Replayed) -> Replayed:
    return iter(list(messages)[:-1])


def with_one_more(messages: Replayed) -> Replayed:
    everything = list(messages)
    return iter([*everything, everything[-1]])


def swapped(messages: Replayed) -> Replayed:
    everything = list(messages)
    return iter([*everything[100:], *everything[:100]])


def topic_by_topic(messages: Replayed) -> Replayed:
    return iter(sorted(messages, key=lambda item: item[0]))


def foreign(messages: Replayed) -> Replayed:
    return (("/other", message) for _, message in messages)


def changed(messages: Replayed) -> Replayed:
    for topic, message in messages:
        if topic == "/imu":
            message.get_data(IMU).acceleration.z += 1e-12
        yield topic, message


def test_check_accepts_what_was_written() -> None:
    assert check(lambda messages: messages) == {
        "/imu": 200,
        "/gps": 5,
        "/pressure": 50,
        "/pose": 50,
        "/camera": 20,
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_last, "more were written"),
        (with_one_more, "more than the"),
        (swapped, "differs from what was written"),
        (topic_by_topic, "was replayed after"),
        (foreign, "was never written"),
        (changed, "`/imu`: message 0 .* differs"),
    ],
)
def test_check_notices(change: Callable[[Replayed], Replayed], reason: str) -> None:
    with pytest.raises(DemoError, match=reason):
        check(change)


def test_flight_needs_a_second() -> None:
    with pytest.raises(ValueError, match="give at least 1"):
        Flight(0)
