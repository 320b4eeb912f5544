"""`geometry_msgs`: plain, `Stamped`, `WithCovariance` and `WithCovarianceStamped` alike."""

from typing import Any, ClassVar

from mosaicolabs.models.data import (
    Acceleration,
    ForceTorque,
    Point3d,
    Pose,
    Quaternion,
    Transform,
    Vector3d,
    Velocity,
)
from mosaicolabs.ros_bridge.adapter_base import ROSAdapterBase, T
from mosaicolabs.ros_bridge.ros_bridge import register_adapter


def _types(*names: str) -> tuple[str, ...]:
    return tuple(f"geometry_msgs/msg/{name}" for name in names)


def _innermost(ros_data: dict[str, Any], key: str) -> dict[str, Any]:
    """Unwraps messages nested under `key`; other fields of the outer messages are kept."""
    around: dict[str, Any] = {}
    while isinstance(ros_data.get(key), dict):
        around |= {name: value for name, value in ros_data.items() if name != key}
        ros_data = ros_data[key]
    return {**around, **ros_data}


class _GeometryAdapter(ROSAdapterBase[T]):
    """Adapter whose fields have the same names in ROS and in the data class.

    Attributes:
        _LEVEL: Key of the plain message in the stamped and covariance variants.
        _PARTS: Adapters of the required fields that are messages themselves.
    """

    _LEVEL: ClassVar[str]
    _PARTS: ClassVar[tuple[type[ROSAdapterBase[Any]], ...]] = ()

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> T:
        """The data object, with the header and the covariance of the outer messages."""
        flat = _innermost(ros_data, cls._LEVEL) if cls._LEVEL in ros_data else ros_data
        values = cls._require(flat)
        if cls._PARTS:
            values = [part.from_dict(value) for part, value in zip(cls._PARTS, values, strict=True)]
        return cls.ontology_data_type()(
            **dict(zip(cls._REQUIRED_KEYS, values, strict=True)),
            **cls._more(flat),
            covariance=flat.get("covariance"),
            header=cls._header(flat),
        )

    @classmethod
    def _more(cls, flat: dict[str, Any]) -> dict[str, Any]:
        return {}

    @classmethod
    def to_dict(cls, data: T, ros_type: str = "") -> dict[str, Any]:
        """The fields of the plain message, or of one of its variants; parts that are None are zero."""
        values = {key: getattr(data, key) for key in cls._REQUIRED_KEYS}
        parts = dict(zip(cls._REQUIRED_KEYS, cls._PARTS, strict=False))
        fields = {
            key: parts[key].to_dict(value, "") if key in parts and value is not None else value
            for key, value in values.items()
        }
        if "WithCovariance" in ros_type:
            fields = {cls._LEVEL: fields, "covariance": getattr(data, "covariance", None)}
        return {cls._LEVEL: fields} if ros_type.endswith("Stamped") else fields

    @classmethod
    def export_type(cls, data: T) -> str:
        """The stamped variant, with covariance if the data has one."""
        wanted = "WithCovarianceStamped" if getattr(data, "covariance", None) else "Stamped"
        types = [name for name in cls.ros_msgtype if name.endswith("Stamped")]
        return next((name for name in types if name.endswith(wanted)), types[0])


@register_adapter
class Vector3Adapter(_GeometryAdapter[Vector3d]):
    """`Vector3`, `Vector3Stamped` to `Vector3d`."""

    ros_msgtype = _types("Vector3", "Vector3Stamped")
    __mosaico_ontology_type__ = Vector3d
    _LEVEL = "vector"
    _REQUIRED_KEYS = ("x", "y", "z")


@register_adapter
class PointAdapter(_GeometryAdapter[Point3d]):
    """`Point`, `PointStamped` to `Point3d`."""

    ros_msgtype = _types("Point", "PointStamped")
    __mosaico_ontology_type__ = Point3d
    _LEVEL = "point"
    _REQUIRED_KEYS = ("x", "y", "z")


@register_adapter
class QuaternionAdapter(_GeometryAdapter[Quaternion]):
    """`Quaternion`, `QuaternionStamped` to `Quaternion`."""

    ros_msgtype = _types("Quaternion", "QuaternionStamped")
    __mosaico_ontology_type__ = Quaternion
    _LEVEL = "quaternion"
    _REQUIRED_KEYS = ("x", "y", "z", "w")


@register_adapter
class TwistAdapter(_GeometryAdapter[Velocity]):
    """`Twist` and its variants to `Velocity`."""

    ros_msgtype = _types("Twist", "TwistStamped", "TwistWithCovariance", "TwistWithCovarianceStamped")
    __mosaico_ontology_type__ = Velocity
    _LEVEL = "twist"
    _REQUIRED_KEYS = ("linear", "angular")
    _PARTS = (Vector3Adapter, Vector3Adapter)


@register_adapter
class AccelAdapter(_GeometryAdapter[Acceleration]):
    """`Accel` and its variants to `Acceleration`."""

    ros_msgtype = _types("Accel", "AccelStamped", "AccelWithCovariance", "AccelWithCovarianceStamped")
    __mosaico_ontology_type__ = Acceleration
    _LEVEL = "accel"
    _REQUIRED_KEYS = ("linear", "angular")
    _PARTS = (Vector3Adapter, Vector3Adapter)


@register_adapter
class WrenchAdapter(_GeometryAdapter[ForceTorque]):
    """`Wrench`, `WrenchStamped` to `ForceTorque`."""

    ros_msgtype = _types("WrenchStamped", "Wrench")
    __mosaico_ontology_type__ = ForceTorque
    _LEVEL = "wrench"
    _REQUIRED_KEYS = ("force", "torque")
    _PARTS = (Vector3Adapter, Vector3Adapter)


@register_adapter
class PoseAdapter(_GeometryAdapter[Pose]):
    """`Pose` and its variants to `Pose`."""

    ros_msgtype = _types("Pose", "PoseStamped", "PoseWithCovariance", "PoseWithCovarianceStamped")
    __mosaico_ontology_type__ = Pose
    _LEVEL = "pose"
    _REQUIRED_KEYS = ("position", "orientation")
    _PARTS = (PointAdapter, QuaternionAdapter)


@register_adapter
class TransformAdapter(_GeometryAdapter[Transform]):
    """`Transform`, `TransformStamped` to `Transform`; `child_frame_id` is the target frame."""

    ros_msgtype = _types("TransformStamped", "Transform")
    __mosaico_ontology_type__ = Transform
    _LEVEL = "transform"
    _REQUIRED_KEYS = ("translation", "rotation")
    _PARTS = (Vector3Adapter, QuaternionAdapter)

    @classmethod
    def _more(cls, flat: dict[str, Any]) -> dict[str, Any]:
        return {"target_frame_id": flat.get("child_frame_id")}

    @classmethod
    def to_dict(cls, data: Transform, ros_type: str = "") -> dict[str, Any]:
        """The fields; a plain `Transform` has no place for the target frame."""
        fields = super().to_dict(data, ros_type)
        return {**fields, "child_frame_id": data.target_frame_id} if ros_type.endswith("Stamped") else fields
