"""How the native reader builds the objects of a data class from Arrow columns.

A plan is a tree of tuples, computed once per class:

- `("model", cls, ((field, node), ...))`: a pydantic class whose fields are the children of a struct.
  The reader creates the instance without validation, with all fields in its fields-set.
- `("leaf",)`: the value of the column unchanged: int, float, str, bool, bytes, or a list of these.
- `("list", node)`: a list of anything but leaves.
- `("convert", callable)`: called with the value of the column, e.g. an Enum class.
- `("validated", cls)`: the reader converts the struct to a dict and calls `cls.model_validate`.

A null is None everywhere; a node describes the values that are not null.

Validation is skipped if the Arrow types alone guarantee what it would check. Checks of shipped classes
beyond types (units in range, one of two parts given) ran when the message was recorded, and do not run
again. The checks of a user's class always run.
"""

from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, TypeAlias, TypeGuard, Union, get_args, get_origin

import pyarrow as pa
import pydantic

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
    return _model_node(cls, cls.__msco_pyarrow_struct__)


def _generic_node(cls: type[pydantic.BaseModel], struct: pa.StructType) -> Node:
    return ("model", cls, tuple((field.name, _generic_value_node(field.type)) for field in struct))


def _generic_value_node(type_: pa.DataType) -> Node:
    if pa.types.is_struct(type_):
        return _generic_node(GenericStruct, type_)
    if pa.types.is_map(type_):
        return ("convert", dict)
    if _is_list(type_):
        node = _generic_value_node(type_.value_type)
        return LEAF if node == LEAF else ("list", node)
    return LEAF


def _model_node(cls: type[pydantic.BaseModel], struct: pa.StructType) -> Node:
    cls.model_rebuild()  # resolves annotations that were not yet defined with the class
    fields = cls.model_fields
    shipped = cls.__module__.startswith(_SHIPPED)
    children = [(child.name, child.type) for child in struct]
    if {name for name, _ in children} != set(fields) or not (shipped or _is_plain(cls)):
        return ("validated", cls)
    nodes = []
    for name, type_ in children:
        node = _value_node(fields[name].annotation, type_)
        if node is None:
            return ("validated", cls)
        nodes.append((name, node))
    return ("model", cls, tuple(nodes))


def _value_node(annotation: Any, type_: pa.DataType) -> Node | None:
    """The node of one value; None if the declared type needs validation."""
    annotation = without_none(annotation)
    if get_origin(annotation) is list:
        if not _is_list(type_):
            return None
        (item,) = get_args(annotation)
        node = _value_node(item, type_.value_type)
        return node if node is None or node == LEAF else ("list", node)
    if get_origin(annotation) is not None or not isinstance(annotation, type):
        return None
    if annotation in _LEAF_TESTS:
        return LEAF if _LEAF_TESTS[annotation](type_) else None
    if issubclass(annotation, Enum):
        return ("convert", annotation)
    if is_model(annotation) and pa.types.is_struct(type_):
        return _model_node(annotation, type_)
    return None


def without_none(annotation: Any) -> Any:
    """`T` of `T | None`; any other annotation unchanged."""
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    others = [arg for arg in get_args(annotation) if arg is not type(None)]
    return others[0] if len(others) == 1 else annotation


def is_model(annotation: Any) -> TypeGuard[type[pydantic.BaseModel]]:
    """Whether an annotation is a pydantic class."""
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)


def _is_list(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)
    )


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
        or cls.model_config
        or cls.__pydantic_custom_init__
        or cls.__pydantic_root_model__
        or cls.__pydantic_post_init__ is not None
        or any(field.validation_alias is not None or field.metadata for field in cls.model_fields.values())
        or cls.__new__ is not base.__new__
        or cls.__get_pydantic_core_schema__.__func__ is not base.__get_pydantic_core_schema__.__func__  # type: ignore[attr-defined]
    )
