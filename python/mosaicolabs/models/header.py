"""Time and origin of a measurement."""

import math
import time
from datetime import datetime, timedelta, timezone
from typing import ClassVar

import pyarrow as pa
from pydantic import field_validator

from mosaicolabs.models._arrow import column
from mosaicolabs.models.base_model import BaseModel, build_unvalidated

_NS_PER_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Time(BaseModel):
    """A point in time, exact to the nanosecond.

    Attributes:
        sec: Whole seconds since the Unix epoch (UTC), rounded down; negative before 1970.
        nanosec: Nanoseconds after `sec`, 0 to 999 999 999.

    Source: layout follows ROS `builtin_interfaces/Time`.

    Example:
        >>> Time(sec=1, nanosec=500_000_000).to_nanoseconds()
        1500000000
        >>> Time.from_float(-1.5)
        Time(sec=-2, nanosec=500000000)
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [pa.field("sec", pa.int64()), pa.field("nanosec", pa.uint32())]
    )

    sec: int
    nanosec: int

    @field_validator("nanosec")
    @classmethod
    def validate_nanosec(cls, v: int) -> int:
        """Keeps times unique: full seconds belong to `sec`."""
        if not 0 <= v < _NS_PER_SECOND:
            raise ValueError(f"nanosec is {v}, not within [0, {_NS_PER_SECOND}); carry full seconds into sec")
        return v

    @classmethod
    def from_nanoseconds(cls, total_nanoseconds: int) -> "Time":
        """The time that many nanoseconds after the epoch; exact."""
        sec, nanosec = divmod(total_nanoseconds, _NS_PER_SECOND)
        return cls(sec=sec, nanosec=nanosec)

    @classmethod
    def from_milliseconds(cls, total_milliseconds: int) -> "Time":
        """The time that many milliseconds after the epoch; exact."""
        return cls.from_nanoseconds(total_milliseconds * 1_000_000)

    @classmethod
    def from_float(cls, ftime: float) -> "Time":
        """The time that many seconds after the epoch, to the nearest nanosecond of the float.

        A float of today's epoch seconds resolves about 240 ns; use the integer forms where it matters.

        Raises:
            ValueError: The float is NaN or infinite.
        """
        if not math.isfinite(ftime):
            raise ValueError(f"{ftime} is not a time; give a finite number of seconds")
        sec = math.floor(ftime)
        return cls.from_nanoseconds(sec * _NS_PER_SECOND + round((ftime - sec) * _NS_PER_SECOND))

    @classmethod
    def from_datetime(cls, dt: datetime) -> "Time":
        """The time of a datetime, exact to its microsecond; a naive one counts as local time."""
        microseconds = (dt.astimezone(timezone.utc) - _EPOCH) // timedelta(microseconds=1)
        return cls.from_nanoseconds(microseconds * 1000)

    @classmethod
    def now(cls) -> "Time":
        """The current time of the system clock."""
        return cls.from_nanoseconds(time.time_ns())

    def to_nanoseconds(self) -> int:
        """Nanoseconds since the epoch; exact."""
        return self.sec * _NS_PER_SECOND + self.nanosec

    def to_milliseconds(self) -> int:
        """Milliseconds since the epoch; truncated."""
        return self.sec * 1000 + self.nanosec // 1_000_000

    def to_float(self) -> float:
        """Seconds since the epoch as the nearest float, which resolves about 240 ns for today."""
        return self.to_nanoseconds() / _NS_PER_SECOND

    def to_datetime(self) -> datetime:
        """The time as an aware datetime in UTC; truncated to microseconds."""
        return _EPOCH + timedelta(seconds=self.sec, microseconds=self.nanosec // 1000)


class Header(BaseModel):
    """When and in which frame something was measured.

    Attributes:
        stamp: Acquisition time.
        frame_id: Coordinate frame of the data. None: unknown.
        seq: Counter of the source. None: the source has none.

    Source: fields follow ROS `std_msgs/Header`.

    Example:
        >>> Header(stamp=Time(sec=5, nanosec=0), frame_id="base_link").stamp.to_float()
        5.0
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("seq", pa.uint32(), "Counter of the source, kept for data that has one."),
            column("stamp", Time.__msco_pyarrow_struct__, "Acquisition time."),
            column("frame_id", pa.string(), "Coordinate frame of the data."),
        ]
    )

    stamp: Time
    frame_id: str | None = None
    seq: int | None = None


def header_at(timestamp_ns: int) -> Header:
    """`Header(stamp=Time.from_nanoseconds(timestamp_ns))` without the cost of validation."""
    sec, nanosec = divmod(timestamp_ns, _NS_PER_SECOND)
    stamp = build_unvalidated(Time, {"sec": sec, "nanosec": nanosec}, {"sec", "nanosec"})
    return build_unvalidated(Header, {"stamp": stamp, "frame_id": None, "seq": None}, {"stamp"})
