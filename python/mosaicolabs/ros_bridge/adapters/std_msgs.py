"""`std_msgs`: the types with a single value in `data`."""

from typing import Any

from mosaicolabs.models.data import base_types
from mosaicolabs.models.serializable import Serializable
from mosaicolabs.ros_bridge.adapter_base import ROSAdapterBase
from mosaicolabs.ros_bridge.ros_bridge import register_adapter

_CLASSES: dict[str, type[Serializable]] = {
    "String": base_types.String,
    "Int8": base_types.Integer8,
    "Int16": base_types.Integer16,
    "Int32": base_types.Integer32,
    "Int64": base_types.Integer64,
    "UInt8": base_types.Unsigned8,
    "UInt16": base_types.Unsigned16,
    "UInt32": base_types.Unsigned32,
    "UInt64": base_types.Unsigned64,
    "Float32": base_types.Floating32,
    "Float64": base_types.Floating64,
    "Bool": base_types.Boolean,
}


class GenericStdAdapter(ROSAdapterBase[Serializable]):
    """Base of the adapters of single values, which are created below: `StringStdAdapter`, ..."""

    _REQUIRED_KEYS = ("data",)

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> Serializable:
        """The value as an object of the class of its width."""
        (data,) = cls._require(ros_data)
        return cls.ontology_data_type()(**{"data": data})

    @classmethod
    def to_dict(cls, data: Serializable, ros_type: str) -> dict[str, Any]:
        """The value."""
        return {"data": getattr(data, "data")}  # noqa: B009 - a field of the classes, not of their base


for _ros_name, _class in _CLASSES.items():
    _name = f"{_class.__name__}StdAdapter"
    globals()[_name] = register_adapter(
        type(
            _name,
            (GenericStdAdapter,),
            {
                "__module__": __name__,
                "__doc__": f"`{_ros_name}` to `{_class.__name__}`.",
                "ros_msgtype": f"std_msgs/msg/{_ros_name}",
                "__mosaico_ontology_type__": _class,
            },
        )
    )
