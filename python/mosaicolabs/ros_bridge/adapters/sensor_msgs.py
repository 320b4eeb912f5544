"""`sensor_msgs` and `nmea_msgs`."""

import math
import re
import sys
from typing import Any

from mosaicolabs.models.data import ROI, Point3d, Quaternion, Vector2d, Vector3d
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
from mosaicolabs.ros_bridge.adapter_base import ROSAdapterBase
from mosaicolabs.ros_bridge.data_ontology import BatteryState
from mosaicolabs.ros_bridge.ros_bridge import register_adapter, register_fallback_adapter

from ._depth import unpack_depth
from .geometry_msgs import QuaternionAdapter, Vector3Adapter

_CODECS = {
    "jpeg": ImageFormat.JPEG,
    "jpg": ImageFormat.JPEG,
    "png": ImageFormat.PNG,
    "tiff": ImageFormat.TIFF,
    "h264": ImageFormat.H264,
    "hevc": ImageFormat.HEVC,
    "h265": ImageFormat.HEVC,
}
_MICROTESLA = 1e6


def _known(covariance: list[float] | None) -> list[float] | None:
    """A covariance matrix; all zeros stand for "unknown" in ROS."""
    return covariance if covariance and any(covariance) else None


def _not_measured(covariance: list[float] | None) -> bool:
    """ROS marks a quantity that a sensor does not measure with -1 as the first element."""
    return bool(covariance) and covariance is not None and covariance[0] == -1


_NOT_MEASURED = [-1.0, *[0.0] * 8]


@register_adapter
class IMUAdapter(ROSAdapterBase[IMU]):
    """`Imu` to `IMU`. Quantities that the message marks as not measured become None."""

    ros_msgtype = "sensor_msgs/msg/Imu"
    __mosaico_ontology_type__ = IMU
    _REQUIRED_KEYS = ("linear_acceleration", "angular_velocity")

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> IMU:
        """The data object; without the covariance of the orientation, the orientation becomes None."""
        cls._require(ros_data)
        return IMU(
            acceleration=cls._vector(ros_data, "linear_acceleration"),
            angular_velocity=(
                None
                if _not_measured(ros_data.get("angular_velocity_covariance"))
                else cls._vector(ros_data, "angular_velocity")
            ),
            orientation=cls._orientation(ros_data),
            header=cls._header(ros_data),
        )

    @classmethod
    def _vector(cls, ros_data: dict[str, Any], key: str) -> Vector3d:
        vector = Vector3Adapter.from_dict(ros_data[key])
        vector.covariance = _known(ros_data.get(f"{key}_covariance"))
        return vector

    @classmethod
    def _orientation(cls, ros_data: dict[str, Any]) -> Quaternion | None:
        covariance = ros_data.get("orientation_covariance")
        if not covariance or _not_measured(covariance) or "orientation" not in ros_data:
            return None
        orientation = QuaternionAdapter.from_dict(ros_data["orientation"])
        orientation.covariance = _known(covariance)
        return orientation

    @classmethod
    def to_dict(cls, data: IMU, ros_type: str) -> dict[str, Any]:
        """The fields; quantities that are None are marked as not measured."""
        fields: dict[str, Any] = {}
        for key, part, adapter in (
            ("orientation", data.orientation, QuaternionAdapter),
            ("angular_velocity", data.angular_velocity, Vector3Adapter),
            ("linear_acceleration", data.acceleration, Vector3Adapter),
        ):
            fields[key] = None if part is None else adapter.to_dict(part)  # type: ignore[arg-type]
            fields[f"{key}_covariance"] = _NOT_MEASURED if part is None else part.covariance
        return fields


class NavSatStatusAdapter(ROSAdapterBase[GPSStatus]):
    """`NavSatStatus` to `GPSStatus`; a part of `NavSatFix`, not registered for topics."""

    ros_msgtype = "sensor_msgs/msg/NavSatFix"
    __mosaico_ontology_type__ = GPSStatus
    _REQUIRED_KEYS = ("status", "service")

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> GPSStatus:
        """The data object."""
        status, service = cls._require(ros_data)
        return GPSStatus(status=status, service=service)


