"""The adapters, one module per ROS package. Importing this package registers all of them."""

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
from .override_msgs import (
    LidarAdapter,
    PointCloudAdapterBase,
    RadarAdapter,
    RGBDCameraAdapter,
    StereoCameraAdapter,
    ToFCameraAdapter,
)
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
    RangeAdapter,
    RobotJointAdapter,
    ROIAdapter,
    TemperatureAdapter,
)
from .std_msgs import GenericStdAdapter
from .tf2_msgs import FrameTransformAdapter, OldFrameTransformAdapter

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
    "LidarAdapter",
    "MagneticFieldAdapter",
    "MultiEchoLaserScanAdapter",
    "NMEASentenceAdapter",
    "NavSatStatusAdapter",
    "OdometryAdapter",
    "OldFrameTransformAdapter",
    "PointAdapter",
    "PointCloudAdapter",
    "PointCloudAdapterBase",
    "PoseAdapter",
    "QuaternionAdapter",
    "RGBDCameraAdapter",
    "ROIAdapter",
    "RadarAdapter",
    "RangeAdapter",
    "RobotJointAdapter",
    "StereoCameraAdapter",
    "TemperatureAdapter",
    "ToFCameraAdapter",
    "TransformAdapter",
    "TwistAdapter",
    "Vector3Adapter",
    "WrenchAdapter",
]
