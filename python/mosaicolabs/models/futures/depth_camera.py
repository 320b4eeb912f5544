"""Depth cameras."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.futures._points import FLOAT, OCTET, Points, points
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable

_RGB = column("rgb", FLOAT, "Colours; the bits of a value are 0x00RRGGBB.")
_INTENSITY = column("intensity", FLOAT, "Brightness, in units of the device.")


class _DepthCamera(Points):
    rgb: list[float] | None = None
    intensity: list[float] | None = None


class RGBDCamera(_DepthCamera, Serializable, HeaderMixin):
    """Points of a colour and depth camera, in the frame of the header. All lists have one item per point.

    Attributes:
        x: To the right, m.
        y: Down, m.
        z: Forward, m.
        rgb: Colour; the bits of the float32 are 0x00RRGGBB.
        intensity: Brightness, in units of the device.

    Source: axes follow ROS REP 103 for optical frames, `rgb` is packed as in ROS `sensor_msgs/PointCloud2`;
    columns are those of Mosaico 0.4.

    Example:
        >>> import numpy as np
        >>> orange = np.uint32(0xFF8000).view(np.float32)
        >>> camera = RGBDCamera(x=[0.1], y=[0.0], z=[2.0], rgb=[float(orange)])
        >>> hex(np.array(camera.rgb, np.float32).view(np.uint32)[0])
        '0xff8000'
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = points(_RGB, _INTENSITY)


class ToFCamera(_DepthCamera, Serializable, HeaderMixin):
    """Points of a time-of-flight camera; see `RGBDCamera`.

    Attributes:
        noise: Expected error of the distance, in units of the device.
        grayscale: Brightness without the light of the camera, in units of the device.

    Source: columns are those of Mosaico 0.4.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = points(
        _RGB,
        _INTENSITY,
        column("noise", FLOAT, "Errors of the distances."),
        column("grayscale", FLOAT, "Ambient brightness."),
    )

    noise: list[float] | None = None
    grayscale: list[float] | None = None


class StereoCamera(_DepthCamera, Serializable, HeaderMixin):
    """Points of a stereo camera; see `RGBDCamera`.

    Attributes:
        luma: Brightness, 0 to 255.
        cost: Matching cost of the two pictures, 0 (best) to 255.

    Source: columns are those of Mosaico 0.4.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = points(
        _RGB,
        _INTENSITY,
        column("luma", OCTET, "Brightness."),
        column("cost", OCTET, "Costs of the match."),
    )

    luma: list[int] | None = None
    cost: list[int] | None = None
