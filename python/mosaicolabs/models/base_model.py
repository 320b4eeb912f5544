"""The root of all models, and construction from values that need no validation."""

from typing import Any, TypeVar

import pydantic

from mosaicolabs.helpers.short_repr import ShortRepr

ModelT = TypeVar("ModelT", bound=pydantic.BaseModel)

# The slots of an instance. Writing through their descriptors costs half of object.__setattr__.
_SLOTS = vars(pydantic.BaseModel)
_new = object.__new__
_set_dict = _SLOTS["__dict__"].__set__
_set_fields_set = _SLOTS["__pydantic_fields_set__"].__set__
_set_extra = _SLOTS["__pydantic_extra__"].__set__
_set_private = _SLOTS["__pydantic_private__"].__set__


class BaseModel(pydantic.BaseModel):
    """Root of all models: pydantic with its defaults (unknown keywords ignored, assignment unchecked).

    Fields may be numpy arrays: they are equal if all their items are.
    """

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    def __repr_args__(self) -> Any:
        # A picture or a point cloud has megabytes.
        for name, value in super().__repr_args__():
            yield name, ShortRepr(value)

    def __eq__(self, other: object) -> bool:
        try:
            return super().__eq__(other)
        except ValueError:  # the comparison of arrays is an array, which is neither true nor false
            return type(self) is type(other) and _same(self.__dict__, other.__dict__)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(_same, one, other))
    if hasattr(one, "__array__") and hasattr(other, "__array__"):
        return one.shape == other.shape and bool((one == other).all())
    return bool(one == other)


def fill_unvalidated(model: pydantic.BaseModel, values: dict[str, Any], fields_set: set[str]) -> None:
    """Sets the state of a bare instance, as pydantic does after validation.

    For hot paths only: `values` must hold every field with a value of the declared type. pydantic's
    own `model_construct` looks at each field again and costs ten times as much.
    """
    _set_dict(model, values)
    _set_fields_set(model, fields_set)
    _set_extra(model, None)
    _set_private(model, None)


def build_unvalidated(cls: type[ModelT], values: dict[str, Any], fields_set: set[str]) -> ModelT:
    """A new instance; see `fill_unvalidated`."""
    model = _new(cls)
    _set_dict(model, values)
    _set_fields_set(model, fields_set)
    _set_extra(model, None)
    _set_private(model, None)
    return model
