"""Interfaces of builders and field mappers, for custom implementations."""

from typing import Any, Protocol, runtime_checkable

from typing_extensions import Self

from mosaicolabs.models.query.expressions import _QueryExpression


@runtime_checkable
class QueryableProtocol(Protocol):
    """A section of a query."""

    def name(self) -> str:
        """Name of the section."""
        ...

    def with_expression(self, expr: _QueryExpression) -> Self:
        """Adds a condition."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The section as it is sent."""
        ...


@runtime_checkable
class FieldMapperProtocol(Protocol):
    """Finds the fields of a class that queries can name."""

    def build_map(
        self,
        class_type: type,
        query_expression_type: type[_QueryExpression],
        path_prefix: str | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """The prefix of all paths, and the fields by name: a field, or a dict of nested fields."""
        ...
