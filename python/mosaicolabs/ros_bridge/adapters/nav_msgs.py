"""`nav_msgs`."""

from typing import Any

from mosaicolabs.models.data import MotionState
from mosaicolabs.ros_bridge.adapter_base import ROSAdapterBase
from mosaicolabs.ros_bridge.ros_bridge import register_adapter

from .geometry_msgs import PoseAdapter, TwistAdapter


@register_adapter
class OdometryAdapter(ROSAdapterBase[MotionState]):
    """`Odometry` to `MotionState`, each part with its covariance; ROS gives no acceleration."""

    ros_msgtype = "nav_msgs/msg/Odometry"
    __mosaico_ontology_type__ = MotionState
    _REQUIRED_KEYS = ("pose", "twist", "child_frame_id")

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> MotionState:
        """The data object; `child_frame_id` is the target frame."""
        pose, twist, child_frame_id = cls._require(ros_data)
        return MotionState(
            pose=PoseAdapter.from_dict(pose),
            velocity=TwistAdapter.from_dict(twist),
            target_frame_id=child_frame_id,
            header=cls._header(ros_data),
        )

    @classmethod
    def to_dict(cls, data: MotionState, ros_type: str) -> dict[str, Any]:
        """The fields; `Odometry` has no place for an acceleration."""
        return {
            "pose": PoseAdapter.to_dict(data.pose, "PoseWithCovariance"),
            "twist": TwistAdapter.to_dict(data.velocity, "TwistWithCovariance"),
            "child_frame_id": data.target_frame_id,
        }
