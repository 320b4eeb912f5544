"""Types without a data class: a class made from the definition, with the names of its fields."""

from functools import cache
from typing import Any

import pyarrow as pa
from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

from mosaicolabs.ingest.encodings import column_name
from mosaicolabs.models import generic_class
from mosaicolabs.models.generic import GenericData

from .adapter_base import ROSAdapterBase
from .ros_bridge import Adapter

_BASE = {
    "bool": pa.bool_(),
    "byte": pa.uint8(),
    "char": pa.uint8(),
    "octet": pa.uint8(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    **{
        f"{sign}int{bits}": pa.type_for_alias(f"{sign}int{bits}")
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}
"""ROS 2 has unsigned `byte` and `char`; those of ROS 1 are aliases that rosbags replaces."""


class GenericAdapter(ROSAdapterBase[GenericData]):
    """Base of the adapters that `generic_adapter` makes: every field under its own name."""

    octets_as_bytes = True
    _names: dict[str, str]

    @classmethod
    def from_dict(cls, ros_data: dict[str, Any]) -> GenericData:
        """The data object."""
        names = cls._names
        data: GenericData = cls.ontology_data_type()(
            **{names[k]: v for k, v in ros_data.items() if k in names}
        )
        return data


@cache
def generic_adapter(tag: str, msg_type: str, schema: pa.Schema) -> Adapter:
    """An adapter whose class has the columns of `schema`; equal arguments give the same class.

    Args:
        tag: Ontology tag.
        msg_type: The type that it translates.
        schema: A column for each field; one named like a column of every message gets another name.
    """
    names = {field.name: column_name(field.name) for field in schema}
    columns = pa.schema([field.with_name(names[field.name]) for field in schema])
    return type(
        "GenericAdapter",
        (GenericAdapter,),
        {
            "ros_msgtype": msg_type,
            "__mosaico_ontology_type__": generic_class(tag, columns),
            "_names": names,
        },
    )


def ros_schema(store: Typestore, name: str) -> pa.Schema:
    """The columns of a ROS type: structs, lists, and `binary` for arrays of `uint8`.

    Raises:
        ValueError: A field has a type without a column, such as `float128`.
    """
    return pa.schema(_fields(store, name))


def generic_tag(msg_type: str) -> str:
    """The tag of a ROS type: `my_msgs/Wheel`, also for `my_msgs/msg/Wheel`."""
    return msg_type.replace("/msg/", "/", 1)


def _fields(store: Typestore, name: str) -> list[pa.Field]:
    return [
        pa.field(field, _type(store, desc, f"{name}.{field}")) for field, desc in store.fielddefs[name][1]
    ]


def _type(store: Typestore, desc: Any, place: str) -> pa.DataType:
    kind, detail = desc
    if kind == Nodetype.BASE:
        base = _BASE.get(detail[0])
        if base is None:
            raise ValueError(f"{place} has the type {detail[0]}, for which there is no column")
        return base
    if kind == Nodetype.NAME:
        # rosbags gives types without fields one of its own, so no struct is empty.
        return pa.struct(_fields(store, detail))
    item, _ = detail
    if item[0] == Nodetype.BASE and item[1][0] == "uint8":
        return pa.binary()
    return pa.list_(_type(store, item, place))
