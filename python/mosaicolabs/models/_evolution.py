"""Reads topics that were recorded with another version of a class.

Columns that the class no longer has are left out. Fields that the topic does not have get their default.
Columns of another type are converted where every value keeps its meaning.
"""

from functools import partial
from typing import Any, get_args

import pyarrow as pa
import pyarrow.types as pt
import pydantic

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.models._annotations import is_model, without_none
from mosaicolabs.models._conversions import restored_fields
from mosaicolabs.models._decode_plan import Node, decode_plan, model_node
from mosaicolabs.models.serializable import Serializable


def plan_for_stored(cls: type[Serializable], stored: pa.StructType, place: str) -> Node:
    """The plan that reads the stored columns as objects of the class.

    Args:
        cls: The class as this process knows it.
        stored: The columns of its fields as they are stored.
        place: The topic, for errors.

    Raises:
        InvalidInputError: A column has a type that the class cannot have, or a field is missing that has no
            default.
    """
    own = cls.__msco_pyarrow_struct__
    if stored == own:
        return decode_plan(cls)
    missing = _compare(cls, own, stored, cls.ontology_tag(), place)
    if all(_is_none_without_data(cls.model_fields[name]) for name in missing):
        present = [field for field in stored if own.get_field_index(field.name) >= 0]
        node = model_node(cls, pa.struct([*present, *map(own.field, missing)]))
        if node[0] == "model":
            return node
    nulls = {name: None for name in missing if cls.model_fields[name].is_required()}
    return ("convert", partial(_validated, cls, stored, nulls))


def _is_none_without_data(field: pydantic.fields.FieldInfo) -> bool:
    return field.is_required() or (field.default_factory is None and field.default is None)


def _validated(
    cls: type[Serializable], stored: pa.StructType, nulls: dict[str, None], values: dict[str, Any]
) -> Serializable:
    return cls.model_validate(restored_fields(cls, stored, {**nulls, **values}))


def _compare(
    cls: type[pydantic.BaseModel], own: pa.StructType, stored: pa.StructType, path: str, place: str
) -> list[str]:
    """The fields that are not stored; checks the others."""
    missing = []
    for column in own:
        index = stored.get_field_index(column.name)
        below = f"{path}.{column.name}"
        field = cls.model_fields[column.name]
        if index < 0:
            if field.is_required() and not column.nullable:
                raise InvalidInputError(
                    f"{place} has no column `{below}`, which '{cls.__name__}' requires; "
                    "give the field a default, such as None"
                )
            missing.append(column.name)
        else:
            _check(field.annotation, column.type, stored.field(index).type, below, place)
    return missing


def _check(annotation: Any, own: pa.DataType, stored: pa.DataType, path: str, place: str) -> None:
    annotation = without_none(annotation)
    if own == stored:
        return
    if pt.is_struct(own) and pt.is_struct(stored) and is_model(annotation):
        _compare(annotation, own, stored, path, place)
    elif hasattr(own, "value_type") and hasattr(stored, "value_type"):
        item = next(iter(get_args(annotation)), None)
        _check(item, own.value_type, stored.value_type, path, place)
    elif not _is_kept(own, stored):
        raise InvalidInputError(
            f"{place} has the column `{path}` as {stored}, its class has it as {own}; read it as columns "
            "(to_arrow), or give the class of the new type another tag"
        )


def _is_kept(own: pa.DataType, stored: pa.DataType) -> bool:
    """Whether the Python values of one type are also those of the other."""
    if pt.is_floating(own):
        return bool(pt.is_floating(stored) or pt.is_integer(stored))
    kinds = (pt.is_integer, pt.is_boolean, _is_text, _is_binary)
    return any(kind(own) and kind(stored) for kind in kinds)


def _is_text(type_: pa.DataType) -> bool:
    return bool(pt.is_string(type_) or pt.is_large_string(type_) or pt.is_string_view(type_))


def _is_binary(type_: pa.DataType) -> bool:
    return bool(
        pt.is_binary(type_)
        or pt.is_large_binary(type_)
        or pt.is_fixed_size_binary(type_)
        or pt.is_binary_view(type_)
    )
