"""How the native reader builds the objects of a data class from Arrow columns.

A plan is a tree of tuples, computed once per class:

- `("model", cls, ((field, node), ...))`: a pydantic class whose fields are the children of a struct.
  The reader creates the instance without validation, with all fields in its fields-set.
- `("leaf",)`: the value of the column unchanged: int, float, str, bool, bytes, or a list of these.
- `("list", node)`: a list of anything but leaves.
- `("convert", callable)`: called with the value of the column, e.g. an Enum class; a struct is a dict.
- `("validated", cls)`: the reader converts the struct to a dict and calls `cls.model_validate`.

A null is None everywhere; a node describes the values that are not null.

Validation is skipped if the Arrow types alone guarantee what it would check. Checks of shipped classes
beyond types (units in range, one of two parts given) ran when the message was recorded, and do not run
again. The checks of a user's class always run.
"""

from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

import pyarrow as pa
import pydantic

from mosaicolabs.models._annotations import is_model, without_none
from mosaicolabs.models._conversions import is_list, restoring, restoring_model, restoring_value
from mosaicolabs.models.base_model import BaseModel
from mosaicolabs.models.generic import GenericData, GenericStruct
from mosaicolabs.models.serializable import Serializable

Node: TypeAlias = tuple[Any, ...]

LEAF: Node = ("leaf",)

_LEAF_TESTS: dict[type, Any] = {
    int: pa.types.is_integer,
    float: pa.types.is_floating,
    bool: pa.types.is_boolean,
    str: lambda type_: pa.types.is_string(type_) or pa.types.is_large_string(type_),
    bytes: lambda type_: pa.types.is_binary(type_) or pa.types.is_large_binary(type_),
}
_SHIPPED = "mosaicolabs."


@cache
def decode_plan(cls: type[Serializable]) -> Node:
    """The plan of a registered data class.

    Example:
        >>> from mosaicolabs.models.data import Vector2d
        >>> decode_plan(Vector2d)[2][:3]
        (('x', ('leaf',)), ('y', ('leaf',)), ('covariance', ('leaf',)))
    """
    if issubclass(cls, GenericData):
        return _generic_node(cls, cls.__msco_pyarrow_struct__)
    return model_node(cls, cls.__msco_pyarrow_struct__)


def _generic_node(cls: type[pydantic.BaseModel], struct: pa.StructType) -> Node:
    return ("model", cls, tuple((field.name, _generic_value_node(field.type)) for field in struct))


def _generic_value_node(type_: pa.DataType) -> Node:
    if pa.types.is_struct(type_):
        return _generic_node(GenericStruct, type_)
    if pa.types.is_map(type_):
        return ("convert", dict)
    if is_list(type_):
        node = _generic_value_node(type_.value_type)
        return LEAF if node == LEAF else ("list", node)
    return LEAF


def model_node(cls: type[pydantic.BaseModel], struct: pa.StructType) -> Node:
    """The plan of a class whose columns are those of `struct`."""
    cls.model_rebuild()  # resolves annotations that were not yet defined with the class
    fields = cls.model_fields
    children = [(child.name, child.type) for child in struct]
    if {name for name, _ in children} != set(fields) or not (is_shipped(cls) or _is_plain(cls)):
        return _validated(cls, struct)
    nodes = []
    for name, type_ in children:
        node = _value_node(fields[name].annotation, type_)
        if node is None:
            return _validated(cls, struct)
        nodes.append((name, node))
    return ("model", cls, tuple(nodes))


def is_shipped(cls: type[pydantic.BaseModel]) -> bool:
    """Whether a class is one of the package."""
    return cls.__module__.startswith(_SHIPPED)


def _validated(cls: type[pydantic.BaseModel], struct: pa.StructType) -> Node:
    return ("convert", restoring_model(cls, struct)) if restoring(cls, struct) else ("validated", cls)


def _value_node(annotation: Any, type_: pa.DataType) -> Node | None:
    """The node of one value; None if the declared type needs validation."""
    annotation = without_none(annotation)
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is list:
        if not is_list(type_):
            return None
        (item,) = get_args(annotation)
        node = _value_node(item, type_.value_type)
        return node if node is None or node == LEAF else ("list", node)
    if annotation in _LEAF_TESTS:
        return LEAF if _LEAF_TESTS[annotation](type_) else None
    if is_model(annotation):
        return model_node(annotation, type_) if pa.types.is_struct(type_) else None
    if get_origin(annotation) is Literal:
        return LEAF
    convert = restoring_value(annotation, type_)
    return ("convert", convert) if convert and _is_of_items(annotation, type_) else None


def _is_of_items(annotation: Any, type_: pa.DataType) -> bool:
    """Whether the items of a tuple or dict need no validation either."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        return _value_node(args[0], type_.value_type) is not None
    if origin is dict:
        types = (field.type for field in type_.value_type)
        return all(_value_node(arg, item) is not None for arg, item in zip(args, types, strict=True))
    return True


def _is_plain(cls: type[pydantic.BaseModel]) -> bool:
    """Whether creating an instance of a user's class only assigns the fields."""
    decorators = cls.__pydantic_decorators__
    base = pydantic.BaseModel
    return not (
        decorators.validators
        or decorators.field_validators
        or decorators.root_validators
        or decorators.model_validators
        or cls.__private_attributes__
        or set(cls.model_config) - set(BaseModel.model_config)
        or cls.__pydantic_custom_init__
        or cls.__pydantic_root_model__
        or cls.__pydantic_post_init__ is not None
        or any(map(_is_checked, cls.model_fields.values()))
        or cls.__new__ is not base.__new__
        or cls.__get_pydantic_core_schema__.__func__ is not base.__get_pydantic_core_schema__.__func__  # type: ignore[attr-defined]
    )


def _is_checked(field: pydantic.fields.FieldInfo) -> bool:
    """Whether a field has a constraint, or another name."""
    return field.validation_alias is not None or any(
        not isinstance(extra, pa.DataType) for extra in field.metadata
    )