@register_adapter
class GPSAdapter(ROSAdapterBase[GPS]):
    """`NavSatFix` to `GPS`, with the covariance of the position: east, north, up, m^2."""

    ros_msgtype = "sensor_msgs/msg/NavSatFix"
    __mosaico_ontology_type__ = GPS
    _REQUIRED_KEYS = ("latitude", "longitude", "altitude", "status")

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> GPS:
        """The data object."""
        latitude, longitude, altitude, status = cls._require(ros_data)
        return GPS(
            position=Point3d(
                x=latitude,
                y=longitude,
                z=altitude,
                covariance=ros_data.get("position_covariance"),
                covariance_type=ros_data.get("position_covariance_type"),
            ),
            status=NavSatStatusAdapter.from_dict(status),
            header=cls._header(ros_data),
        )

    @classmethod
    def to_dict(cls, data: GPS, ros_type: str) -> dict[str, Any]:
        """The fields; `NavSatFix` has no place for velocity, satellites and dilution."""
        position, status = data.position, data.status
        return {
            "latitude": position.x,
            "longitude": position.y,
            "altitude": position.z,
            "position_covariance": position.covariance,
            "position_covariance_type": position.covariance_type,
            "status": None if status is None else {"status": status.status, "service": status.service},
        }


@register_adapter
class NMEASentenceAdapter(ROSAdapterBase[NMEASentence]):
    """`Sentence` of `nmea_msgs` to `NMEASentence`."""

    ros_msgtype = "nmea_msgs/msg/Sentence"
    __mosaico_ontology_type__ = NMEASentence
    _REQUIRED_KEYS = ("sentence",)

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> NMEASentence:
        """The data object."""
        (sentence,) = cls._require(ros_data)
        return NMEASentence(sentence=sentence, header=cls._header(ros_data))

    @classmethod
    def to_dict(cls, data: NMEASentence, ros_type: str) -> dict[str, Any]:
        """The sentence."""
        return {"sentence": data.sentence}


@register_adapter
class ImageAdapter(ROSAdapterBase[Image]):
    """`Image` to `Image`.

    Option of `translate` and `from_dict`: `output_format`, `ImageFormat.PNG` (the default: smaller) or
    `ImageFormat.RAW` (faster).
    """

    ros_msgtype = "sensor_msgs/msg/Image"
    __mosaico_ontology_type__ = Image
    _REQUIRED_KEYS = ("data", "width", "height", "step", "encoding")
    octets_as_bytes = True

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any], **kwargs: Any) -> Image:
        """The data object; pixels of unknown encodings are kept too."""
        data, width, height, step, encoding = cls._require(ros_data)
        is_bigendian = ros_data.get("is_bigendian")
        return Image.from_linear_pixels(
            data=data,
            stride=step,
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=None if is_bigendian is None else bool(is_bigendian),
            header=cls._header(ros_data),
            format=ImageFormat(kwargs.get("output_format") or ImageFormat.PNG),
        )

    @classmethod
    def _data(cls, ros_data: dict[str, Any], options: dict[str, Any]) -> Image:
        return cls.from_dict(ros_data, **options)

    @classmethod
    def to_dict(cls, data: Image, ros_type: str) -> dict[str, Any]:
        """The fields, with the pixels outside of their container."""
        is_bigendian = sys.byteorder == "big" if data.is_bigendian is None else data.is_bigendian
        return {
            "height": data.height,
            "width": data.width,
            "encoding": data.encoding,
            "is_bigendian": int(is_bigendian),
            "step": data.stride,
            "data": data._unpacked(),
        }


@register_adapter
class CompressedImageAdapter(ROSAdapterBase[CompressedImage]):
    """`CompressedImage` to `CompressedImage`.

    `format` names the codec alone (`jpeg`), or as `image_transport` does (`rgb8; jpeg compressed bgr8`).
    Depth images (`16UC1; compressedDepth png`) lose the header before their picture, see `unpack_depth`.
    """

    ros_msgtype = "sensor_msgs/msg/CompressedImage"
    __mosaico_ontology_type__ = CompressedImage
    _REQUIRED_KEYS = ("data", "format")
    octets_as_bytes = True

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> CompressedImage:
        """The data object."""
        data, text = cls._require(ros_data)
        if "compresseddepth" in text.lower():
            picture, codec = unpack_depth(bytes(data), text)
        else:
            picture, codec = bytes(data), _codec(text)
        return CompressedImage(data=picture, format=codec, header=cls._header(ros_data))

    @classmethod
    def to_dict(cls, data: CompressedImage, ros_type: str) -> dict[str, Any]:
        """The fields; `format` names the codec alone."""
        return {"format": ImageFormat(data.format).value, "data": data.data}


def _codec(text: str) -> ImageFormat:
    words = re.findall(r"\w+", text.lower())
    codecs = {_CODECS[word] for word in words if word in _CODECS}
    if len(codecs) != 1:
        raise ValueError(f"format '{text}' does not name one codec of {', '.join(_CODECS)}")
    return codecs.pop()


