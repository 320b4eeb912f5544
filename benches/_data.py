"""The data of all benchmarks: seeded, and the same values for every side."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mosaicolabs import IMU, Image, ImageFormat, Message, Vector3d

SEED = 7
START_NS = 1_700_000_000_000_000_000
STEP_NS = 5_000_000
WIDTH, HEIGHT = 752, 480
FRAME_BYTES = WIDTH * HEIGHT

Six = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class ImuRows:
    """A slow swing with sensor noise: time and six numbers per row, 56 bytes."""

    times: list[int]
    values: list[Six]

    @classmethod
    def make(cls, count: int) -> "ImuRows":
        rng = np.random.default_rng(SEED)
        phase = np.arange(count)[:, None] * 1e-3 + np.arange(6)
        values = 9.81 * np.sin(phase) + rng.normal(0.0, 0.02, (count, 6))
        times = range(START_NS, START_NS + count * STEP_NS, STEP_NS)
        return cls(list(times), [tuple(row) for row in values.tolist()])

    def messages(self) -> list[Message]:
        return [
            Message(timestamp_ns=time, data=imu(row))
            for time, row in zip(self.times, self.values, strict=True)
        ]

    def records(self) -> list[bytes]:
        pack = struct.Struct("<q6d").pack
        return [pack(time, *row) for time, row in zip(self.times, self.values, strict=True)]

    def table(self) -> pa.Table:
        columns = zip(*self.values, strict=True)
        return pa.table({"timestamp_ns": self.times, **{f"v{n}": c for n, c in enumerate(columns)}})


def imu(row: Six) -> IMU:
    """One sample, made the way a user makes it: every nested object is validated."""
    ax, ay, az, gx, gy, gz = row
    return IMU(acceleration=Vector3d(x=ax, y=ay, z=az), angular_velocity=Vector3d(x=gx, y=gy, z=gz))


def frames(count: int) -> Iterator[bytes]:
    """Mono frames of a moving scene with the noise of a camera; no two are equal."""
    rng = np.random.default_rng(SEED)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    scene = 110 + 60 * np.sin(x / 40) + 40 * np.cos(y / 25)
    for number in range(count):
        noise = rng.standard_normal((HEIGHT, WIDTH), dtype=np.float32) * 2
        yield (np.roll(scene, number, axis=1) + noise).astype(np.uint8).tobytes()


def image_message(number: int, pixels: bytes) -> Message:
    image = Image.from_linear_pixels(
        pixels, stride=WIDTH, height=HEIGHT, width=WIDTH, encoding="mono8", format=ImageFormat.RAW
    )
    return Message(timestamp_ns=START_NS + number * 50_000_000, data=image)
