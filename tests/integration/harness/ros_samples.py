"""One message of every ROS type with an adapter, and its expected data object."""

from typing import Any

from mosaicolabs.models import Header, Serializable, Time
from mosaicolabs.models.data import (
    ROI,
    Acceleration,
    Boolean,
    Floating32,
    Floating64,
    ForceTorque,
    Integer8,
    Integer16,
    Integer32,
    Integer64,
    MotionState,
    Point3d,
    Pose,
    Quaternion,
    String,
    Transform,
    Unsigned8,
    Unsigned16,
    Unsigned32,
    Unsigned64,
    Vector2d,
    Vector3d,
    Velocity,
)
from mosaicolabs.models.futures import LaserScan, MultiEchoLaserScan
from mosaicolabs.models.ros.point_cloud import PointCloud2
from mosaicolabs.models.sensors import (
    GPS,
    IMU,
    CameraInfo,
    CompressedImage,
    GPSStatus,
    Image,
    ImageFormat,
    Magnetometer,
    NMEASentence,
    Pressure,
    Range,
    RobotJoint,
    Temperature,
)
from mosaicolabs.models.sensors.joy import Joy
from mosaicolabs.ros_bridge.data_ontology import BatteryState, FrameTransform

from .bags import header

STAMP_NS = 1_700_000_000_123_456_789
SEQ = 41

# ROS fields, and the same as data objects. All numbers differ, so that none can stand for another.
XYZ = {"x": 1.5, "y": -2.5, "z": 3.25}
UVW = {"x": -4.5, "y": 5.5, "z": 6.75}
XYZW = {"x": 0.5, "y": -0.5, "z": 0.5, "w": -0.5}
COV36 = [i / 8 for i in range(36)]
COV36_TWIST = [100 + i / 8 for i in range(36)]
COV9 = [i / 4 + 1 for i in range(9)]
PIXELS = bytes(range(24))
JPEG = b"\xff\xd8 not decoded here \xff\xd9"