@register_adapter
class ROIAdapter(ROSAdapterBase[ROI]):
    """`RegionOfInterest` to `ROI`."""

    # Mosaico 0.2 registers the first name; bags contain the second.
    ros_msgtype = ("sensor_msgs/RegionOfInterest", "sensor_msgs/msg/RegionOfInterest")
    __mosaico_ontology_type__ = ROI
    _REQUIRED_KEYS = ("height", "width", "x_offset", "y_offset")

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> ROI:
        """The data object."""
        height, width, x, y = cls._require(ros_data)
        return ROI(
            offset=Vector2d(x=x, y=y),
            height=height,
            width=width,
            do_rectify=ros_data.get("do_rectify"),
            header=cls._header(ros_data),
        )

    @classmethod
    def to_dict(cls, data: ROI, ros_type: str) -> dict[str, Any]:
        """The fields.

        Raises:
            ValueError: An offset is not a whole number of pixels.
        """
        x, y = _pixels("offset", data.offset)
        return {
            "x_offset": x,
            "y_offset": y,
            "height": data.height,
            "width": data.width,
            "do_rectify": data.do_rectify,
        }

    @classmethod
    def export_type(cls, data: ROI) -> str:
        """The name that bags contain."""
        return cls.ros_msgtype[1]


def _pixels(name: str, vector: Vector2d | None) -> tuple[int, int]:
    """Both components, zero if they are not known."""
    if vector is None:
        return 0, 0
    if vector.x != int(vector.x) or vector.y != int(vector.y):
        raise ValueError(f"{name} ({vector.x}, {vector.y}) is not a whole number of pixels, as in ROS")
    return int(vector.x), int(vector.y)


@register_adapter
class CameraInfoAdapter(ROSAdapterBase[CameraInfo]):
    """`CameraInfo` to `CameraInfo`. ROS 1 names the matrices D K R P, ROS 2 d k r p."""

    ros_msgtype = "sensor_msgs/msg/CameraInfo"
    __mosaico_ontology_type__ = CameraInfo
    _REQUIRED_KEYS = (
        "height",
        "width",
        "binning_x",
        "binning_y",
        "roi",
        "distortion_model",
        "d",
        "k",
        "p",
        "r",
    )

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> CameraInfo:
        """The data object; an uncalibrated camera has an empty list of distortion parameters."""
        ros_data = {name.lower(): value for name, value in ros_data.items()}
        height, width, binning_x, binning_y, roi, model, d, k, p, r = cls._require(ros_data)
        return CameraInfo(
            height=height,
            width=width,
            distortion_model=model,
            distortion_parameters=d,
            intrinsic_parameters=k,
            rectification_parameters=r,
            projection_parameters=p,
            binning=Vector2d(x=binning_x, y=binning_y),
            roi=ROIAdapter.from_dict(roi),
            header=cls._header(ros_data),
        )

    @classmethod
    def to_dict(cls, data: CameraInfo, ros_type: str) -> dict[str, Any]:
        """The fields, with the names of ROS 2."""
        binning_x, binning_y = _pixels("binning", data.binning)
        return {
            "height": data.height,
            "width": data.width,
            "distortion_model": data.distortion_model,
            "d": data.distortion_parameters,
            "k": data.intrinsic_parameters,
            "r": data.rectification_parameters,
            "p": data.projection_parameters,
            "binning_x": binning_x,
            "binning_y": binning_y,
            "roi": None if data.roi is None else ROIAdapter.to_dict(data.roi, ""),
        }


@register_adapter
class RobotJointAdapter(ROSAdapterBase[RobotJoint]):
    """`JointState` to `RobotJoint`."""

    ros_msgtype = "sensor_msgs/msg/JointState"
    __mosaico_ontology_type__ = RobotJoint
    _REQUIRED_KEYS = ("name", "position", "velocity", "effort")

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> RobotJoint:
        """The data object."""
        names, positions, velocities, efforts = cls._require(ros_data)
        return RobotJoint(
            names=names,
            positions=positions,
            velocities=velocities,
            efforts=efforts,
            header=cls._header(ros_data),
        )

    @classmethod
    def to_dict(cls, data: RobotJoint, ros_type: str) -> dict[str, Any]:
        """The fields."""
        values = (data.names, data.positions, data.velocities, data.efforts)
        return dict(zip(cls._REQUIRED_KEYS, values, strict=True))


