"""Data classes that exist because ROS has such messages."""

from .battery_state import BatteryState
from .frame_transform import FrameTransform

__all__ = ["BatteryState", "FrameTransform"]