def sample_header(seq: int | None) -> Header:
    return Header(stamp=Time(sec=STAMP_NS // 10**9, nanosec=STAMP_NS % 10**9), frame_id="frame", seq=seq)


def samples(seq: int | None) -> dict[str, tuple[dict[str, Any], Serializable]]:
    """By ROS type: fields, and the data object. `seq`: of headers; ROS 2 has none."""
    in_ros = {"header": header(STAMP_NS, seq=SEQ)}
    at = {"header": sample_header(seq)}
    vector, turn = Vector3d(**XYZ), Vector3d(**UVW)
    point, quaternion = Point3d(**XYZ), Quaternion(**XYZW)
    roi = {"x_offset": 3, "y_offset": 4, "height": 5, "width": 6, "do_rectify": True}

    geometry: dict[str, tuple[dict[str, Any], Serializable]] = {
        "Vector3": (XYZ, vector),
        "Vector3Stamped": ({**in_ros, "vector": XYZ}, Vector3d(**XYZ, **at)),
        "Point": (XYZ, point),
        "PointStamped": ({**in_ros, "point": XYZ}, Point3d(**XYZ, **at)),
        "Quaternion": (XYZW, quaternion),
        "QuaternionStamped": ({**in_ros, "quaternion": XYZW}, Quaternion(**XYZW, **at)),
        "Transform": (
            {"translation": XYZ, "rotation": XYZW},
            Transform(translation=vector, rotation=quaternion),
        ),
        "TransformStamped": (
            {**in_ros, "child_frame_id": "child", "transform": {"translation": XYZ, "rotation": XYZW}},
            Transform(translation=vector, rotation=quaternion, target_frame_id="child", **at),
        ),
        "Wrench": ({"force": XYZ, "torque": UVW}, ForceTorque(force=vector, torque=turn)),
        "WrenchStamped": (
            {**in_ros, "wrench": {"force": XYZ, "torque": UVW}},
            ForceTorque(force=vector, torque=turn, **at),
        ),
    }
    families: tuple[tuple[str, str, dict[str, Any], type[Any], dict[str, Any]], ...] = (
        (
            "Pose",
            "pose",
            {"position": XYZ, "orientation": XYZW},
            Pose,
            {"position": point, "orientation": quaternion},
        ),
        ("Twist", "twist", {"linear": XYZ, "angular": UVW}, Velocity, {"linear": vector, "angular": turn}),
        (
            "Accel",
            "accel",
            {"linear": XYZ, "angular": UVW},
            Acceleration,
            {"linear": vector, "angular": turn},
        ),
    )
    for name, key, plain, cls, values in families:
        with_covariance = {key: plain, "covariance": COV36}
        geometry |= {
            name: (plain, cls(**values)),
            f"{name}Stamped": ({**in_ros, key: plain}, cls(**values, **at)),
            f"{name}WithCovariance": (with_covariance, cls(**values, covariance=COV36)),
            f"{name}WithCovarianceStamped": (
                {**in_ros, key: with_covariance},
                cls(**values, covariance=COV36, **at),
            ),
        }

    sensors: dict[str, tuple[dict[str, Any], Serializable]] = {
        "Imu": (
            {
                **in_ros,
                "orientation": XYZW,
                "orientation_covariance": COV9,
                "angular_velocity": UVW,
                "angular_velocity_covariance": [0.0] * 9,
                "linear_acceleration": XYZ,
                "linear_acceleration_covariance": [value * 2 for value in COV9],
            },
            IMU(
                acceleration=Vector3d(**XYZ, covariance=[value * 2 for value in COV9]),
                angular_velocity=turn,
                orientation=Quaternion(**XYZW, covariance=COV9),
                **at,
            ),
        ),
        "NavSatFix": (
            {
                **in_ros,
                "status": {"status": -1, "service": 5},
                "latitude": 45.5,
                "longitude": 9.25,
                "altitude": 120.75,
                "position_covariance": COV9,
                "position_covariance_type": 2,
            },
            GPS(
                position=Point3d(x=45.5, y=9.25, z=120.75, covariance=COV9, covariance_type=2),
                status=GPSStatus(status=-1, service=5),
                **at,
            ),
        ),
        "CameraInfo": (
            {
                **in_ros,
                "height": 480,
                "width": 752,
                "distortion_model": "plumb_bob",
                "d": COV9[:5],
                "k": COV9,
                "r": [value * 2 for value in COV9],
                "p": COV36[:12],
                "binning_x": 1,
                "binning_y": 2,
                "roi": roi,
            },
            CameraInfo(
                height=480,
                width=752,
                distortion_model="plumb_bob",
                distortion_parameters=COV9[:5],
                intrinsic_parameters=COV9,
                rectification_parameters=[value * 2 for value in COV9],
                projection_parameters=COV36[:12],
                binning=Vector2d(x=1, y=2),
                roi=ROI(offset=Vector2d(x=3, y=4), height=5, width=6, do_rectify=True),
                **at,
            ),
        ),
        "RegionOfInterest": (roi, ROI(offset=Vector2d(x=3, y=4), height=5, width=6, do_rectify=True)),
        "Image": (
            {
                **in_ros,
                "height": 3,
                "width": 2,
                "encoding": "rgb8",
                "is_bigendian": 0,
                "step": 8,
                "data": PIXELS,
            },
            Image.from_linear_pixels(PIXELS, 8, 3, 2, "rgb8", is_bigendian=False, **at),
        ),
        "CompressedImage": (
            {**in_ros, "format": "rgb8; jpeg compressed bgr8", "data": JPEG},
            CompressedImage(data=JPEG, format=ImageFormat.JPEG, **at),
        ),
        "JointState": (
            {**in_ros, "name": ["elbow", "knee"], "position": [1.5, 2.5], "velocity": [3.5, 4.5]},
            RobotJoint(
                names=["elbow", "knee"], positions=[1.5, 2.5], velocities=[3.5, 4.5], efforts=[], **at
            ),
        ),
        "BatteryState": (
            {**in_ros, **_BATTERY},
            BatteryState(**_BATTERY, **at),
        ),
        "MagneticField": (
            {
                **in_ros,
                "magnetic_field": {"x": 2**-15, "y": -(2**-16), "z": 0.0},
                "magnetic_field_covariance": [0.0] * 9,
            },
            Magnetometer(
                magnetic_field=Vector3d(x=30.517578125, y=-15.2587890625, z=0.0),
                **at,
            ),
        ),
        "Temperature": (
            {**in_ros, "temperature": 20.5, "variance": 0.25},
            Temperature.from_celsius(value=20.5, variance=0.25, **at),
        ),
        "Joy": (
            {**in_ros, "axes": [0.5, -0.25], "buttons": [1, 0, 7]},
            Joy(axes=[0.5, -0.25], buttons=[1, 0, 7], **at),
        ),
        "LaserScan": (
            {**in_ros, **_SCAN, "ranges": [1.5, 2.5], "intensities": [3.5, 4.5]},
            LaserScan(**_SCAN, ranges=[1.5, 2.5], intensities=[3.5, 4.5], **at),
        ),
        "MultiEchoLaserScan": (
            {**in_ros, **_SCAN, "ranges": [{"echoes": [1.5, 2.5]}, {"echoes": []}]},
            MultiEchoLaserScan(**_SCAN, ranges=[[1.5, 2.5], []], **at),
        ),
        "PointCloud2": (
            {**in_ros, **_CLOUD},
            PointCloud2(**_CLOUD, **at),
        ),
        "Range": (
            {
                **in_ros,
                "radiation_type": 1,
                "field_of_view": 0.5,
                "min_range": 0.25,
                "max_range": 4.0,
                "range": 1.5,
            },
            Range(radiation_type=1, field_of_view=0.5, min_range=0.25, max_range=4.0, range=1.5, **at),
        ),
        "FluidPressure": ({**in_ros, "fluid_pressure": 101325.5}, Pressure(value=101325.5, **at)),
    }
    others: dict[str, tuple[dict[str, Any], Serializable]] = {
        "nav_msgs/msg/Odometry": (
            {
                **in_ros,
                "child_frame_id": "base",
                "pose": {"pose": {"position": XYZ, "orientation": XYZW}, "covariance": COV36},
                "twist": {"twist": {"linear": XYZ, "angular": UVW}, "covariance": COV36_TWIST},
            },
            MotionState(
                pose=Pose(position=point, orientation=quaternion, covariance=COV36),
                velocity=Velocity(linear=vector, angular=turn, covariance=COV36_TWIST),
                target_frame_id="base",
                **at,
            ),
        ),
        "nmea_msgs/msg/Sentence": (
            {**in_ros, "sentence": "$GPGLL,1"},
            NMEASentence(sentence="$GPGLL,1", **at),
        ),
        "tf2_msgs/msg/TFMessage": (
            {
                "transforms": [
                    geometry["TransformStamped"][0],
                    {"transform": {"translation": UVW, "rotation": XYZW}, "child_frame_id": "b"},
                ]
            },
            FrameTransform(
                transforms=[
                    geometry["TransformStamped"][1],
                    Transform(
                        translation=turn,
                        rotation=quaternion,
                        target_frame_id="b",
                        header=Header(
                            stamp=Time(sec=0, nanosec=0), frame_id="", seq=None if seq is None else 0
                        ),
                    ),
                ]
            ),
        ),
    }
    others["tf/msg/tfMessage"] = others["tf2_msgs/msg/TFMessage"]
    values = {
        "String": String(data="hello wörld"),
        "Int8": Integer8(data=-(2**7)),
        "Int16": Integer16(data=-(2**15)),
        "Int32": Integer32(data=-(2**31)),
        "Int64": Integer64(data=-(2**63)),
        "UInt8": Unsigned8(data=2**8 - 1),
        "UInt16": Unsigned16(data=2**16 - 1),
        "UInt32": Unsigned32(data=2**32 - 1),
        "UInt64": Unsigned64(data=2**64 - 1),
        "Float32": Floating32(data=-0.15625),
        "Float64": Floating64(data=1e-300),
        "Bool": Boolean(data=True),
    }
    return {
        **{f"geometry_msgs/msg/{name}": sample for name, sample in geometry.items()},
        **{f"sensor_msgs/msg/{name}": sample for name, sample in sensors.items()},
        **others,
        **{f"std_msgs/msg/{name}": ({"data": data.data}, data) for name, data in values.items()},
    }


_SCAN: dict[str, Any] = {
    "angle_min": -1.5,
    "angle_max": 1.25,
    "angle_increment": 0.25,
    "time_increment": 0.125,
    "scan_time": 0.0625,
    "range_min": 0.5,
    "range_max": 30.0,
}

_CLOUD: dict[str, Any] = {
    "height": 2,
    "width": 1,
    "fields": [
        {"name": "x", "offset": 0, "datatype": 7, "count": 1},
        {"name": "ring", "offset": 4, "datatype": 4, "count": 1},
    ],
    "is_bigendian": False,
    "point_step": 6,
    "row_step": 8,
    "data": bytes(range(16)),
    "is_dense": True,
}

_BATTERY: dict[str, Any] = {
    "voltage": 12.5,
    "temperature": 21.5,
    "current": -1.25,
    "charge": 3.5,
    "capacity": 4.5,
    "design_capacity": 5.5,
    "percentage": 0.75,
    "power_supply_status": 2,
    "power_supply_health": 1,
    "power_supply_technology": 3,
    "present": True,
    "location": "bay",
    "serial_number": "s/n 7",
    "cell_voltage": [4.25, 4.125],
    "cell_temperature": [20.25, 20.125],
}
