"""Messages without a class of their own: attributes after the columns of a schema.

They are read from topics whose class this process does not know, and recorded under any tag and schema.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import new_class
from typing import Any, ClassVar

import pyarrow as pa
import pydantic
from pydantic import model_serializer

from mosaicolabs.enum import SerializationFormat
from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.helpers.short_repr import ShortRepr
from mosaicolabs.helpers.suggest import did_you_mean
from mosaicolabs.models._arrow import ENVELOPE_NAMES
from mosaicolabs.models.base_model import BaseModel, build_unvalidated, fill_unvalidated
from mosaicolabs.models.serializable import Serializable, registered_class


class _Columns(BaseModel):
    """Any names as attributes; kept in the dictionary of the instance, they may be named like methods."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__:
            raise AttributeError(_no_column(type(self).__name__, name, self.__dict__))
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"column {name!r} cannot be removed; set it to None")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # looked up by copying and by notebooks
            raise AttributeError(name)
        raise AttributeError(_no_column(type(self).__name__, name, self.__dict__))

    def __iter__(self) -> Any:
        yield from self.__dict__.items()

    def __repr_args__(self) -> Any:
        yield from ((name, ShortRepr(value)) for name, value in self.__dict__.items())

    @model_serializer
    def _dump(self) -> dict[str, Any]:
        return dict(self.__dict__)


class GenericStruct(_Columns):
    """A nested object of a `GenericData`: its fields are attributes.

    Example:
        >>> position = GenericStruct(lat=45.0, lon=9.0)
        >>> position.lat, dict(position)
        (45.0, {'lat': 45.0, 'lon': 9.0})
    """

    def __init__(self, /, **values: Any) -> None:
        fill_unvalidated(self, values, set(values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenericStruct) and self.__dict__ == other.__dict__


class GenericData(Serializable, _Columns):
    """Base of the classes that `generic_class` makes: data with the columns of a schema as attributes.

    Two are equal if tag and values are. `dict(data)` gives the columns, `data.model_dump()` converts nested
    objects too. Values are checked against the schema when they are pushed.

    Args:
        values: Values by column; columns that are not given are None. Nested objects may be dicts.

    Raises:
        TypeError: A name is not a column.

    Example:
        >>> import pyarrow as pa
        >>> Battery = generic_class("px4.battery", pa.schema({"voltage_v": pa.float32(), "id": pa.uint8()}))
        >>> full = Battery(voltage_v=12.5)
        >>> full
        px4.battery(voltage_v=12.5, id=None)
        >>> full == Battery(voltage_v=12.5, id=None), Battery.ontology_tag()
        (True, 'px4.battery')
    """

    __generic__: ClassVar[bool] = True
    __arrow_ipc__: ClassVar[bytes]

    def __init__(self, /, **values: Any) -> None:
        cls = type(self)
        if cls.__ontology_tag__ is None:
            raise TypeError("GenericData has no columns; make a class with generic_class(tag, schema)")
        columns = _structured(values, cls.__msco_pyarrow_struct__, cls.__name__)
        fill_unvalidated(self, columns, set(columns))

    @classmethod
    def is_registered(cls) -> bool:
        """Whether topics can store this class: it has a tag."""
        return cls.__ontology_tag__ is not None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, GenericData)
            and self.__ontology_tag__ == other.__ontology_tag__
            and self.__dict__ == other.__dict__
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # The class exists in this process only.
        cls = type(self)
        return _rebuilt, (cls.ontology_tag(), cls.__arrow_ipc__, cls.__serialization_format__, self.__dict__)


