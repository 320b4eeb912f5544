"""Inertial sensors."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models._arrow import column
from mosaicolabs.models.data.geometry import Quaternion, Vector3d
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


class IMU(Serializable, HeaderMixin):
    """One inertial sample, in the sensor frame.

    Attributes:
        acceleration: Specific force, x y z, m/s^2; at rest it points up with 9.81 m/s^2.
        angular_velocity: About x y z, rad/s. None: not measured.
        orientation: `world_from_sensor`, unit quaternion x y z w. None: not estimated.

    Source: meanings follow ROS `sensor_msgs/Imu`; axes follow REP 103.

    Example:
        >>> IMU(acceleration=Vector3d(x=0, y=0, z=9.81)).acceleration.z
        9.81
    """

    # Mosaico 0.2 requires the angular velocity; here, accelerometers alone are allowed.
    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("acceleration", Vector3d.__msco_pyarrow_struct__, "Specific force, m/s^2.", required=True),
            column("angular_velocity", Vector3d.__msco_pyarrow_struct__, "Angular velocity, rad/s."),
            column("orientation", Quaternion.__msco_pyarrow_struct__, "Rotation world_from_sensor."),
        ]
    )

    acceleration: Vector3d
    angular_velocity: Vector3d | None = None
    orientation: Quaternion | None = None
