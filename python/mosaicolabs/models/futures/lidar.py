"""Lidars."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.futures._points import FLOAT, OCTET, WORD, Points, points
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class Lidar(Points, Serializable, HeaderMixin):
    """Points of a lidar, in the frame of the header. Every list has one item per point.

    Attributes:
        x: Forward, m.
        y: To the left, m.
        z: Up, m.
        intensity: Strength of the echo, in units of the device.
        reflectivity: Calibrated reflectivity, in units of the device.
        beam_id: Index of the beam or ring.
        range: Distance, m.
        near_ir: Ambient light, in units of the device.
        azimuth: Angle about z, rad.
        elevation: Angle above the plane of x and y, rad.
        confidence: Confidence, in units of the device.
        return_type: Code of the echo, as defined by the device.
        point_timestamp: Time of the point, in the unit and from the origin of the device.

    Source: axes follow ROS REP 103; columns are those of Mosaico 0.4.

    Example:
        >>> scan = Lidar(x=[1.0, 2.0], y=[0.0, 0.0], z=[0.5, 0.5], beam_id=[0, 1])
        >>> scan.beam_id
        [0, 1]
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = points(
        column("intensity", FLOAT, "Strength of the echoes."),
        column("reflectivity", WORD, "Calibrated reflectivity."),
        column("beam_id", WORD, "Beams."),
        column("range", FLOAT, "Distances, m."),
        column("near_ir", FLOAT, "Ambient light."),
        column("azimuth", FLOAT, "Angles about z, rad."),
        column("elevation", FLOAT, "Angles above the plane, rad."),
        column("confidence", OCTET, "Confidence of the device."),
        column("return_type", OCTET, "Codes of the echoes."),
        column("point_timestamp", pa.list_(pa.float64()), "Times of the points, as the device tells them."),
    )

    intensity: list[float] | None = None
    reflectivity: list[int] | None = None
    beam_id: list[int] | None = None
    range: list[float] | None = None
    near_ir: list[float] | None = None
    azimuth: list[float] | None = None
    elevation: list[float] | None = None
    confidence: list[int] | None = None
    return_type: list[int] | None = None
    point_timestamp: list[float] | None = None
