"""Data classes of sensors.

`__all__` names classes only, so that `import *` does not bring the module `range` over the builtin.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mosaicolabs.models.sensors.camera import CameraInfo
from mosaicolabs.models.sensors.gps import GPS, GPSStatus, NMEASentence
from mosaicolabs.models.sensors.imu import IMU
from mosaicolabs.models.sensors.magnetometer import Magnetometer
from mosaicolabs.models.sensors.pressure import Pressure
from mosaicolabs.models.sensors.range import Range
from mosaicolabs.models.sensors.robot import RobotJoint
from mosaicolabs.models.sensors.temperature import Temperature

if TYPE_CHECKING:
    from mosaicolabs.models.sensors.image import (
        CompressedImage,
        Image,
        ImageFormat,
        StatefulDecodingSession,
    )

__all__ = [
    "GPS",
    "IMU",
    "CameraInfo",
    "CompressedImage",
    "GPSStatus",
    "Image",
    "ImageFormat",
    "Magnetometer",
    "NMEASentence",
    "Pressure",
    "Range",
    "RobotJoint",
    "StatefulDecodingSession",
    "Temperature",
]

_OF_IMAGES = frozenset({"CompressedImage", "Image", "ImageFormat", "StatefulDecodingSession"})


def __getattr__(name: str) -> Any:
    # Imported at their first use: Pillow takes long to import.
    if name in _OF_IMAGES:
        return getattr(import_module(f"{__name__}.image"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
