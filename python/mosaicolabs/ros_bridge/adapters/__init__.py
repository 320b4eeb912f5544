"""The adapters, a module per ROS package. Importing this package registers all of them."""

from .geometry_msgs import (
    AccelAdapter,
    PointAdapter,
    PoseAdapter,
    QuaternionAdapter,
    TransformAdapter,
    TwistAdapter,
    Vector3Adapter,
    WrenchAdapter,
)
from .nav_msgs import OdometryAdapter
from .scan_msgs import JoyAdapter, LaserScanAdapter, MultiEchoLaserScanAdapter, PointCloudAdapter
from .sensor_msgs import (
    BatteryStateAdapter,
    CameraInfoAdapter,
    CompressedImageAdapter,
    FluidPressureAdapter,
    GPSAdapter,
    ImageAdapter,
    IMUAdapter,
    MagneticFieldAdapter,
    NavSatStatusAdapter,
    NMEASentenceAdapter,
    RobotJointAdapter,
    ROIAdapter,
    TemperatureAdapter,
)
from .std_msgs import GenericStdAdapter
from .tf2_msgs import FrameTransformAdapter

__all__ = [
    "AccelAdapter",
    "BatteryStateAdapter",
    "CameraInfoAdapter",
    "CompressedImageAdapter",
    "FluidPressureAdapter",
    "FrameTransformAdapter",
    "GPSAdapter",
    "GenericStdAdapter",
    "IMUAdapter",
    "ImageAdapter",
    "JoyAdapter",
    "LaserScanAdapter",
    "MagneticFieldAdapter",
    "MultiEchoLaserScanAdapter",
    "NMEASentenceAdapter",
    "NavSatStatusAdapter",
    "OdometryAdapter",
    "PointAdapter",
    "PointCloudAdapter",
    "PoseAdapter",
    "QuaternionAdapter",
    "ROIAdapter",
    "RobotJointAdapter",
    "TemperatureAdapter",
    "TransformAdapter",
    "TwistAdapter",
    "Vector3Adapter",
    "WrenchAdapter",
]
