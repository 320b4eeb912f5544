"""Laser scanners."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.base_model import BaseModel
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


def _scan(values: pa.DataType) -> pa.StructType:
    return pa.struct(
        [
            column("angle_min", pa.float32(), "First angle, rad.", required=True),
            column("angle_max", pa.float32(), "Last angle, rad.", required=True),
            column("angle_increment", pa.float32(), "Angle between rays, rad.", required=True),
            column("time_increment", pa.float32(), "Time between rays, s.", required=True),
            column("scan_time", pa.float32(), "Time between scans, s.", required=True),
            column("range_min", pa.float32(), "Shortest valid range, m.", required=True),
            column("range_max", pa.float32(), "Longest valid range, m.", required=True),
            column("ranges", pa.list_(values), "Ranges, m.", required=True),
            column("intensities", pa.list_(values), "Intensities, in units of the device."),
        ]
    )


class _Scan(BaseModel):
    angle_min: float
    angle_max: float
    angle_increment: float
    time_increment: float
    scan_time: float
    range_min: float
    range_max: float


class LaserScan(_Scan, Serializable, HeaderMixin):
    """One sweep of a planar laser scanner, in the frame of the header: about z, 0 forward.

    Attributes:
        angle_min: Of the first ray, rad; counter-clockwise.
        angle_max: Of the last ray, rad.
        angle_increment: From ray to ray, rad.
        time_increment: From ray to ray, s.
        scan_time: From sweep to sweep, s.
        range_min: Shorter ranges are not valid, m.
        range_max: Longer ranges are not valid, m.
        ranges: One per ray, m.
        intensities: One per ray, in units of the device. None: not measured.

    Source: ROS `sensor_msgs/LaserScan`.

    Example:
        >>> scan = LaserScan(
        ...     angle_min=-1.0, angle_max=1.0, angle_increment=1.0, time_increment=0.0, scan_time=0.1,
        ...     range_min=0.1, range_max=30.0, ranges=[2.0, 2.5, 3.0],
        ... )
        >>> scan.ranges[1]
        2.5
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _scan(pa.float32())

    ranges: list[float]
    intensities: list[float] | None = None


class MultiEchoLaserScan(_Scan, Serializable, HeaderMixin):
    """One sweep of a laser scanner with several echoes per ray; see `LaserScan`.

    Attributes:
        ranges: Echoes per ray, m.
        intensities: Of the echoes, in units of the device. None: not measured.

    Source: ROS `sensor_msgs/MultiEchoLaserScan`.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _scan(pa.list_(pa.float32()))

    ranges: list[list[float]]
    intensities: list[list[float]] | None = None
