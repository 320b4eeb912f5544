"""Conditions as text: comparisons, `and`, `or`, `not` in Python syntax; parsed as a query, never executed."""

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import and_, or_
from typing import Any

from mosaicolabs.models.platform import Sequence, Topic
from mosaicolabs.models.query import Query, QueryOntologyCatalog, QuerySequence, QueryTopic, data_field
from mosaicolabs.models.query.expressions import (
    USER_METADATA,
    _QueryCatalogExpression,
    _QueryExpression,
    _QuerySequenceExpression,
    _QueryTopicExpression,
)

Part = _QueryExpression | Query

_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "neq",
    ast.Lt: "lt",
    ast.LtE: "leq",
    ast.Gt: "gt",
    ast.GtE: "geq",
    ast.Is: "eq",
    ast.IsNot: "neq",
}
_FLIPPED = {"eq": "eq", "neq": "neq", "lt": "gt", "leq": "geq", "gt": "lt", "geq": "leq"}
_JSON_NAMES = {"true": True, "false": False, "null": None}


def parse_conditions(text: str, *, times: bool = False) -> Query:
    """The query that a text describes.

    Args:
        text: Such as `sequence.user_metadata.site == "north" and imu.acceleration.x > 20`.
        times: Whether the response includes the times of the first and the last matching message.

    Raises:
        ValueError: The text is not a condition; the message says where it fails.
    """
    with _readable(text):
        return _Reader(times=times).query(ast.parse(text.strip(), mode="eval").body)


def parse_value_condition(text: str) -> _QueryCatalogExpression:
    """The condition on values of messages that a text describes.

    Args:
        text: Such as `imu.acceleration.x > 20 and imu.acceleration.y < 1`.

    Raises:
        ValueError: The text is not such a condition; the message says where it fails.
    """
    with _readable(text):
        part = _Reader().part(ast.parse(text.strip(), mode="eval").body)
    if not isinstance(part, _QueryCatalogExpression):
        raise ValueError(
            f"{text!r} is about sequences or topics; give one on values such as imu.acceleration.x > 2"
        )
    return part


@contextmanager
def _readable(text: str) -> Iterator[None]:
    """Turns what parsing raises into a `ValueError`."""
    try:
        yield
    except SyntaxError as error:
        raise ValueError(f"cannot read {text!r}: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError("the condition is nested too deeply") from error
    except (AttributeError, TypeError) as error:  # a field has no such operator, or not for such a value
        raise ValueError(str(error)) from error


def parse_order(text: str) -> Any:
    """A field for `order_by`, from `sequence.name` or `sequence.name desc`.

    Raises:
        ValueError: It is not a field of sequences.
    """
    path, _, direction = text.strip().partition(" ")
    names = path.split(".")
    if names[0] != "sequence" or direction.strip() not in ("", "asc", "desc"):
        raise ValueError(
            f"cannot order by {text!r}; give a field such as sequence.name, optionally followed by `desc`"
        )
    field = _field(names)
    return field.desc() if direction.strip() == "desc" else field


class _Reader:
    """Reads syntax trees. Conditions on values stay together: one message must satisfy all of them."""

    def __init__(self, *, times: bool = False) -> None:
        self._builders: dict[type, Callable[[Any], Any]] = {
            _QuerySequenceExpression: QuerySequence,
            _QueryTopicExpression: QueryTopic,
            _QueryCatalogExpression: lambda part: QueryOntologyCatalog(part, include_timestamp_range=times),
        }

    def query(self, node: ast.expr) -> Query:
        section = self._as_section(self.part(node))
        return section if isinstance(section, Query) else Query(section)

    def _as_section(self, part: Part) -> Any:
        return part if isinstance(part, Query) else self._builders[type(part)](part)

    def part(self, node: ast.expr) -> Part:
        if isinstance(node, ast.BoolOp):
            combine = and_ if isinstance(node.op, ast.And) else or_
            return self._combined(combine, [self.part(value) for value in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.part(node.operand)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = zip(sides, node.ops, sides[1:], strict=False)
            return self._combined(and_, [_comparison(left, op, right) for left, op, right in pairs])
        raise ValueError(
            f"{ast.unparse(node)!r} is not a comparison; write one such as imu.acceleration.x > 2"
        )

    def _combined(self, combine: Callable[[Any, Any], Any], parts: list[Part]) -> Part:
        sections: dict[type, Part] = {}
        for part in parts:
            known = sections.get(type(part))
            sections[type(part)] = part if known is None else combine(known, part)
        if len(sections) == 1:
            return next(iter(sections.values()))
        operands = [self._as_section(part) for part in sections.values()]
        query: Query = Query(*operands) if combine is and_ else reduce(combine, operands)
        return query


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr) -> Any:
    if isinstance(op, ast.In | ast.NotIn):
        path = _path(left)
        found = _field(path).in_(_value(right)) if path else _field(_path(right)).match(_value(left))
        return ~found if isinstance(op, ast.NotIn) else found
    name = _OPERATORS[type(op)]
    if not _path(left):
        left, right, name = right, left, _FLIPPED[name]
    field, value = _field(_path(left)), _value(right)
    if value is None and name in ("eq", "neq"):
        return field.missing() if name == "eq" else field.exists()
    return getattr(field, name)(value)


def _field(path: list[str]) -> Any:
    if not path:
        raise ValueError("a comparison needs a field on one side and a value on the other")
    root, *names = path
    proxy = {"sequence": Sequence.Q, "topic": Topic.Q}.get(root)
    if not names:
        raise ValueError(
            f"{root!r} is not a field; write tag.field, sequence.name, topic.user_metadata.key ..."
        )
    if proxy is None:
        return data_field(".".join(path))
    if names[0] == USER_METADATA:
        return proxy.user_metadata[".".join(names[1:])]
    return getattr(proxy, ".".join(names))


def _path(node: ast.expr) -> list[str]:
    """The names of `a.b["c"][0]`; empty if the node is something else."""
    if isinstance(node, ast.Name):
        return [] if node.id in _JSON_NAMES else [node.id]
    if isinstance(node, ast.Attribute):
        above, name = _path(node.value), node.attr
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        above, name = _path(node.value), str(node.slice.value)
    else:
        return []
    return [*above, name] if above else []


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in _JSON_NAMES:
        return _JSON_NAMES[node.id]
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(f"{ast.unparse(node)!r} is not a value; put text in quotes") from error
