"""Calibration of cameras."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.data.geometry import Vector2d
from mosaicolabs.models.data.roi import ROI
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class CameraInfo(Serializable, HeaderMixin):
    """Intrinsic calibration of a camera. Lengths of the lists are checked when a message is encoded.

    Attributes:
        height: Of the image at calibration, px.
        width: Of the image at calibration, px.
        distortion_model: Name of the model, e.g. `plumb_bob`, `equidistant`.
        distortion_parameters: As many as the model needs.
        intrinsic_parameters: K, 3x3 row by row: `fx 0 cx, 0 fy cy, 0 0 1`, px.
        rectification_parameters: R, 3x3 row by row; identity for a monocular camera.
        projection_parameters: P, 3x4 row by row, px.
        binning: Pixels combined along x and y. None: not binned.
        roi: Part of the sensor that was read. None: the whole sensor.

    Source: meanings follow ROS `sensor_msgs/CameraInfo`.

    Example:
        >>> info = CameraInfo(
        ...     height=480,
        ...     width=752,
        ...     distortion_model="plumb_bob",
        ...     distortion_parameters=[0, 0, 0, 0, 0],
        ...     intrinsic_parameters=[458.0, 0, 367.0, 0, 457.0, 248.0, 0, 0, 1],
        ...     rectification_parameters=[1, 0, 0, 0, 1, 0, 0, 0, 1],
        ...     projection_parameters=[458.0, 0, 367.0, 0, 0, 457.0, 248.0, 0, 0, 0, 1, 0],
        ... )
        >>> info.width
        752
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("height", pa.uint32(), "Image height at calibration, px.", required=True),
            column("width", pa.uint32(), "Image width at calibration, px.", required=True),
            column("distortion_model", pa.string(), "Name of the distortion model.", required=True),
            column(
                "distortion_parameters", pa.list_(pa.float64()), "Parameters of the model.", required=True
            ),
            column(
                "intrinsic_parameters", pa.list_(pa.float64(), 9), "K, 3x3 row by row, px.", required=True
            ),
            column(
                "rectification_parameters", pa.list_(pa.float64(), 9), "R, 3x3 row by row.", required=True
            ),
            column(
                "projection_parameters", pa.list_(pa.float64(), 12), "P, 3x4 row by row, px.", required=True
            ),
            column("binning", Vector2d.__msco_pyarrow_struct__, "Pixels combined along x and y."),
            column("roi", ROI.__msco_pyarrow_struct__, "Part of the sensor that was read."),
        ]
    )

    height: int
    width: int
    distortion_model: str
    distortion_parameters: list[float]
    intrinsic_parameters: list[float]
    rectification_parameters: list[float]
    projection_parameters: list[float]
    binning: Vector2d | None = None
    roi: ROI | None = None
