"""Actuated joints."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class RobotJoint(Serializable, HeaderMixin):
    """State of the joints of a robot; all lists have one item per joint.

    Attributes:
        names: Names of the joints.
        positions: rad for revolute, m for prismatic joints.
        velocities: rad/s or m/s.
        efforts: N*m or N.

    Source: meanings follow ROS `sensor_msgs/JointState`. Equal lengths are not checked: a source
    that does not measure a quantity leaves its list empty.

    Example:
        >>> RobotJoint(names=["elbow"], positions=[1.57], velocities=[0.0], efforts=[]).names
        ['elbow']
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("names", pa.list_(pa.string()), "Names of the joints.", required=True),
            column("positions", pa.list_(pa.float64()), "rad or m.", required=True),
            column("velocities", pa.list_(pa.float64()), "rad/s or m/s.", required=True),
            column("efforts", pa.list_(pa.float64()), "N*m or N.", required=True),
        ]
    )

    names: list[str]
    positions: list[float]
    velocities: list[float]
    efforts: list[float]
