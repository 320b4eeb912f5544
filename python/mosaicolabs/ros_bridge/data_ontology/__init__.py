"""Data classes that exist because ROS has such messages; those of clouds are in `point_cloud`."""

from .battery_state import BatteryState
from .frame_transform import FrameTransform

__all__ = ["BatteryState", "FrameTransform"]
