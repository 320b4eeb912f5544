"""The proxy behind `.Q`, built at first use, and the decorator that adds one to any class."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

from mosaicolabs.helpers.suggest import did_you_mean
from mosaicolabs.models.query.expressions import _QueryExpression
from mosaicolabs.models.query.generation.mixins import _QueryableUnsupported
from mosaicolabs.models.query.protocols import FieldMapperProtocol

ClassT = TypeVar("ClassT", bound=type)


class _QueryProxy:
    """The fields below a path, as attributes.

    Example:
        >>> from mosaicolabs import GPS
        >>> GPS.Q.position.x.between(44.0, 46.0)
        _QueryCatalogExpression({'gps.position.x': {'$between': [44.0, 46.0]}})
        >>> GPS.Q.position.queryable_fields
        ['x', 'y', 'z', 'covariance', 'covariance_type', 'header']
    """

    __slots__ = ("_field_map", "_full_path")

    def __init__(self, full_path: str, field_map: dict[str, Any]) -> None:
        self._full_path = full_path
        self._field_map = field_map

    @property
    def queryable_fields(self) -> list[str]:
        """Names of the fields that have operators, or nested fields with operators."""
        fields = self._field_map.items()
        return [name for name, below in fields if not isinstance(below, _QueryableUnsupported)]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # copying reads such names from a bare instance
            raise AttributeError(name)
        return self._below(name)

    def __getitem__(self, path: str) -> Any:
        """The field of a dotted path, whose names need not be Python names: `Q["pose.x"]`."""
        first, _, rest = path.partition(".")
        below = self._below(first)
        for name in rest.split(".") if rest else ():
            below = below[name] if isinstance(below, _QueryProxy) else getattr(below, name)
        return below

    def _below(self, name: str) -> Any:
        try:
            below = self._field_map[name]
        except KeyError:
            raise AttributeError(
                f"{self._full_path or 'Q'} has no field {name!r}; {did_you_mean(name, self._field_map)}"
            ) from None
        return _QueryProxy(_joined(self._full_path, name), below) if isinstance(below, dict) else below

    def __dir__(self) -> Iterator[str]:
        yield from self._field_map
        yield "queryable_fields"

    def __repr__(self) -> str:
        return f"<{_joined(self._full_path, 'Q')}: {', '.join(self.queryable_fields)}>"


class LazyQueryProxy:
    """The class attribute `Q`: one proxy per class, built at first use."""

    def __init__(
        self,
        mapper: FieldMapperProtocol,
        query_expression_type: type[_QueryExpression],
        prefix: str | None = None,
    ) -> None:
        self._mapper = mapper
        self._query_expression_type = query_expression_type
        self._prefix = prefix
        self._proxies: dict[type, _QueryProxy] = {}

    def __get__(self, instance: object, owner: type) -> _QueryProxy:
        proxy = self._proxies.get(owner)
        if proxy is None:
            prefix, field_map = self._mapper.build_map(owner, self._query_expression_type, self._prefix)
            proxy = self._proxies[owner] = _QueryProxy(prefix, field_map)
        return proxy


class _QueryProxyMixin:
    """Marks a class that has a `Q`; for annotations of classes under `queryable`."""

    Q: ClassVar[LazyQueryProxy]


def queryable(
    mapper_type: type[FieldMapperProtocol],
    query_expression_type: type[_QueryExpression],
    prefix: str | None = None,
    **kwargs: Any,
) -> Callable[[ClassT], ClassT]:
    """Adds a `Q` to a class; the mapper provides its fields.

    Data classes already have one.

    Args:
        mapper_type: Class of the mapper.
        query_expression_type: Class of the conditions, which determines the builder that accepts them.
        prefix: Prefix of all paths. None: the mapper chooses.
        **kwargs: Arguments of the mapper's constructor.
    """

    def decorate(cls: ClassT) -> ClassT:
        proxy = LazyQueryProxy(mapper_type(**kwargs), query_expression_type, prefix)
        type.__setattr__(cls, "Q", proxy)
        return cls

    return decorate


def is_model_queryable(model: type[Any]) -> bool:
    """Whether a class has a `Q`.

    Example:
        >>> from mosaicolabs import IMU
        >>> is_model_queryable(IMU), is_model_queryable(int)
        (True, False)
    """
    return isinstance(getattr(model, "Q", None), _QueryProxy)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
