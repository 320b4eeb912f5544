"""`tf2_msgs`, and `tf` of older ROS 1."""

from typing import Any

from mosaicolabs.ros_bridge.adapter_base import ROSAdapterBase
from mosaicolabs.ros_bridge.data_ontology import FrameTransform
from mosaicolabs.ros_bridge.ros_bridge import register_adapter, register_fallback_adapter
from mosaicolabs.ros_bridge.ros_message import header_fields

from .geometry_msgs import TransformAdapter


@register_adapter
class FrameTransformAdapter(ROSAdapterBase[FrameTransform]):
    """`TFMessage` to `FrameTransform`. It has no header, so its time is that of the bag."""

    ros_msgtype = "tf2_msgs/msg/TFMessage"
    __mosaico_ontology_type__ = FrameTransform
    _REQUIRED_KEYS = ("transforms",)

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> FrameTransform:
        """The data object; each transform keeps its own header."""
        (transforms,) = cls._require(ros_data)
        return FrameTransform(transforms=[TransformAdapter.from_dict(transform) for transform in transforms])

    @classmethod
    def to_dict(cls, data: FrameTransform, ros_type: str) -> dict[str, Any]:
        """The fields."""
        return {
            "transforms": [
                {
                    **TransformAdapter.to_dict(transform, "TransformStamped"),
                    "header": header_fields(transform.header),
                }
                for transform in data.transforms
            ]
        }


@register_fallback_adapter
class OldFrameTransformAdapter(FrameTransformAdapter):
    """`tfMessage` of the package `tf`, with the fields of `TFMessage`, to `FrameTransform`."""

    ros_msgtype = "tf/msg/tfMessage"
