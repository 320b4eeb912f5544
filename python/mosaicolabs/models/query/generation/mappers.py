"""Sources of the fields of a `Q`: the Arrow columns of a data class, or the facts of the catalog."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from mosaicolabs.models._arrow import ENVELOPE_COLUMNS
from mosaicolabs.models.query.expressions import USER_METADATA, _QueryExpression
from mosaicolabs.models.query.generation.mixins import (
    _DynamicFieldFactoryMixin,
    _QueryableBool,
    _QueryableDateTime,
    _QueryableField,
    _QueryableNumeric,
    _QueryableString,
    _QueryableTime,
    _QueryableUnsupported,
)


class ArrowFieldMapper:
    """Fields of a data class: the columns of its messages. A list stands for any of its elements."""

    def build_map(
        self,
        class_type: type[Any],
        query_expression_type: type[_QueryExpression],
        path_prefix: str | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """Paths begin with the tag of the class."""
        if class_type.__ontology_tag__ is None:
            raise AttributeError(
                f"class '{class_type.__name__}' has no Q; the data classes derived from it do"
            )
        prefix = path_prefix or class_type.ontology_tag()
        columns = (*ENVELOPE_COLUMNS, *class_type.__msco_pyarrow_struct__)
        return prefix, _columns(columns, prefix, query_expression_type)


class CatalogFieldMapper:
    """Facts of sequences or topics.

    Args:
        times: Names of the facts that are times, ns.
        texts: Names of those that are text.
    """

    def __init__(self, *, times: tuple[str, ...], texts: tuple[str, ...]) -> None:
        self._kinds: dict[str, type[_QueryableField]] = {
            **dict.fromkeys(texts, _QueryableString),
            **dict.fromkeys(times, _QueryableTime),
        }

    def build_map(
        self,
        class_type: type[Any],
        query_expression_type: type[_QueryExpression],
        path_prefix: str | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """Paths have no prefix: the section of the query determines their subject."""
        prefix = path_prefix or ""
        fields: dict[str, Any] = {
            name: kind(f"{prefix}{name}", query_expression_type) for name, kind in self._kinds.items()
        }
        fields[USER_METADATA] = _DynamicFieldFactoryMixin(f"{prefix}{USER_METADATA}", query_expression_type)
        return prefix, fields


def _columns(columns: Iterable[pa.Field], path: str, expression: type[_QueryExpression]) -> dict[str, Any]:
    return {column.name: _field(column, f"{path}.{column.name}", expression) for column in columns}


def _field(column: pa.Field, path: str, expression: type[_QueryExpression]) -> Any:
    if column in ENVELOPE_COLUMNS:
        return _QueryableTime(path, expression)
    type_ = _element(column.type)
    if pt.is_struct(type_):
        return _columns(type_, path, expression)
    return _kind(type_)(path, expression)


def _element(type_: pa.DataType) -> pa.DataType:
    """The type that a condition compares: elements of lists, values of dictionaries and extensions."""
    if isinstance(type_, pa.BaseExtensionType):
        return _element(type_.storage_type)
    if (
        pt.is_list(type_)
        or pt.is_large_list(type_)
        or pt.is_fixed_size_list(type_)
        or pt.is_list_view(type_)
        or pt.is_large_list_view(type_)
        or pt.is_dictionary(type_)
    ):
        return _element(type_.value_type)
    return type_


def _kind(type_: pa.DataType) -> type[_QueryableField]:
    if pt.is_integer(type_) or pt.is_floating(type_):
        return _QueryableNumeric
    if pt.is_boolean(type_):
        return _QueryableBool
    if pt.is_string(type_) or pt.is_large_string(type_) or pt.is_string_view(type_):
        return _QueryableString
    if pt.is_date(type_) or pt.is_time(type_) or pt.is_timestamp(type_):
        return _QueryableDateTime
    return _QueryableUnsupported
