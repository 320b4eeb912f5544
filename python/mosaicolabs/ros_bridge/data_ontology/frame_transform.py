"""The name under which Mosaico has it."""

from mosaicolabs.models.ros.frame_transform import FrameTransform

__all__ = ["FrameTransform"]
