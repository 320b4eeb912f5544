"""Point clouds as ROS packs them."""

from enum import IntEnum
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class PointFieldDataType(IntEnum):
    """Type of a value in a point.

    Source: codes of ROS `sensor_msgs/PointField`.
    """

    INT8 = 1
    UINT8 = 2
    INT16 = 3
    UINT16 = 4
    INT32 = 5
    UINT32 = 6
    FLOAT32 = 7
    FLOAT64 = 8


_KINDS = dict(zip(PointFieldDataType, ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"), strict=True))


class PointField(Serializable):
    """One field of the points of a cloud.

    Attributes:
        name: Name, such as `x`, `intensity`.
        offset: Offset of its first byte in a point.
        datatype: Type of its values.
        count: Number of its values.

    Source: ROS `sensor_msgs/PointField`.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("name", pa.string(), "Name.", required=True),
            column("offset", pa.uint32(), "First byte in a point.", required=True),
            column("datatype", pa.int64(), "Code of the type.", required=True),
            column("count", pa.uint32(), "Number of values.", required=True),
        ]
    )

    name: str
    offset: int
    datatype: PointFieldDataType
    count: int


class PointCloud2(Serializable, HeaderMixin):
    """Points with named fields, as bytes.

    Attributes:
        height: Rows of an organized cloud; 1 for unorganized ones.
        width: Points per row.
        fields: Fields of a point.
        is_bigendian: Byte order.
        point_step: Bytes from one point to the next.
        row_step: Bytes from one row to the next.
        data: `height * row_step` bytes.
        is_dense: Whether all points are valid.

    Source: ROS `sensor_msgs/PointCloud2`.

    Example:
        >>> x = PointField(name="x", offset=0, datatype=PointFieldDataType.FLOAT32, count=1)
        >>> cloud = PointCloud2(
        ...     height=1, width=2, fields=[x], is_bigendian=False, point_step=4, row_step=8,
        ...     data=np.array([1.5, 2.5], "<f4").tobytes(), is_dense=True,
        ... )
        >>> cloud.to_numpy()["x"].tolist()
        [[1.5, 2.5]]
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("height", pa.uint32(), "Rows.", required=True),
            column("width", pa.uint32(), "Points per row.", required=True),
            column(
                "fields", pa.list_(PointField.__msco_pyarrow_struct__), "Fields of a point.", required=True
            ),
            column("is_bigendian", pa.bool_(), "Byte order.", required=True),
            column("point_step", pa.uint32(), "Bytes of a point.", required=True),
            column("row_step", pa.uint32(), "Bytes of a row.", required=True),
            column("data", pa.binary(), "The points.", required=True),
            column("is_dense", pa.bool_(), "Whether all points are valid.", required=True),
        ]
    )

    height: int
    width: int
    fields: list[PointField]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: bytes
    is_dense: bool

    def to_numpy(self) -> npt.NDArray[Any]:
        """The points as a structured array of shape (height, width), a read-only view of `data`.

        Raises:
            ValueError: The fields exceed the points, or bytes are missing.
        """
        order = ">" if self.is_bigendian else "<"
        point: np.dtype[Any] = np.dtype(
            {
                "names": [field.name for field in self.fields],
                "formats": [_format(field, order) for field in self.fields],
                "offsets": [field.offset for field in self.fields],
                "itemsize": self.point_step,
            }
        )
        if len(self.data) < self.height * self.row_step or self.row_step < self.width * self.point_step:
            raise ValueError(
                f"{len(self.data)} bytes are not {self.height} rows of {self.row_step} bytes with "
                f"{self.width} points of {self.point_step} bytes"
            )
        shape, strides = (self.height, self.width), (self.row_step, self.point_step)
        points: npt.NDArray[Any] = np.ndarray(shape, point, self.data, strides=strides)
        return points


def _format(field: PointField, order: str) -> Any:
    kind = f"{order}{_KINDS[field.datatype]}"
    return kind if field.count == 1 else (kind, (field.count,))
