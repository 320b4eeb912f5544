"""Parts of images."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.data.geometry import Vector2d
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class ROI(Serializable, HeaderMixin):
    """A rectangle in an image.

    Attributes:
        offset: Upper left corner: x to the right, y down, px.
        height: px.
        width: px.
        do_rectify: Whether the rectangle refers to the rectified image. None means no.

    Source: meanings follow ROS `sensor_msgs/RegionOfInterest`.

    Example:
        >>> ROI(offset=Vector2d(x=16, y=8), height=120, width=160).offset.x
        16.0
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("offset", Vector2d.__msco_pyarrow_struct__, "Upper left corner, px.", required=True),
            column("height", pa.uint32(), "Height, px.", required=True),
            column("width", pa.uint32(), "Width, px.", required=True),
            column("do_rectify", pa.bool_(), "Meant in the rectified image; null means no."),
        ]
    )

    offset: Vector2d
    height: int
    width: int
    do_rectify: bool | None = None
