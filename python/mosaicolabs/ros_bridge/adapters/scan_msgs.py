"""Scans, clouds and joysticks of `sensor_msgs`. Their data classes are imported at first use."""

from pkgutil import resolve_name
from typing import Any, ClassVar

from mosaicolabs.ros_bridge.adapter_base import ROSAdapterBase
from mosaicolabs.ros_bridge.ros_bridge import register_fallback_adapter


class _LazyAdapter(ROSAdapterBase[Any]):
    """Adapter whose fields have the same names in ROS and in the data class `_CLASS`."""

    _CLASS: ClassVar[str]

    @classmethod
    def ontology_data_type(cls) -> type[Any]:
        """The data class.

        Raises:
            ValueError: A class of the user has the same tag.
        """
        found: type[Any] = resolve_name(cls._CLASS)
        return found

    @classmethod
    def makes(cls, data_class: type) -> bool:
        """Whether the adapter creates objects of this class."""
        return f"{data_class.__module__}:{data_class.__qualname__}" == cls._CLASS

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> Any:
        """The data object."""
        values = zip(cls._REQUIRED_KEYS, cls._require(ros_data), strict=True)
        return cls.ontology_data_type()(**cls._converted(dict(values)), header=cls._header(ros_data))

    @classmethod
    def _converted(cls, values: dict[str, Any]) -> dict[str, Any]:
        return values

    @classmethod
    def to_dict(cls, data: Any, ros_type: str) -> dict[str, Any]:
        """The fields; lists that are None are empty."""
        return {key: getattr(data, key) for key in cls._REQUIRED_KEYS}


@register_fallback_adapter
class JoyAdapter(_LazyAdapter):
    """`Joy` to `Joy`."""

    ros_msgtype = "sensor_msgs/msg/Joy"
    _CLASS = "mosaicolabs.models.sensors.joy:Joy"
    _REQUIRED_KEYS = ("axes", "buttons")


@register_fallback_adapter
class LaserScanAdapter(_LazyAdapter):
    """`LaserScan` to `LaserScan`; an empty list of intensities becomes None."""

    ros_msgtype = "sensor_msgs/msg/LaserScan"
    _CLASS = "mosaicolabs.models.futures.laser:LaserScan"
    _REQUIRED_KEYS = (
        "angle_min",
        "angle_max",
        "angle_increment",
        "time_increment",
        "scan_time",
        "range_min",
        "range_max",
        "ranges",
        "intensities",
    )

    @classmethod
    def _converted(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "intensities": values["intensities"] or None}


@register_fallback_adapter
class MultiEchoLaserScanAdapter(LaserScanAdapter):
    """`MultiEchoLaserScan` to `MultiEchoLaserScan`; an empty list of intensities becomes None."""

    ros_msgtype = "sensor_msgs/msg/MultiEchoLaserScan"
    _CLASS = "mosaicolabs.models.futures.laser:MultiEchoLaserScan"

    @classmethod
    def _converted(cls, values: dict[str, Any]) -> dict[str, Any]:
        echoes = {key: [ray["echoes"] for ray in values[key]] for key in ("ranges", "intensities")}
        return super()._converted({**values, **echoes})

    @classmethod
    def to_dict(cls, data: Any, ros_type: str) -> dict[str, Any]:
        """The fields; each ray is a message with its echoes."""
        fields = super().to_dict(data, ros_type)
        for key in ("ranges", "intensities"):
            fields[key] = [{"echoes": echoes} for echoes in fields[key] or []]
        return fields


@register_fallback_adapter
class PointCloudAdapter(_LazyAdapter):
    """`PointCloud2` to `PointCloud2`, bytes unchanged."""

    ros_msgtype = "sensor_msgs/msg/PointCloud2"
    _CLASS = "mosaicolabs.models.ros.point_cloud:PointCloud2"
    _REQUIRED_KEYS = (
        "height",
        "width",
        "fields",
        "is_bigendian",
        "point_step",
        "row_step",
        "data",
        "is_dense",
    )
    octets_as_bytes = True

    @classmethod
    def _converted(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "data": bytes(values["data"])}

    @classmethod
    def to_dict(cls, data: Any, ros_type: str) -> dict[str, Any]:
        """The fields."""
        names = ("name", "offset", "datatype", "count")
        fields = [{name: getattr(field, name) for name in names} for field in data.fields]
        return {**super().to_dict(data, ros_type), "fields": fields}
