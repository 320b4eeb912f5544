"""Radars."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.futures._points import FLOAT, Points, points
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class Radar(Points, Serializable, HeaderMixin):
    """Detections of a radar, in the frame of the header. Every list has one item per detection.

    Attributes:
        x: Forward, m.
        y: To the left, m.
        z: Up, m.
        range: Distance, m.
        azimuth: Angle about z, rad.
        elevation: Angle above the plane of x and y, rad.
        rcs: Radar cross-section, dBsm.
        snr: Signal-to-noise ratio, dB.
        doppler_velocity: Velocity along the ray by the Doppler shift, m/s.
        vx: Velocity along x, m/s.
        vy: Velocity along y, m/s.
        vx_comp: Velocity along x without the motion of the sensor, m/s.
        vy_comp: Velocity along y without the motion of the sensor, m/s.
        ax: Acceleration along x, m/s^2.
        ay: Acceleration along y, m/s^2.
        radial_speed: Speed along the ray as the device tracks it, m/s.

    Source: axes follow ROS REP 103; columns are those of Mosaico 0.4, units those of usual drivers.

    Example:
        >>> Radar(x=[12.0], y=[0.5], z=[0.0], doppler_velocity=[-3.0]).doppler_velocity
        [-3.0]
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = points(
        column("range", FLOAT, "Distances, m."),
        column("azimuth", FLOAT, "Angles about z, rad."),
        column("elevation", FLOAT, "Angles above the plane, rad."),
        column("rcs", FLOAT, "Radar cross-sections, dBsm."),
        column("snr", FLOAT, "Signal-to-noise ratios, dB."),
        column("doppler_velocity", FLOAT, "Velocities by the Doppler shift, m/s."),
        column("vx", FLOAT, "Velocities along x, m/s."),
        column("vy", FLOAT, "Velocities along y, m/s."),
        column("vx_comp", FLOAT, "Velocities along x without the sensor's motion, m/s."),
        column("vy_comp", FLOAT, "Velocities along y without the sensor's motion, m/s."),
        column("ax", FLOAT, "Accelerations along x, m/s^2."),
        column("ay", FLOAT, "Accelerations along y, m/s^2."),
        column("radial_speed", FLOAT, "Speeds along the ray, m/s."),
    )

    range: list[float] | None = None
    azimuth: list[float] | None = None
    elevation: list[float] | None = None
    rcs: list[float] | None = None
    snr: list[float] | None = None
    doppler_velocity: list[float] | None = None
    vx: list[float] | None = None
    vy: list[float] | None = None
    vx_comp: list[float] | None = None
    vy_comp: list[float] | None = None
    ax: list[float] | None = None
    ay: list[float] | None = None
    radial_speed: list[float] | None = None
