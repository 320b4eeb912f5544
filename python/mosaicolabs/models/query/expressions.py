"""Conditions: a field compared with a value, and their combinations by `&`, `|` and `~`."""

from typing import Any

from typing_extensions import Self

USER_METADATA = "user_metadata"
AND, OR, NOT = "$and", "$or", "$not"
COMBINATIONS = frozenset((AND, OR, NOT))


class _QueryExpression:
    """A condition. Fields of `.Q` create them; `a & b`, `a | b` and `~a` combine conditions of one kind.

    Python's `and`, `or` and `not` cannot be overloaded: they raise.

    Attributes:
        full_path: Path of the field; empty for a combination.
        op: Operator as sent, such as `$gt`, or `$and`, `$or`, `$not`.
        value: The value that the field is compared with; the operands of `$and`, `$or`, `$not`.

    Example:
        >>> from mosaicolabs import IMU
        >>> hard = IMU.Q.acceleration.x.gt(20.0) | IMU.Q.acceleration.y.gt(20.0)
        >>> hard.to_dict()
        {'$or': [{'imu.acceleration.x': {'$gt': 20.0}}, {'imu.acceleration.y': {'$gt': 20.0}}]}
    """

    __slots__ = ("full_path", "op", "value")

    def __init__(self, full_path: str, op: str, value: Any) -> None:
        self.full_path = full_path
        self.op = op
        self.value = value

    def to_dict(self) -> dict[str, Any]:
        """`{path: {op: value}}`, or the filter of a combination."""
        return self._filter() if self._is_combination else {self.full_path: {self.op: self.value}}

    @property
    def _is_combination(self) -> bool:
        return self.op in COMBINATIONS

    def _filter(self) -> dict[str, Any]:
        """The condition as a filter object of its section."""
        if self.op == NOT:
            return {NOT: self.value._filter()}
        if self._is_combination:
            return {self.op: [part._filter() for part in self.value]}
        return {self.full_path: {self.op: self.value}}

    def __and__(self, other: object) -> Self:
        return self._combined(AND, other)

    def __or__(self, other: object) -> Self:
        return self._combined(OR, other)

    def __invert__(self) -> Self:
        if self.op == NOT:
            negated: Self = self.value
            return negated
        return type(self)("", NOT, self)

    def _combined(self, op: str, other: object) -> Self:
        if not isinstance(other, _QueryExpression):
            raise TypeError(f"a {self._described()} combines with another one, not with {other!r}")
        if type(other) is not type(self):
            raise TypeError(
                f"cannot combine a {self._described()} with a {other._described()}: "
                "give each to its own builder, and combine the builders with & | ~"
            )
        return type(self)("", op, (*self._parts(op), *other._parts(op)))

    def _parts(self, op: str) -> tuple["_QueryExpression", ...]:
        return tuple(self.value) if self.op == op else (self,)

    def _leaves_of_and(self) -> dict[str, "_QueryExpression"]:
        """The conditions by path, if this is an `$and` of conditions on different fields."""
        if self.op != AND or any(part._is_combination for part in self.value):
            return {}
        leaves = {part.full_path: part for part in self.value}
        return leaves if len(leaves) == len(self.value) else {}

    def __bool__(self) -> bool:
        raise TypeError(
            "conditions have no truth value: combine them with & | ~ in place of `and`, `or`, `not`, each in "
            "parentheses; give a range as .between(low, high)"
        )

    @classmethod
    def _described(cls) -> str:
        """Its name in error messages."""
        return "condition"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_dict()})"


class _CatalogEntryExpression(_QueryExpression):
    """A condition on facts of the catalog; user metadata is an object of its own."""

    __slots__ = ()

    def _filter(self) -> dict[str, Any]:
        section, dot, key = self.full_path.partition(".")
        if section == USER_METADATA and dot:
            return {USER_METADATA: {key: {self.op: self.value}}}
        return super()._filter()


class _QuerySequenceExpression(_CatalogEntryExpression):
    """A condition on a sequence, created by `Sequence.Q`."""

    __slots__ = ()

    @classmethod
    def _described(cls) -> str:
        return "condition of Sequence.Q"


class _QueryTopicExpression(_CatalogEntryExpression):
    """A condition on a topic, created by `Topic.Q`."""

    __slots__ = ()

    @classmethod
    def _described(cls) -> str:
        return "condition of Topic.Q"


class _QueryCatalogExpression(_QueryExpression):
    """A condition on the values of messages, created by the `.Q` of their class."""

    __slots__ = ()

    @classmethod
    def _described(cls) -> str:
        return "condition of a data class's Q"
