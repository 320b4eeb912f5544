"""General-purpose data classes."""

from mosaicolabs.models.data.base_types import (
    Boolean,
    Floating16,
    Floating32,
    Floating64,
    Integer8,
    Integer16,
    Integer32,
    Integer64,
    LargeString,
    String,
    Unsigned8,
    Unsigned16,
    Unsigned32,
    Unsigned64,
)
from mosaicolabs.models.data.dynamics import ForceTorque
from mosaicolabs.models.data.geometry import (
    Point2d,
    Point3d,
    Pose,
    Quaternion,
    Transform,
    Vector2d,
    Vector3d,
    Vector4d,
)
from mosaicolabs.models.data.kinematics import Acceleration, MotionState, Velocity
from mosaicolabs.models.data.roi import ROI

__all__ = [
    "ROI",
    "Acceleration",
    "Boolean",
    "Floating16",
    "Floating32",
    "Floating64",
    "ForceTorque",
    "Integer8",
    "Integer16",
    "Integer32",
    "Integer64",
    "LargeString",
    "MotionState",
    "Point2d",
    "Point3d",
    "Pose",
    "Quaternion",
    "String",
    "Transform",
    "Unsigned8",
    "Unsigned16",
    "Unsigned32",
    "Unsigned64",
    "Vector2d",
    "Vector3d",
    "Vector4d",
    "Velocity",
]
