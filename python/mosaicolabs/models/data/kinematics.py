"""Motion."""

from typing import ClassVar

import pyarrow as pa
from pydantic import model_validator
from typing_extensions import Self

from mosaicolabs.models._arrow import column
from mosaicolabs.models.base_model import BaseModel
from mosaicolabs.models.data.geometry import Pose, Vector3d
from mosaicolabs.models.mixins import CovarianceMixin, HeaderMixin
from mosaicolabs.models.serializable import Serializable


def _linear_and_angular(unit: str) -> pa.StructType:
    vector = Vector3d.__msco_pyarrow_struct__
    return pa.struct(
        [
            column("linear", vector, f"Linear part, m/{unit}."),
            column("angular", vector, f"Angular part, rad/{unit}."),
        ]
    )


class _LinearAndAngular(BaseModel):
    """Linear and angular part, at least one of them."""

    linear: Vector3d | None = None
    angular: Vector3d | None = None

    @model_validator(mode="after")
    def check_at_least_one_exists(self) -> Self:
        """At least one part is measured."""
        if self.linear is None and self.angular is None:
            raise ValueError(f"{type(self).__name__} has neither linear nor angular; give at least one")
        return self


class Velocity(_LinearAndAngular, Serializable, HeaderMixin, CovarianceMixin):
    """A velocity in the frame of the header; at least one part is given.

    Attributes:
        linear: x y z, m/s. None: not measured.
        angular: About x y z, rad/s. None: not measured.

    Source: meanings follow ROS `geometry_msgs/Twist`.

    Example:
        >>> Velocity(linear=Vector3d(x=1, y=0, z=0)).angular is None
        True
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _linear_and_angular("s")


class Acceleration(_LinearAndAngular, Serializable, HeaderMixin, CovarianceMixin):
    """An acceleration in the frame of the header; at least one part is given.

    Attributes:
        linear: x y z, m/s^2. None: not measured.
        angular: About x y z, rad/s^2. None: not measured.

    Source: meanings follow ROS `geometry_msgs/Accel`.

    Example:
        >>> Acceleration(angular=Vector3d(x=0, y=0, z=0.1)).angular.z
        0.1
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _linear_and_angular("s^2")


class MotionState(Serializable, HeaderMixin, CovarianceMixin):
    """Pose and motion of a body, as estimated by an odometry or a ground truth.

    Attributes:
        pose: In the frame of the header.
        velocity: In the frame named by `target_frame_id`.
        target_frame_id: Frame of the body.
        acceleration: In the frame named by `target_frame_id`. None: not estimated.

    Source: meanings follow ROS `nav_msgs/Odometry`.

    Example:
        >>> from mosaicolabs.models.data import Point3d, Quaternion
        >>> state = MotionState(
        ...     pose=Pose(position=Point3d(x=0, y=0, z=2), orientation=Quaternion(x=0, y=0, z=0, w=1)),
        ...     velocity=Velocity(linear=Vector3d(x=1, y=0, z=0)),
        ...     target_frame_id="base_link",
        ... )
        >>> state.velocity.linear.x
        1.0
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("pose", Pose.__msco_pyarrow_struct__, "Pose in the frame of the header.", required=True),
            column(
                "velocity", Velocity.__msco_pyarrow_struct__, "Velocity in the target frame.", required=True
            ),
            column("target_frame_id", pa.string(), "Frame of the body.", required=True),
            column("acceleration", Acceleration.__msco_pyarrow_struct__, "Acceleration in the target frame."),
        ]
    )

    pose: Pose
    velocity: Velocity
    target_frame_id: str
    acceleration: Acceleration | None = None
