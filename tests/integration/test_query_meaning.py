"""Random conditions on random rows: a topic is found exactly if a row satisfies them in Python."""

import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs import (
    Message,
    MosaicoClient,
    Query,
    QueryOntologyCatalog,
    QuerySequence,
    TimestampRange,
    Vector3d,
)

FIELDS = {"x": Vector3d.Q.x, "y": Vector3d.Q.y, "z": Vector3d.Q.z}
NUMBERS = st.sampled_from([-1.0, 0.0, 0.5, 2.0])
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(FIELDS, NUMBERS)), min_size=1, max_size=4)

Meaning = Callable[[dict[str, float]], bool]

_numbers = itertools.count()

_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "leq": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "geq": lambda a, b: a >= b,
}


def leaf(field: str, op: str, value: float) -> tuple[Any, Meaning]:
    return getattr(FIELDS[field], op)(value), lambda row: _COMPARED[op](row[field], value)


def combined(parts: st.SearchStrategy[tuple[Any, Meaning]]) -> st.SearchStrategy[tuple[Any, Meaning]]:
    def both(pair: Any) -> tuple[Any, Meaning]:
        (a, in_a), (b, in_b) = pair
        return a & b, lambda row: in_a(row) and in_b(row)

    def one(pair: Any) -> tuple[Any, Meaning]:
        (a, in_a), (b, in_b) = pair
        return a | b, lambda row: in_a(row) or in_b(row)

    def none(part: Any) -> tuple[Any, Meaning]:
        return ~part[0], lambda row: not part[1](row)

    pairs = st.tuples(parts, parts)
    return st.one_of(pairs.map(both), pairs.map(one), parts.map(none))


CONDITIONS = st.recursive(
    st.builds(leaf, st.sampled_from(sorted(FIELDS)), st.sampled_from(sorted(_COMPARED)), NUMBERS),
    combined,
    max_leaves=8,
)


@given(st.lists(ROWS, min_size=1, max_size=4), st.lists(CONDITIONS, min_size=1, max_size=8))
def test_a_topic_is_found_exactly_if_a_message_matches(
    standing_store: MosaicoClient, recordings: list[list[dict[str, float]]], conditions: list[Any]
) -> None:
    name = f"query-{next(_numbers)}"
    with standing_store.sequence_create(name) as sequence:
        for number_, rows in enumerate(recordings):
            topic = sequence.topic_create(f"t{number_}", {}, Vector3d)
            for step, row in enumerate(rows):
                topic.push(Message(timestamp_ns=step, data=Vector3d(**row)))
    here = QuerySequence().with_name(name)
    for expression, holds in conditions:
        values = QueryOntologyCatalog(expression, include_timestamp_range=True)
        expected = {}
        for number_, rows in enumerate(recordings):
            steps = [step for step, row in enumerate(rows) if holds(row)]
            if steps:
                expected[f"/t{number_}"] = TimestampRange(steps[0], steps[-1])
        response = standing_store.query(query=Query(here, values))
        ours = {topic.name: topic.timestamp_range for item in response for topic in item.topics}
        assert ours == expected, expression
