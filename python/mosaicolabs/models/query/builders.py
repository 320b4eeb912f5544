"""Builders of the sections of a query, and the query itself."""

from typing import Any, ClassVar

from typing_extensions import Self

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.helpers.times import TimeLike
from mosaicolabs.models.header import Time
from mosaicolabs.models.query.expressions import (
    AND,
    NOT,
    OR,
    USER_METADATA,
    _QueryCatalogExpression,
    _QueryExpression,
    _QuerySequenceExpression,
    _QueryTopicExpression,
)
from mosaicolabs.models.query.generation.mixins import (
    _DynamicFieldFactoryMixin,
    _QueryableString,
    _QueryableTime,
)
from mosaicolabs.models.query.protocols import QueryableProtocol

__all__ = ["Query", "QueryOntologyCatalog", "QuerySequence", "QueryTopic"]

_METADATA_OPERATORS = ("eq", "neq", "lt", "leq", "gt", "geq", "in_", "between", "match")


class _Combinable:
    """Builders and queries combine by `&`, `|` and `~` into a query over sets of topics."""

    def __and__(self, other: object) -> "Query":
        return _combined(AND, self, other)

    def __or__(self, other: object) -> "Query":
        return _combined(OR, self, other)

    def __invert__(self) -> "Query":
        return Query._of(NOT, (_as_query(self),))

    def __bool__(self) -> bool:
        raise TypeError(
            "queries have no truth value: combine them with & | ~ in place of `and`, `or` and `not`"
        )


class _Builder(_Combinable):
    """One section of a query: conditions that must all hold."""

    _section: ClassVar[str]
    _expression_type: ClassVar[type[_QueryExpression]]

    def __init__(self, *expressions: _QueryExpression) -> None:
        self._fields: dict[str, _QueryExpression] = {}
        self._combinations: list[_QueryExpression] = []
        for expression in expressions:
            self.with_expression(expression)

    def name(self) -> str:
        """Name of the section."""
        return self._section

    def with_expression(self, expr: _QueryExpression) -> Self:
        """Adds a condition, or a combination of conditions by `&`, `|` and `~`.

        Raises:
            TypeError: It is not a condition of this section.
            ValueError: Its operator does not begin with `$`.
            NotImplementedError: The section already has a condition on the field.
        """
        if not isinstance(expr, self._expression_type):
            raise TypeError(
                f"{type(self).__name__} takes a {self._expression_type._described()}, "
                f"not {type(expr).__name__} {expr!r}; operators such as .eq() and .gt() create them"
            )
        if not expr.op.startswith("$"):
            raise InvalidInputError(
                f"operator {expr.op!r} of {expr.full_path} does not begin with '$'", "bad_query"
            )
        if expr._is_combination:
            self._combinations.append(expr)
        elif expr.full_path in self._fields:
            raise NotImplementedError(
                f"{type(self).__name__} already has a condition on {expr.full_path}; "
                "use .between(), or combine both with & before adding them"
            )
        else:
            self._fields[expr.full_path] = expr
        return self

    def to_dict(self) -> dict[str, Any]:
        """The section as it is sent: `{field: {op: value}}`, all of which must hold."""
        leaves, combinations = dict(self._fields), []
        for combination in self._combinations:
            together = combination._leaves_of_and()
            if together and leaves.keys().isdisjoint(together):
                leaves |= together  # Mosaico 0.2 supports this, but not `$and`
            else:
                combinations.append(combination._filter())
        section: dict[str, Any] = {}
        for leaf in leaves.values():
            for key, condition in leaf._filter().items():
                if key == USER_METADATA:
                    section.setdefault(key, {}).update(condition)
                else:
                    section[key] = condition
        return _with_combinations(section, combinations)


