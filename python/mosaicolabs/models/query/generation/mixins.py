"""Fields of `.Q` and their operators, by kind.

A field of a list compares its elements: the condition holds if any element satisfies it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from numbers import Integral, Real
from typing import Any

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.helpers.times import is_point_in_time, to_ns
from mosaicolabs.models.query.expressions import COMBINATIONS, _QueryExpression


class _QueryableField:
    """A field of a query.

    Attributes:
        full_path: Its path as sent.
    """

    __slots__ = ("_expr_cls", "full_path")

    def __init__(self, full_path: str, expr_cls: type[_QueryExpression]) -> None:
        self.full_path = full_path
        self._expr_cls = expr_cls

    def _expression(self, op: str, value: Any) -> _QueryExpression:
        return self._expr_cls(self.full_path, op, value)

    def __getattr__(self, name: str) -> Any:
        _refuse_internal(name)
        operators = ", ".join(_operators(type(self))) or "none"
        raise AttributeError(f"{self.full_path} has no operator {name!r}; it has: {operators}")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _QueryableField):
            return self.full_path == other.full_path and self._expr_cls is other._expr_cls
        raise TypeError(f"write {self.full_path}.eq({other!r}) in place of ==, and .neq(...) in place of !=")

    def __hash__(self) -> int:
        return hash((self.full_path, self._expr_cls))

    def __repr__(self) -> str:
        return f"<{self.full_path}: {', '.join(_operators(type(self))) or 'not queryable'}>"


class _QueryableUnsupported(_QueryableField):
    """A field that queries cannot compare, such as binary data."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        _refuse_internal(name)
        raise AttributeError(f"{self.full_path} cannot be queried, hence has no {name!r}")


@dataclass(frozen=True)
class Descending:
    """A field to order by, descending."""

    field: _QueryableField


class _QueryableValue(_QueryableField, ABC):
    """A field with operators."""

    __slots__ = ()

    def exists(self) -> _QueryExpression:
        """The field has a value."""
        return self._expression("$ex", None)

    def missing(self) -> _QueryExpression:
        """The field has no value: it is null, or the key is not there."""
        return self._expression("$nex", None)

    def desc(self) -> Descending:
        """For `order_by` of `client.query`: descending. The field itself is ascending."""
        return Descending(self)

    @abstractmethod
    def _checked(self, value: Any) -> Any:
        """The value as it is sent.

        Raises:
            TypeError: The field cannot be compared with it.
        """

    def _refusal(self, value: Any, expected: str) -> TypeError:
        given = f"{type(value).__name__} {value!r}"
        return TypeError(f"{self.full_path} is compared with {expected}, not {given}")

    def _one(self, op: str, value: Any) -> _QueryExpression:
        return self._expression(op, self._checked(value))


class _QueryableComparable(_QueryableValue):
    """A field whose values have an order."""

    __slots__ = ()

    def eq(self, value: Any) -> _QueryExpression:
        """The field equals the value."""
        return self._one("$eq", value)

    def neq(self, value: Any) -> _QueryExpression:
        """The field has a value, and it differs."""
        return self._one("$neq", value)

    def lt(self, value: Any) -> _QueryExpression:
        """The field is less than the value."""
        return self._one("$lt", value)

    def leq(self, value: Any) -> _QueryExpression:
        """The field is less than or equal to the value."""
        return self._one("$leq", value)

    def gt(self, value: Any) -> _QueryExpression:
        """The field is greater than the value."""
        return self._one("$gt", value)

    def geq(self, value: Any) -> _QueryExpression:
        """The field is greater than or equal to the value."""
        return self._one("$geq", value)

    __lt__, __le__, __gt__, __ge__ = lt, leq, gt, geq

    def in_(self, *values: Any) -> _QueryExpression:
        """The field equals one of the values: `in_(1, 2)` or `in_([1, 2])`."""
        given = _spread(values)
        if not given:
            raise InvalidInputError(f"{self.full_path}: in_ needs at least one value", "bad_query")
        return self._expression("$in", self._of_one_type(given))

    def between(self, *values: Any) -> _QueryExpression:
        """The field lies between two values, both included: `between(1, 2)` or `between([1, 2])`."""
        given = _spread(values)
        if len(given) != 2:
            raise InvalidInputError(f"{self.full_path}: between needs two values, got {given!r}", "bad_query")
        checked = self._of_one_type(given)
        low, high = given
        if checked[0] > checked[1]:
            raise InvalidInputError(
                f"{self.full_path}: between {low!r} and {high!r} is an empty range; swap them", "bad_query"
            )
        return self._expression("$between", checked)

    def _of_one_type(self, values: list[Any]) -> list[Any]:
        checked = [self._checked(value) for value in values]
        if len({_comparable_kind(value) for value in values}) > 1:
            raise TypeError(f"{self.full_path} is compared with values of one type, not {values!r}")
        return checked


