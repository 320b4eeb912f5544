"""Data classes of messages that only ROS has, under the import path of Mosaico 0.2."""

from typing import Any

from .battery_state import BatteryState
from .frame_transform import FrameTransform

__all__ = ["BatteryState", "FrameTransform"]


def __getattr__(name: str) -> Any:
    # Imported at first use: see mosaicolabs.models._lazy_registry.
    if name in ("PointCloud2", "PointField"):
        from . import point_cloud

        return getattr(point_cloud, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