class _CatalogEntryBuilder(_Builder):
    """Conditions common to sequences and topics."""

    def with_name(self, name: str) -> Self:
        """The name equals this one."""
        return self.with_expression(_QueryableString("name", self._expression_type).eq(name))

    def with_name_match(self, name: str) -> Self:
        """The name contains this text, in which `%` stands for any text and `_` for any character."""
        return self.with_expression(_QueryableString("name", self._expression_type).match(name))

    def with_created_timestamp(
        self, time_start: Time | TimeLike | None = None, time_end: Time | TimeLike | None = None
    ) -> Self:
        """The creation time lies in a range, both ends included.

        Args:
            time_start: Earliest time. None: no bound.
            time_end: Latest time. None: no bound.

        Raises:
            ValueError: Both are missing, or the start is past the end.
        """
        created = _QueryableTime("created_timestamp", self._expression_type)
        if time_start is not None and time_end is not None:
            return self.with_expression(created.between(time_start, time_end))
        if time_start is not None:
            return self.with_expression(created.geq(time_start))
        if time_end is not None:
            return self.with_expression(created.leq(time_end))
        raise InvalidInputError("with_created_timestamp needs time_start, time_end or both", "bad_query")

    def with_user_metadata(self, key: str, **operator: Any) -> Self:
        """A condition on a value in the user metadata: `with_user_metadata("laps", gt=3)`.

        Args:
            key: Key; a dotted path leads into objects and, by index, into lists.
            **operator: One of the operators of `Q.user_metadata[key]`, and its value.

        Raises:
            ValueError: Not exactly one operator, or an unknown one.
        """
        if len(operator) != 1 or not operator.keys() <= set(_METADATA_OPERATORS):
            raise InvalidInputError(
                f"with_user_metadata({key!r}) needs one operator of {', '.join(_METADATA_OPERATORS)}; "
                f"got {', '.join(operator) or 'none'}",
                "bad_query",
            )
        ((name, value),) = operator.items()
        field = _DynamicFieldFactoryMixin(USER_METADATA, self._expression_type)[key]
        return self.with_expression(getattr(field, name)(value))


class QuerySequence(_CatalogEntryBuilder):
    """Conditions on sequences, from `Sequence.Q`.

    Example:
        >>> from mosaicolabs.models.platform import Sequence
        >>> QuerySequence(Sequence.Q.user_metadata["site"].eq("north")).with_name_match("run-").to_dict()
        {'user_metadata': {'site': {'$eq': 'north'}}, 'name': {'$match': 'run-'}}
    """

    _section = "sequence"
    _expression_type = _QuerySequenceExpression


class QueryTopic(_CatalogEntryBuilder):
    """Conditions on topics, from `Topic.Q`.

    Example:
        >>> QueryTopic().with_ontology_tag("imu").with_user_metadata("rate_hz", geq=200).to_dict()
        {'ontology_tag': {'$eq': 'imu'}, 'user_metadata': {'rate_hz': {'$geq': 200}}}
    """

    _section = "topic"
    _expression_type = _QueryTopicExpression

    # Topics of an earlier response: names of sequences with the names of their topics.
    _pins: tuple[tuple[list[str], list[str]], ...] = ()

    def with_ontology_tag(self, ontology_tag: str) -> Self:
        """The class of the messages has this tag."""
        return self.with_expression(_QueryableString("ontology_tag", self._expression_type).eq(ontology_tag))

    @classmethod
    def _pinned_to(cls, topics: dict[str, list[str]]) -> Self:
        """Exactly these topics of these sequences."""
        sequences_by_topics: dict[tuple[str, ...], list[str]] = {}
        for sequence, names in topics.items():
            sequences_by_topics.setdefault(tuple(sorted(names)), []).append(sequence)
        all_names = dict.fromkeys(name for names in topics.values() for name in names)
        builder = cls(_QueryableString("name", _QueryTopicExpression).in_(list(all_names)))
        builder._pins = tuple((sequences, list(names)) for names, sequences in sequences_by_topics.items())
        return builder


class QueryOntologyCatalog(_Builder):
    """Conditions on the values of messages, from the `.Q` of their classes; one message must satisfy all.

    Args:
        expressions: Conditions.
        include_timestamp_range: Whether the response includes the times of the first and the last matching
            message.

    Example:
        >>> from mosaicolabs import IMU
        >>> QueryOntologyCatalog(IMU.Q.acceleration.x.gt(20.0), include_timestamp_range=True).to_dict()
        {'imu.acceleration.x': {'$gt': 20.0}, 'include_timestamp_range': True}
    """

    _section = "ontology"
    _expression_type = _QueryCatalogExpression

    def __init__(self, *expressions: _QueryExpression, include_timestamp_range: bool | None = None) -> None:
        self._include_timestamp_range = include_timestamp_range
        super().__init__(*expressions)

    def to_dict(self) -> dict[str, Any]:
        """The section as it is sent."""
        section = super().to_dict()
        if self._include_timestamp_range:
            section["include_timestamp_range"] = True
        return section


