"""Joysticks and gamepads."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class Joy(Serializable, HeaderMixin):
    """State of a joystick.

    Attributes:
        axes: -1 to 1 each.
        buttons: 1 pressed, 0 not.

    Source: ROS `sensor_msgs/Joy`.

    Example:
        >>> Joy(axes=[0.5, -1.0], buttons=[0, 1]).buttons
        [0, 1]
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("axes", pa.list_(pa.float32()), "Axes, -1 to 1.", required=True),
            column("buttons", pa.list_(pa.int32()), "Buttons, 1 pressed.", required=True),
        ]
    )

    axes: list[float]
    buttons: list[int]
