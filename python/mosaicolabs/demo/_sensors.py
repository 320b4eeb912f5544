"""Sensors of the demo flight: measurements of the motion with seeded noise."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mosaicolabs.models import Serializable
from mosaicolabs.models.data import Point3d, Pose, Quaternion, Vector3d
from mosaicolabs.models.sensors import GPS, IMU, GPSStatus, Image, ImageFormat, Pressure

from ._trajectory import Floats, Motion

Measure = Callable[[Motion, np.random.Generator], list[Serializable]]

WIDTH, HEIGHT = 752, 480
# Reference point of the flight: latitude and longitude in degrees, ellipsoid height in metres.
_LATITUDE, _LONGITUDE, _GROUND_M = 47.3769, 8.5417, 408.0
_WGS84_A, _WGS84_E2 = 6378137.0, 6.69437999014e-3
_PIXELS_PER_METRE = 16.0
# Few grey levels, as on a map: 60 s of frames need some ten megabytes instead of hundreds.
_GREY_LEVELS, _GREY_STEP = 16, 14
_EXPOSURE_JITTER = 8


@dataclass(frozen=True)
class Sensor:
    """One topic of the flight. `message_bytes`: time and payload of one message, as plain numbers."""

    topic: str
    ontology: type[Serializable]
    rate_hz: int
    message_bytes: int
    metadata: dict[str, Any]
    measure: Measure


def _imu(motion: Motion, rng: np.random.Generator) -> list[Serializable]:
    force = motion.specific_force + rng.normal(0.0, 0.03, motion.specific_force.shape)
    rate = motion.angular_velocity + rng.normal(0.0, 0.002, motion.angular_velocity.shape)
    return [
        IMU(acceleration=Vector3d.from_list(a), angular_velocity=Vector3d.from_list(w))
        for a, w in zip(force.tolist(), rate.tolist(), strict=True)
    ]


def _pose(motion: Motion, rng: np.random.Generator) -> list[Serializable]:
    return [
        Pose(position=Point3d.from_list(p), orientation=Quaternion.from_list(q))
        for p, q in zip(motion.position.tolist(), motion.quaternion.tolist(), strict=True)
    ]


def _gps(motion: Motion, rng: np.random.Generator) -> list[Serializable]:
    east, north, up = (motion.position + rng.normal(0.0, [0.4, 0.4, 0.8], motion.position.shape)).T
    speed = motion.velocity + rng.normal(0.0, 0.05, motion.velocity.shape)
    latitude, longitude = _geodetic(east, north)
    fixes = np.column_stack([latitude, longitude, _GROUND_M + up])
    status = GPSStatus(status=0, service=1, satellites=14, hdop=0.8, vdop=1.2)
    return [
        GPS(position=Point3d.from_list(fix), velocity=Vector3d(x=vn, y=ve, z=vu), status=status)
        for fix, (ve, vn, vu) in zip(fixes.tolist(), speed.tolist(), strict=True)
    ]


def _geodetic(east: Floats, north: Floats) -> tuple[Floats, Floats]:
    """Latitude and longitude of a point close to the reference, by the radii of curvature there."""
    sine = np.sin(np.radians(_LATITUDE))
    prime_vertical = _WGS84_A / np.sqrt(1.0 - _WGS84_E2 * sine**2)
    meridian = prime_vertical * (1.0 - _WGS84_E2) / (1.0 - _WGS84_E2 * sine**2)
    parallel = prime_vertical * np.cos(np.radians(_LATITUDE))
    return _LATITUDE + np.degrees(north / meridian), _LONGITUDE + np.degrees(east / parallel)


def _pressure(motion: Motion, rng: np.random.Generator) -> list[Serializable]:
    altitude = _GROUND_M + motion.position[:, 2]
    standard_atmosphere = 101325.0 * (1.0 - 2.25577e-5 * altitude) ** 5.25588
    return [
        Pressure(value=value)
        for value in (standard_atmosphere + rng.normal(0.0, 1.5, altitude.shape)).tolist()
    ]


def _camera(motion: Motion, rng: np.random.Generator) -> list[Serializable]:
    ground = _ground()
    rows, columns = ground.shape
    frames: list[Serializable] = []
    for east, north, _ in motion.position:
        left = int((columns - WIDTH) / 2 + east * _PIXELS_PER_METRE)
        top = int((rows - HEIGHT) / 2 - north * _PIXELS_PER_METRE)
        exposure = rng.integers(0, _EXPOSURE_JITTER, dtype=np.uint8)
        pixels = ground[top : top + HEIGHT, left : left + WIDTH] + exposure
        frames.append(
            Image(
                data=pixels.tobytes(),
                format=ImageFormat.RAW,
                width=WIDTH,
                height=HEIGHT,
                stride=WIDTH,
                encoding="mono8",
            )
        )
    return frames


@cache
def _ground() -> npt.NDArray[np.uint8]:
    """The ground below the whole flight: the sum of noise on several scales."""
    rng = np.random.default_rng(0)
    rows, columns = 1024, 1792
    total = np.zeros((rows, columns))
    for cell in (128, 32, 8):
        coarse = rng.random((rows // cell + 1, columns // cell + 1))
        total += cell**0.5 * _stretch(_stretch(coarse, cell, rows).T, cell, columns).T
    low, high = total.min(), total.max()
    level = np.asarray((_GREY_LEVELS - 1) * (total - low) / (high - low), dtype=np.uint8)
    return np.asarray(20 + _GREY_STEP * level, dtype=np.uint8)


def _stretch(values: Floats, cell: int, length: int) -> Floats:
    """Linear interpolation of the rows of `values` to `length` rows."""
    place = np.arange(length) / cell
    before = place.astype(int)
    weight = (place - before)[:, None]
    return np.asarray(values[before] * (1.0 - weight) + values[before + 1] * weight)


_BODY = {"frame_id": "base_link"}

SENSORS: tuple[Sensor, ...] = (
    Sensor("/imu", IMU, 200, 7 * 8, _BODY, _imu),
    Sensor("/gps", GPS, 5, 9 * 8 + 4, {"frame_id": "gps"}, _gps),
    Sensor("/pressure", Pressure, 50, 2 * 8, _BODY, _pressure),
    Sensor("/pose", Pose, 50, 8 * 8, {"frame_id": "map", "axes": "east north up"}, _pose),
    Sensor("/camera", Image, 20, WIDTH * HEIGHT + 8, {"frame_id": "camera", "mount": "downward"}, _camera),
)