class Query(_Combinable):
    """Sections that must all hold for a topic, at most one of each kind.

    Queries and builders combine by `&`, `|` and `~` as sets of topics.

    Raises:
        ValueError: Two builders of one kind.

    Example:
        >>> from mosaicolabs import GPS, IMU
        >>> shaken = QueryOntologyCatalog(IMU.Q.acceleration.z.gt(20.0))
        >>> lost = QueryOntologyCatalog(GPS.Q.status.satellites.lt(4))
        >>> query = Query(QuerySequence().with_name_match("run-"), shaken | lost).to_dict()
        >>> query["sequence"]
        {'name': {'$match': 'run-'}}
        >>> query["$or"][1]
        {'ontology': {'gps.status.satellites': {'$lt': 4}}}
    """

    def __init__(self, *queries: "QueryableProtocol | Query") -> None:
        self._builders: dict[str, QueryableProtocol] = {}
        self._combinations: list[tuple[str, tuple[Query, ...]]] = []
        self.append(*queries)

    def append(self, *queries: "QueryableProtocol | Query") -> None:
        """Adds sections or queries, which must hold too.

        Raises:
            ValueError: Two builders of one kind.
        """
        for query in queries:
            if isinstance(query, Query):
                self._combinations += [(AND, (query,))] if query._builders else query._combinations
            elif query.name() in self._builders:
                raise InvalidInputError(
                    f"the query already has a {type(query).__name__}; put all conditions into one, "
                    "or combine builders with & | ~",
                    "bad_query",
                )
            else:
                self._builders[query.name()] = query

    @classmethod
    def _of(cls, op: str, operands: "tuple[Query, ...]") -> Self:
        query = cls()
        query._combinations.append((op, operands))
        return query

    def _only_part(self, op: str) -> "tuple[Query, ...]":
        """The operands, if the query consists of this combination only."""
        if not self._builders and len(self._combinations) == 1 and self._combinations[0][0] == op:
            return self._combinations[0][1]
        return (self,)

    @property
    def _pins(self) -> tuple[tuple[list[str], list[str]], ...]:
        topic = self._builders.get("topic")
        return topic._pins if isinstance(topic, QueryTopic) else ()

    def to_dict(self) -> dict[str, Any]:
        """The query as it is sent: `{section: {field: {op: value}}}`."""
        sections = {name: builder.to_dict() for name, builder in self._builders.items()}
        combinations: list[dict[str, Any]] = []
        pins = self._pins
        if pins:
            pinned = [name for sequences, _ in pins for name in sequences]
            sections["sequence"] = _within(sections.get("sequence"), pinned)
        if len(pins) > 1:
            combinations.append({OR: [_pin(sequences, topics) for sequences, topics in pins]})
        for op, operands in self._combinations:
            dicts = [operand.to_dict() for operand in operands]
            combinations.append({op: dicts[0] if op == NOT else dicts})
        return _with_combinations(sections, combinations)


def _combined(op: str, left: _Combinable, right: object) -> Query:
    if not isinstance(right, _Combinable):
        raise TypeError(f"{type(left).__name__} combines with a builder or a Query, not with {right!r}")
    return Query._of(op, (*_as_query(left)._only_part(op), *_as_query(right)._only_part(op)))


def _as_query(part: Any) -> Query:
    return part if isinstance(part, Query) else Query(part)


def _with_combinations(fields: dict[str, Any], combinations: list[dict[str, Any]]) -> dict[str, Any]:
    """Fields beside `$and`, `$or` or `$not`; several combinations are ANDed."""
    if len(combinations) == 1:
        return {**fields, **combinations[0]}
    return {**fields, AND: combinations} if combinations else fields


def _within(section: dict[str, Any] | None, sequences: list[str]) -> dict[str, Any]:
    """The section on sequences, restricted to these names."""
    names = {"name": {"$in": sequences}}
    if section is None or "name" not in section:
        return {**(section or {}), **names}
    if AND in section:
        return {**section, AND: [*section[AND], names]}
    return {**section, AND: [names]}


def _pin(sequences: list[str], topics: list[str]) -> dict[str, Any]:
    return {"sequence": {"name": {"$in": sequences}}, "topic": {"name": {"$in": topics}}}
