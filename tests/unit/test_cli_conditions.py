"""Conditions of `mosaico query` mean the same in JSON as in Python."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs.cli._conditions import parse_conditions, parse_order
from mosaicolabs.models.platform import Sequence


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("imu.acceleration.x > 2", {"ontology": {"imu.acceleration.x": {"$gt": 2}}}),
        ("-2.5 >= imu.x", {"ontology": {"imu.x": {"$leq": -2.5}}}),
        ("imu.x > 2 and imu.y == 1", {"ontology": {"imu.x": {"$gt": 2}, "imu.y": {"$eq": 1}}}),
        ("1 < imu.x <= 5", {"ontology": {"$and": [{"imu.x": {"$gt": 1}}, {"imu.x": {"$leq": 5}}]}}),
        ("not imu.x >= 4", {"ontology": {"$not": {"imu.x": {"$geq": 4}}}}),
        ("a.b == true and a.c != False", {"ontology": {"a.b": {"$eq": True}, "a.c": {"$neq": False}}}),
        (
            "gps.v is not None and gps.w == null",
            {"ontology": {"gps.v": {"$ex": None}, "gps.w": {"$nex": None}}},
        ),
        ("'front' in topic.name", {"topic": {"name": {"$match": "front"}}}),
        ("topic.ontology_tag in ['imu', 'gps']", {"topic": {"ontology_tag": {"$in": ["imu", "gps"]}}}),
        ("sequence.name not in ('a',)", {"sequence": {"$not": {"name": {"$in": ["a"]}}}}),
        ("sequence.created_timestamp < 17", {"sequence": {"created_timestamp": {"$lt": 17}}}),
        (
            "sequence.user_metadata.a['b-c'][0] == 'x'",
            {"sequence": {"user_metadata": {"a.b-c.0": {"$eq": "x"}}}},
        ),
        (
            "sequence.user_metadata.site == 'north' and imu.x > 2 and topic.name == '/imu' and imu.y > 3",
            {
                "sequence": {"user_metadata": {"site": {"$eq": "north"}}},
                "ontology": {"imu.x": {"$gt": 2}, "imu.y": {"$gt": 3}},
                "topic": {"name": {"$eq": "/imu"}},
            },
        ),
        (
            "imu.x > 2 or sequence.name == 'a' or imu.y > 3",
            {
                "$or": [
                    {"ontology": {"$or": [{"imu.x": {"$gt": 2}}, {"imu.y": {"$gt": 3}}]}},
                    {"sequence": {"name": {"$eq": "a"}}},
                ]
            },
        ),
        (
            "topic.name == '/a' and not (imu.x > 2 or sequence.name == 'a')",
            {
                "topic": {"name": {"$eq": "/a"}},
                "$not": {"$or": [{"ontology": {"imu.x": {"$gt": 2}}}, {"sequence": {"name": {"$eq": "a"}}}]},
            },
        ),
    ],
)
def test_conditions(text: str, body: dict[str, Any]) -> None:
    assert parse_conditions(text).to_dict() == body


def test_times_are_requested_with_the_values() -> None:
    assert parse_conditions("imu.x > 2", times=True).to_dict() == {
        "ontology": {"imu.x": {"$gt": 2}, "include_timestamp_range": True}
    }
    assert parse_conditions("topic.name == '/a'", times=True).to_dict() == {"topic": {"name": {"$eq": "/a"}}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot read ''"),
        ("imu.x = 3", "cannot read 'imu.x = 3'"),
        ("imu", "'imu' is not a comparison; write one such as"),
        ("imu > 3", "'imu' is not a field"),
        ("1 < 2", "a field on one side"),
        ("f(x).y > 1", "a field on one side"),
        ("imu.x > gps.y", "'gps.y' is not a value; put text in quotes"),
        ("topic.name == imu", "'imu' is not a value"),
        ("imu.x > True", "imu.x is compared with a number or text, not bool True"),
        ("imu.x == (1, 2)", "imu.x is compared with a number, text or bool, not tuple (1, 2)"),
        ("sequence.speed > 1", "has no field 'speed'; it has: name, created_timestamp, user_metadata"),
        ("sequence.user_metadata == 1", "dotted path"),
        ("'a' in sequence.created_timestamp", "has no operator 'match'"),
        ("imu.x in []", "at least one value"),
        ("not " * 20_000 + "a.b > 1", "nested too deeply"),
        ("__import__('os').system('false')", "is not a comparison"),
    ],
)
def test_invalid_conditions_are_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_conditions(text)
    assert reason in str(error.value)


def test_order() -> None:
    assert parse_order("sequence.name").full_path == "name"
    assert parse_order("sequence.user_metadata.a.b asc").full_path == "user_metadata.a.b"
    assert parse_order(" sequence.created_timestamp  desc").field.full_path == "created_timestamp"
    for text in ("topic.name", "sequence.name down", "name", "sequence"):
        with pytest.raises(ValueError):
            parse_order(text)


# -- meaning -----------------------------------------------------------------------------------------

FIELDS = ["t.a", "t.b.c", "t.d"]
COMPARISONS = st.tuples(
    st.sampled_from(FIELDS), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.integers(-2, 2)
)
TEXTS = st.recursive(
    COMPARISONS.map(lambda made: f"{made[0]} {made[1]} {made[2]}")
    | COMPARISONS.map(lambda made: f"{made[2]} {made[1]} {made[0]}"),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda m: f"({m[0]} {m[1]} {m[2]})"),
        inner.map(lambda text: f"not {text}"),
    ),
    max_leaves=8,
)


def holds(node: dict[str, Any], row: dict[str, int]) -> bool:
    return all(holds_key(key, below, row) for key, below in node.items())


def holds_key(key: str, below: Any, row: dict[str, int]) -> bool:
    if key == "$and":
        return all(holds(part, row) for part in below)
    if key == "$or":
        return any(holds(part, row) for part in below)
    if key == "$not":
        return not holds(below, row)
    if key == "ontology":
        return holds(below, row)
    ((op, value),) = below.items()
    mine = row[key]
    return {
        "$lt": mine < value,
        "$leq": mine <= value,
        "$gt": mine > value,
        "$geq": mine >= value,
        "$eq": mine == value,
        "$neq": mine != value,
    }[op]


@given(TEXTS)
def test_conditions_are_evaluated_as_in_python(text: str) -> None:
    body = parse_conditions(text).to_dict()
    for values in itertools.product((-1, 0, 2), repeat=len(FIELDS)):
        row = dict(zip(FIELDS, values, strict=True))
        in_python = text.replace("t.b.c", "C").replace("t.a", "A").replace("t.d", "D")
        assert holds(body, row) == eval(in_python, {"A": values[0], "C": values[1], "D": values[2]})


def test_fields_of_sequences_are_those_of_q() -> None:
    assert parse_order("sequence.name").full_path == Sequence.Q.name.full_path