@register_adapter
class BatteryStateAdapter(ROSAdapterBase[BatteryState]):
    """`BatteryState` to `BatteryState`, field by field."""

    ros_msgtype = "sensor_msgs/msg/BatteryState"
    __mosaico_ontology_type__ = BatteryState
    _REQUIRED_KEYS = (
        "voltage",
        "capacity",
        "cell_temperature",
        "cell_voltage",
        "location",
        "charge",
        "current",
        "design_capacity",
        "percentage",
        "power_supply_health",
        "power_supply_status",
        "power_supply_technology",
        "present",
        "serial_number",
        "temperature",
    )

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> BatteryState:
        """The data object; temperatures are None in bags of ROS versions without them."""
        ros_data = {"temperature": None, "cell_temperature": None, **ros_data}
        values = zip(cls._REQUIRED_KEYS, cls._require(ros_data), strict=True)
        return BatteryState(**dict(values), header=cls._header(ros_data))

    @classmethod
    def to_dict(cls, data: BatteryState, ros_type: str) -> dict[str, Any]:
        """The fields; quantities that are None are NaN, lists that are None are empty."""
        lists = ("cell_voltage", "cell_temperature")
        values = {key: getattr(data, key) for key in cls._REQUIRED_KEYS}
        return {
            key: math.nan if value is None and key not in lists else value for key, value in values.items()
        }


@register_fallback_adapter
class MagneticFieldAdapter(ROSAdapterBase[Magnetometer]):
    """`MagneticField`, in tesla, to `Magnetometer`, in microtesla."""

    ros_msgtype = "sensor_msgs/msg/MagneticField"
    __mosaico_ontology_type__ = Magnetometer
    _REQUIRED_KEYS = ("magnetic_field",)

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> Magnetometer:
        """The data object."""
        (field,) = cls._require(ros_data)
        covariance = _known(ros_data.get("magnetic_field_covariance"))
        vector = Vector3d(**{axis: field[axis] * _MICROTESLA for axis in "xyz"})
        if covariance is not None:
            vector.covariance = [value * _MICROTESLA**2 for value in covariance]
        return Magnetometer(magnetic_field=vector, header=cls._header(ros_data))

    @classmethod
    def to_dict(cls, data: Magnetometer, ros_type: str) -> dict[str, Any]:
        """The fields in tesla."""
        field = data.magnetic_field
        return {
            "magnetic_field": {axis: getattr(field, axis) / _MICROTESLA for axis in "xyz"},
            "magnetic_field_covariance": [value / _MICROTESLA**2 for value in field.covariance or ()] or None,
        }


@register_fallback_adapter
class TemperatureAdapter(ROSAdapterBase[Temperature]):
    """`Temperature`, in degrees Celsius, to `Temperature`, in kelvin."""

    ros_msgtype = "sensor_msgs/msg/Temperature"
    __mosaico_ontology_type__ = Temperature
    _REQUIRED_KEYS = ("temperature",)

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> Temperature:
        """The data object."""
        (celsius,) = cls._require(ros_data)
        variance = ros_data.get("variance") or None  # 0 is unknown in ROS
        return Temperature.from_celsius(value=celsius, variance=variance, header=cls._header(ros_data))

    @classmethod
    def to_dict(cls, data: Temperature, ros_type: str) -> dict[str, Any]:
        """The fields in degrees Celsius."""
        return {"temperature": data.to_celsius(), "variance": data.variance}


@register_fallback_adapter
class FluidPressureAdapter(ROSAdapterBase[Pressure]):
    """`FluidPressure` to `Pressure`, both in pascal."""

    ros_msgtype = "sensor_msgs/msg/FluidPressure"
    __mosaico_ontology_type__ = Pressure
    _REQUIRED_KEYS = ("fluid_pressure",)

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> Pressure:
        """The data object."""
        (pascal,) = cls._require(ros_data)
        variance = ros_data.get("variance") or None  # 0 is unknown in ROS
        return Pressure(value=pascal, variance=variance, header=cls._header(ros_data))

    @classmethod
    def to_dict(cls, data: Pressure, ros_type: str) -> dict[str, Any]:
        """The fields."""
        return {"fluid_pressure": data.value, "variance": data.variance}


@register_fallback_adapter
class RangeAdapter(ROSAdapterBase[Range]):
    """`Range` to `Range`. Readings outside of the limits, such as infinity for "nothing there", are kept."""

    ros_msgtype = "sensor_msgs/msg/Range"
    __mosaico_ontology_type__ = Range
    _REQUIRED_KEYS = ("radiation_type", "field_of_view", "min_range", "max_range", "range")

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> Range:
        """The data object; `variance` (ROS 2 since Iron) is zero if unknown."""
        values = dict(zip(cls._REQUIRED_KEYS, cls._require(ros_data), strict=True))
        # The class refuses readings outside of the limits, which ROS gives a meaning.
        return Range.model_construct(
            **values, variance=ros_data.get("variance") or None, header=cls._header(ros_data)
        )

    @classmethod
    def to_dict(cls, data: Range, ros_type: str) -> dict[str, Any]:
        """The fields; distributions before Iron have no place for the variance."""
        return {key: getattr(data, key) for key in (*cls._REQUIRED_KEYS, "variance")}
