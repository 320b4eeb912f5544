"""Data classes of sensors.

`__all__` names classes only, so that `import *` does not bring the module `range` over the builtin.
"""

from typing import TYPE_CHECKING

from mosaicolabs._lazy_names import lazy_names
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

# Pillow takes long to import.
_OF_IMAGES = ("CompressedImage", "Image", "ImageFormat", "StatefulDecodingSession")

__getattr__ = lazy_names(__name__, dict.fromkeys(_OF_IMAGES, "image"), ["image"])
