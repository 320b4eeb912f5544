"""Frames."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.data.geometry import Transform
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class FrameTransform(Serializable, HeaderMixin):
    """Transforms that were published together.

    Attributes:
        transforms: Each with the time and the source frame in its own header.

    Source: meanings follow ROS `tf2_msgs/TFMessage`.

    Example:
        >>> FrameTransform(transforms=[]).ontology_tag()
        'frame_transform'
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column(
                "transforms",
                pa.list_(Transform.__msco_pyarrow_struct__),
                "List of transforms.",
                required=True,
            )
        ]
    )

    transforms: list[Transform]
