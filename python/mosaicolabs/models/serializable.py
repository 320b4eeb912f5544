"""The base of all data classes, and the registry of its subclasses."""

from typing import Any, ClassVar

import pyarrow as pa

from mosaicolabs.enum import SerializationFormat
from mosaicolabs.helpers import camel_to_snake
from mosaicolabs.models._annotations import columns_of
from mosaicolabs.models._lazy_registry import RESERVED, import_class_of
from mosaicolabs.models.base_model import BaseModel
from mosaicolabs.models.query.expressions import _QueryCatalogExpression
from mosaicolabs.models.query.generation.api import LazyQueryProxy
from mosaicolabs.models.query.generation.mappers import ArrowFieldMapper

_CLASS_BY_TAG: dict[str, type["Serializable"]] = {}


class Serializable(BaseModel):
    """Base of all data classes. Defining a subclass registers it under its tag.

    A subclass annotates its fields; the columns follow from the annotations: `bool`, `int`, `float`, `str`,
    `bytes`, `datetime`, `timedelta`, `date`, `Enum`, `Literal`, `list`, `tuple`, `dict`, `NDArray`, pydantic
    classes, `Optional` of these, and `Annotated[float, pa.float32()]` for a certain Arrow type. It may set
    these class attributes:

    Attributes:
        __msco_pyarrow_struct__: Arrow struct of the fields, in column order, instead of the one that follows
            from the annotations; mixins append theirs.
        __ontology_tag__: Name under which topics store the class; by default derived from the
            class name with `camel_to_snake`.
        __serialization_format__: Shape of the payload, a hint for storage.
        Q: Fields for queries, one per column: `IMU.Q.acceleration.x.gt(2.0)`.

    Raises:
        AttributeError: `__msco_pyarrow_struct__` is not an Arrow struct.
        TypeError: An annotation has no Arrow type, or the struct and the annotated fields differ in names.
        ValueError: The tag is taken, or a mixin's column is already in the struct.

    Example:
        >>> class WheelSpeed(Serializable):
        ...     rpm: float
        ...     slipping: bool | None = None
        >>> WheelSpeed.ontology_tag(), WheelSpeed.is_registered()
        ('wheel_speed', True)
        >>> [str(field) for field in WheelSpeed.__msco_pyarrow_struct__]
        ['pyarrow.Field<rpm: double not null>', 'pyarrow.Field<slipping: bool>']
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct([])
    __serialization_format__: ClassVar[SerializationFormat] = SerializationFormat.Default
    __ontology_tag__: ClassVar[str | None] = None
    __generic__: ClassVar[bool] = False  # made from a schema, hence neither checked nor registered
    __class_type__: ClassVar[type["Serializable"]]
    Q: ClassVar[LazyQueryProxy] = LazyQueryProxy(ArrowFieldMapper(), _QueryCatalogExpression)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        inherited = cls.__msco_pyarrow_struct__
        # Mixins listed after Serializable append their columns in the call to super.
        derived = "__msco_pyarrow_struct__" not in cls.__dict__
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__generic__:
            return
        if derived:
            _derive_columns(cls, inherited)
        _check_struct(cls)
        _register(cls)

    @classmethod
    def is_registered(cls) -> bool:
        """Whether topics can store this class; False only for `Serializable` itself."""
        return _CLASS_BY_TAG.get(cls.__ontology_tag__ or "") is cls

    @classmethod
    def ontology_tag(cls) -> str:
        """The name under which topics store this class.

        Raises:
            TypeError: Called on `Serializable` itself, which has no tag.
        """
        if cls.__ontology_tag__ is None:
            raise TypeError(f"class '{cls.__name__}' has no ontology tag; derive a data class from it")
        return cls.__ontology_tag__

    @classmethod
    def _create(cls, tag: str, *args: Any, **kwargs: Any) -> "Serializable":
        """A new, validated instance of the class registered under `tag`."""
        class_type = cls._get_class_type(tag)
        if class_type is None:
            raise ValueError(f"no ontology class is registered as '{tag}'; import the module that defines it")
        return class_type(*args, **kwargs)

    @classmethod
    def _list_registered(cls) -> list[str]:
        """All tags: those of Mosaico 0.2, then the others in the order of registration."""
        return list(dict.fromkeys([*RESERVED, *_CLASS_BY_TAG]))

    @classmethod
    def _is_registered(cls, tag: str) -> bool:
        return tag in RESERVED or tag in _CLASS_BY_TAG

    @classmethod
    def _get_class_type(cls, tag: str) -> type["Serializable"] | None:
        return registered_class(tag)

    @classmethod
    def _get_ontology_tag(cls, class_type_name: str, case_sensitive: bool = True) -> str | None:
        """The tag of the first registered class of that name."""
        wanted = class_type_name if case_sensitive else class_type_name.lower()
        for tag in RESERVED:
            import_class_of(tag)
        for tag, class_type in _CLASS_BY_TAG.items():
            name = class_type.__name__ if case_sensitive else class_type.__name__.lower()
            if name == wanted:
                return tag
        return None


def registered_class(tag: str) -> type[Serializable] | None:
    """The class of a tag, imported if need be; None if no class is known."""
    if tag not in _CLASS_BY_TAG:
        import_class_of(tag)
    return _CLASS_BY_TAG.get(tag)


def _derive_columns(cls: type[Serializable], inherited: pa.StructType) -> None:
    """Adds columns for the fields that have none: after the inherited ones, before those of mixins."""
    columns = list(cls.__msco_pyarrow_struct__)
    known = {field.name for field in columns}
    new = [name for name in cls.model_fields if name not in known]
    if new:
        above = len(inherited)
        columns[above:above] = columns_of(cls, new)
        cls.__msco_pyarrow_struct__ = pa.struct(columns)


def _check_struct(cls: type[Serializable]) -> None:
    struct = getattr(cls, "__msco_pyarrow_struct__", None)
    if not isinstance(struct, pa.StructType):
        raise AttributeError(
            f"ontology class '{cls.__name__}' has {struct!r} as __msco_pyarrow_struct__; "
            "set it to a pyarrow.struct with one field per annotated attribute"
        )
    columns = {field.name for field in struct}
    fields = set(cls.model_fields)
    if columns != fields:
        raise TypeError(
            f"Schema mismatch in ontology class '{cls.__name__}': "
            f"only in the struct: {sorted(columns - fields)}, only annotated: {sorted(fields - columns)}; "
            "make both agree, and list mixins after Serializable in the bases"
        )


def _register(cls: type[Serializable]) -> None:
    tag = cls.__ontology_tag__ or camel_to_snake(cls.__name__)
    if RESERVED.get(tag, cls.__module__) != cls.__module__:
        import_class_of(tag)
    taken_by = _CLASS_BY_TAG.get(tag)
    if taken_by is not None:
        raise ValueError(
            f"ontology class '{cls.__name__}' has the tag '{tag}', which "
            f"'{taken_by.__module__}.{taken_by.__qualname__}' already uses; give it another __ontology_tag__"
        )
    cls.__ontology_tag__ = tag
    cls.__class_type__ = cls
    _CLASS_BY_TAG[tag] = cls
