"""The import path of Mosaico 0.2."""

from mosaicolabs.models.ros.frame_transform import FrameTransform

__all__ = ["FrameTransform"]
