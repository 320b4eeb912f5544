"""Adapters of point clouds by sensor, for `adapter_overrides`: a `PointCloud2` does not name its sensor.

Values of a point become columns of the class by name; values without a column are dropped.
`PointCloudAdapter` keeps everything, as bytes.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .scan_msgs import PointCloudAdapter, _LazyAdapter


class PointCloudAdapterBase(_LazyAdapter):
    """`PointCloud2` to a class that has a list for each value of a point.

    Attributes:
        _OTHER_NAMES: Alternative names of columns in drivers.
    """

    ros_msgtype = PointCloudAdapter.ros_msgtype
    _REQUIRED_KEYS = PointCloudAdapter._REQUIRED_KEYS
    _OTHER_NAMES: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    octets_as_bytes = True

    @classmethod
    def decode(cls, ros_data: dict[str, Any]) -> dict[str, list[Any]]:
        """The columns of the class, each with one value per point, row by row of the cloud.

        Raises:
            ValueError: Coordinates or bytes are missing, or a value does not fit its column.
        """
        points = PointCloudAdapter.from_dict(ros_data).to_numpy().reshape(-1)
        there = points.dtype.names or ()
        columns = {}
        for column in cls.ontology_data_type().__msco_pyarrow_struct__:
            names = (column.name, *cls._OTHER_NAMES.get(column.name, ()))
            name = next((name for name in names if name in there), None)
            if name is not None and pa.types.is_list(column.type):
                columns[column.name] = cls._values(column, name, points[name]).tolist()
            elif not column.nullable:
                raise ValueError(
                    f"{cls.__name__} needs points with {column.name}; they have {', '.join(there)}"
                )
        return columns

    @classmethod
    def _values(cls, column: pa.Field, name: str, values: NDArray[Any]) -> NDArray[Any]:
        wanted = np.dtype(column.type.value_type.to_pandas_dtype())
        if values.ndim != 1:
            raise ValueError(f"`{name}` has {values.shape[1]} values per point, expected one")
        with np.errstate(invalid="ignore"):
            cast = values.astype(wanted)
        if wanted.kind != "f" and not np.array_equal(cast, values):
            raise ValueError(
                f"`{name}` has values that do not fit {wanted}, between {values.min()} and {values.max()}"
            )
        return cast

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> Any:
        """The data object."""
        return cls.ontology_data_type()(**cls.decode(ros_data), header=cls._header(ros_data))


class LidarAdapter(PointCloudAdapterBase):
    """`PointCloud2` of a lidar to `Lidar`."""

    _CLASS = "mosaicolabs.models.futures.lidar:Lidar"
    _OTHER_NAMES: ClassVar = {
        "beam_id": ("ring", "channel", "line"),
        "near_ir": ("ambient",),
        "point_timestamp": ("timestamp", "time", "t"),
    }


class RadarAdapter(PointCloudAdapterBase):
    """`PointCloud2` of a radar to `Radar`."""

    _CLASS = "mosaicolabs.models.futures.radar:Radar"


class _DepthCameraAdapter(PointCloudAdapterBase):
    _OTHER_NAMES: ClassVar = {"rgb": ("rgba",)}

    @classmethod
    def _values(cls, column: pa.Field, name: str, values: NDArray[Any]) -> NDArray[Any]:
        if column.name != "rgb":
            return super()._values(column, name, values)
        if values.dtype.itemsize != 4 or values.ndim != 1:
            raise ValueError(f"`{name}` is {values.dtype}, expected colours in the bits of 32")
        # Without alpha: with it a float32 may be a NaN, whose bits do not survive.
        bits = np.ascontiguousarray(values).view(values.dtype.str.replace("f", "u").replace("i", "u"))
        colours: NDArray[Any] = (bits.astype(np.uint32) & 0xFFFFFF).view(np.float32)
        return colours


class RGBDCameraAdapter(_DepthCameraAdapter):
    """`PointCloud2` of a camera for colour and depth to `RGBDCamera`."""

    _CLASS = "mosaicolabs.models.futures.depth_camera:RGBDCamera"


class ToFCameraAdapter(_DepthCameraAdapter):
    """`PointCloud2` of a time-of-flight camera to `ToFCamera`."""

    _CLASS = "mosaicolabs.models.futures.depth_camera:ToFCamera"


class StereoCameraAdapter(_DepthCameraAdapter):
    """`PointCloud2` of a stereo camera to `StereoCamera`."""

    _CLASS = "mosaicolabs.models.futures.depth_camera:StereoCamera"