def generic_class(
    ontology_tag: str,
    schema: pa.Schema | pa.StructType,
    serialization_format: SerializationFormat = SerializationFormat.Default,
) -> type[GenericData]:
    """A data class for any columns, without a definition in Python; topics are created with it.

    The same arguments give the same class. It is not registered: a class with the tag may be defined later,
    and then replaces it where topics of the tag are read.

    Args:
        ontology_tag: Tag of its topics, such as `"px4.battery_status"`.
        schema: The columns. Those of the message (`timestamp_ns`, `recording_timestamp_ns`) may be included.
        serialization_format: Shape of the payload, a hint for storage.

    Raises:
        ValueError: The tag is empty or belongs to a class, or two columns have one name.
        TypeError: The schema is something else.

    Example:
        >>> import pyarrow as pa
        >>> Wheel = generic_class("my_msgs/Wheel", pa.schema({"rpm": pa.float64()}))
        >>> with MosaicoClient.embedded(store) as client:
        ...     with client.sequence_create("drive") as drive:
        ...         wheel = drive.topic_create("wheel", {}, Wheel)
        ...         wheel.push(ontology_obj=Wheel(rpm=100.0), message_timestamp_ns=5)
        ...     for message in client.topic_handler("drive", "wheel").get_data_streamer():
        ...         print(message.timestamp_ns, message.data.rpm)
        5 100.0
    """
    known = registered_class(ontology_tag)
    if known is not None:
        raise InvalidInputError(
            f"the tag '{ontology_tag}' belongs to the class '{known.__module__}.{known.__qualname__}'; "
            "use that class, or another tag"
        )
    return stored_class(ontology_tag, schema, serialization_format)


def stored_class(
    ontology_tag: str,
    schema: pa.Schema | pa.StructType,
    serialization_format: SerializationFormat = SerializationFormat.Default,
) -> type[GenericData]:
    """As `generic_class`, also for the tag of a registered class."""
    if not ontology_tag:
        raise InvalidInputError("the ontology tag is empty; give one such as 'px4.battery_status'")
    if not isinstance(schema, pa.Schema | pa.StructType):
        raise TypeError(f"schema is a pyarrow.Schema or a pyarrow.struct, not {type(schema).__name__}")
    columns = [field for field in schema if field.name not in ENVELOPE_NAMES]
    _check_names(columns, ontology_tag)
    # The bytes contain descriptions too, which the comparison of schemas leaves out.
    return _class(ontology_tag, pa.schema(columns).serialize().to_pybytes(), serialization_format)


@lru_cache(maxsize=4096)
def _class(tag: str, arrow_ipc: bytes, serialization_format: SerializationFormat) -> type[GenericData]:
    struct = pa.struct(list(pa.ipc.read_schema(pa.py_buffer(arrow_ipc))))
    namespace = {
        "__module__": __name__,
        "__doc__": f"Messages of topics with the tag `{tag}`.",
        "__ontology_tag__": tag,
        "__msco_pyarrow_struct__": struct,
        "__serialization_format__": serialization_format,
        "__arrow_ipc__": arrow_ipc,
    }
    cls: type[GenericData] = new_class(tag, (GenericData,), {}, lambda body: body.update(namespace))
    cls.__class_type__ = cls
    return cls


def _rebuilt(
    tag: str, arrow_ipc: bytes, serialization_format: SerializationFormat, values: dict[str, Any]
) -> GenericData:
    return build_unvalidated(_class(tag, arrow_ipc, serialization_format), values, set(values))


def _check_names(columns: list[pa.Field], place: str) -> None:
    names = [field.name for field in columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInputError(f"'{place}' has more than one column named {twice[0]!r}; rename them")
    for field in columns:
        if pa.types.is_struct(field.type):
            _check_names(list(field.type), f"{place}.{field.name}")


def _structured(values: Mapping[str, Any], struct: pa.StructType, place: str) -> dict[str, Any]:
    """The values of all columns, with nested dicts as objects."""
    columns = {field.name: None for field in struct}
    for name, value in values.items():
        if name not in columns:
            raise TypeError(_no_column(place, name, columns))
        columns[name] = _value(value, struct.field(name).type, f"{place}.{name}")
    return columns


def _value(value: Any, type_: pa.DataType, place: str) -> Any:
    if hasattr(value, "tolist"):  # what is read are lists, so arrays would not be equal to it
        value = value.tolist()
    if pa.types.is_struct(type_) and value is not None:
        if isinstance(value, pydantic.BaseModel):
            value = value.__dict__
        if isinstance(value, Mapping):
            columns = _structured(value, type_, place)
            return build_unvalidated(GenericStruct, columns, set(columns))
    elif isinstance(value, list | tuple) and hasattr(type_, "value_type"):
        return [_value(item, type_.value_type, place) for item in value] if _nests(type_) else list(value)
    return value


def _nests(type_: pa.DataType) -> bool:
    return pa.types.is_struct(type_.value_type) or hasattr(type_.value_type, "value_type")


def _no_column(place: str, name: str, columns: Mapping[str, Any]) -> str:
    return f"{place} has no column {name!r}; {did_you_mean(name, columns)}"