class _QueryableNumeric(_QueryableComparable):
    """Integers and floats; compared exactly, also with each other. Datetimes count as their ns."""

    __slots__ = ()

    def _checked(self, value: Any) -> int | float:
        if is_point_in_time(value):
            return to_ns(value)
        if isinstance(value, bool) or not isinstance(value, Real):
            raise self._refusal(value, "a number")
        return _number(self.full_path, value)

    def _of_one_type(self, values: list[Any]) -> list[Any]:
        return [self._checked(value) for value in values]


class _QueryableTime(_QueryableNumeric):
    """Times in ns since the Unix epoch; compared with times in any form, also ISO 8601 text."""

    __slots__ = ()

    def _checked(self, value: Any) -> int | float:
        return to_ns(value) if isinstance(value, str) else super()._checked(value)


class _QueryableDateTime(_QueryableComparable):
    """Dates and times of day or of the calendar; sent as ISO text, integers as decimal text."""

    __slots__ = ()

    def _checked(self, value: Any) -> str:
        if isinstance(value, (date, time)):  # a datetime is a date
            return value.isoformat()
        if isinstance(value, Integral) and not isinstance(value, bool):
            return str(int(value))
        raise self._refusal(value, "a date, time, datetime or int")


class _QueryableBool(_QueryableValue):
    """True or false."""

    __slots__ = ()

    def eq(self, value: Any) -> _QueryExpression:
        """The field is the value."""
        return self._one("$eq", value)

    def _checked(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self._refusal(value, "True or False")
        return value


class _QueryableText(_QueryableComparable):
    """A field that can be searched for a text."""

    __slots__ = ()

    def match(self, value: Any) -> _QueryExpression:
        """The field is a text that contains the value, in which `%` and `_` are wildcards."""
        if not isinstance(value, str):
            raise self._refusal(value, "text")
        return self._expression("$match", value)


class _QueryableString(_QueryableText):
    """Text, ordered by code points."""

    __slots__ = ()

    def _checked(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self._refusal(value, "text")
        return value


class _QueryableDynamicValue(_QueryableText):
    """A value in user metadata, whose type depends on the data. Values of another type never match."""

    __slots__ = ()

    def _one(self, op: str, value: Any) -> _QueryExpression:
        if isinstance(value, bool) and op not in ("$eq", "$neq"):
            raise self._refusal(value, "a number or text")
        return super()._one(op, value)

    def _checked(self, value: Any) -> Any:
        if isinstance(value, (bool, str)):
            return value
        if isinstance(value, Real):
            return _number(self.full_path, value)
        raise self._refusal(value, "a number, text or bool")


class _DynamicFieldFactoryMixin:
    """User metadata: `[key]` is a value, `["a.b"]` one inside an object, `["a.0"]` one inside a list."""

    __slots__ = ("_expr_cls", "full_path")

    def __init__(self, full_path: str, expr_cls: type[_QueryExpression]) -> None:
        self.full_path = full_path
        self._expr_cls = expr_cls

    def __getitem__(self, key: str) -> Any:
        if not isinstance(key, str):
            raise TypeError(f"keys of {self.full_path} are text, not {type(key).__name__} {key!r}")
        if not key or key in COMBINATIONS:
            raise InvalidInputError(
                f"{self.full_path}[{key!r}] cannot be queried; give the dotted path of a value", "bad_query"
            )
        return _QueryableDynamicValue(f"{self.full_path}.{key}", self._expr_cls)

    def __getattr__(self, name: str) -> Any:
        _refuse_internal(name)
        raise AttributeError(
            f"{self.full_path} has no attribute {name!r}; write {self.full_path}[{name!r}] for its value"
        )

    def __repr__(self) -> str:
        return f"<{self.full_path}: [key]>"


def _refuse_internal(name: str) -> None:
    """Copying reads such names from a bare instance, which has no path yet."""
    if name.startswith("_") or name == "full_path":
        raise AttributeError(name)


def _operators(cls: type) -> list[str]:
    """Names of the public methods of a field class."""
    return sorted(name for name in dir(cls) if not name.startswith("_") and callable(getattr(cls, name)))


def _spread(values: tuple[Any, ...]) -> list[Any]:
    """The values of `f(a, b)` and of `f([a, b])`."""
    if len(values) == 1 and isinstance(values[0], Iterable) and not isinstance(values[0], (str, bytes)):
        return list(values[0])
    return list(values)


def _number(path: str, value: Real) -> int | float:
    """The number as a JSON number."""
    if isinstance(value, Integral):
        return int(value)
    number = float(value)
    if not math.isfinite(number):
        raise InvalidInputError(f"{path} cannot be compared with {number}; give a finite number", "bad_query")
    return number


def _comparable_kind(value: Any) -> type:
    """Values of one kind can be compared with each other."""
    for kind in (bool, Real, str, datetime):
        if isinstance(value, kind):
            return kind
    return type(value)
