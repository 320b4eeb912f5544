"""What builders and queries send, and that combinations keep their meaning in JSON."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs import GPS, IMU, Query, QueryOntologyCatalog, QuerySequence, QueryTopic, Time
from mosaicolabs.models.platform import Sequence, Topic
from mosaicolabs.models.query.expressions import _QueryCatalogExpression, _QuerySequenceExpression
from mosaicolabs.models.query.protocols import FieldMapperProtocol, QueryableProtocol

BUILDERS = [QuerySequence, QueryTopic, QueryOntologyCatalog]
X, Y = IMU.Q.acceleration.x, IMU.Q.acceleration.y


def test_sections_as_recorded_on_the_wire() -> None:
    query = Query(
        QueryTopic().with_name("sensors/imu").with_ontology_tag("imu"),
        QuerySequence().with_name("wire-demo"),
        QueryOntologyCatalog(X.gt(2), IMU.Q.timestamp_ns.leq(5), include_timestamp_range=True),
    )
    assert query.to_dict() == {
        "topic": {"name": {"$eq": "sensors/imu"}, "ontology_tag": {"$eq": "imu"}},
        "sequence": {"name": {"$eq": "wire-demo"}},
        "ontology": {
            "imu.acceleration.x": {"$gt": 2},
            "imu.timestamp_ns": {"$leq": 5},
            "include_timestamp_range": True,
        },
    }
    assert Query().to_dict() == {}
    assert Query(QuerySequence()).to_dict() == {"sequence": {}}


def test_metadata_has_an_object_of_its_own() -> None:
    builder = QuerySequence(Sequence.Q.user_metadata["driver"].eq("alice")).with_name_match("run")
    builder.with_expression(Sequence.Q.user_metadata["nested.city"].match("Mil"))
    assert builder.to_dict() == {
        "user_metadata": {"driver": {"$eq": "alice"}, "nested.city": {"$match": "Mil"}},
        "name": {"$match": "run"},
    }
    assert QueryTopic().with_user_metadata("hz", between=[10, 20]).to_dict() == {
        "user_metadata": {"hz": {"$between": [10, 20]}}
    }


@pytest.mark.parametrize("builder", [QuerySequence, QueryTopic])
def test_creation_time(builder: Any) -> None:
    early, late = Time.from_nanoseconds(0), Time.from_nanoseconds(1_700_000_000_000_000_001)
    sent = lambda **times: builder().with_created_timestamp(**times).to_dict()["created_timestamp"]  # noqa: E731
    assert sent(time_start=late) == {"$geq": 1_700_000_000_000_000_001}
    assert sent(time_end=late) == {"$leq": 1_700_000_000_000_000_001}
    assert sent(time_start=early) == {"$geq": 0}
    assert sent(time_start=early, time_end=late) == {"$between": [0, 1_700_000_000_000_000_001]}
    with pytest.raises(ValueError, match="needs time_start"):
        builder().with_created_timestamp()
    with pytest.raises(ValueError, match="is an empty range"):
        builder().with_created_timestamp(time_start=late, time_end=early)


@pytest.mark.parametrize("builder", BUILDERS)
def test_builders_satisfy_the_protocol_and_chain(builder: Any) -> None:
    made = builder()
    assert isinstance(made, QueryableProtocol)
    field = {"sequence": Sequence.Q, "topic": Topic.Q}.get(made.name(), IMU.Q)
    expression = X.gt(1) if field is IMU.Q else field.name.eq("a")
    assert made.with_expression(expression) is made


def test_the_mapper_protocol_is_checkable() -> None:
    assert not isinstance(QuerySequence(), FieldMapperProtocol)


@pytest.mark.parametrize(
    ("builder", "expression"),
    [
        (QuerySequence, Topic.Q.name.eq("a")),
        (QueryTopic, X.gt(1)),
        (QueryOntologyCatalog, Sequence.Q.name.eq("a")),
        (QueryOntologyCatalog, False),
        (QuerySequence, {"name": {"$eq": "a"}}),
    ],
)
def test_conditions_of_other_sections_are_refused(builder: Any, expression: Any) -> None:
    for add in (builder, builder().with_expression):
        with pytest.raises(TypeError, match=f"{builder.__name__} takes a condition of "):
            add(expression)


def test_operators_begin_with_a_dollar() -> None:
    with pytest.raises(ValueError, match=r"operator 'gt' of imu\.x"):
        QueryOntologyCatalog(_QueryCatalogExpression("imu.x", "gt", 1))


def test_two_conditions_on_one_field_are_combined_beforehand() -> None:
    with pytest.raises(NotImplementedError, match=r"already has a condition on imu\.acceleration\.x.*with &"):
        QueryOntologyCatalog(X.gt(1), X.lt(3))
    with pytest.raises(NotImplementedError, match=r"user_metadata\.a"):
        QueryTopic(Topic.Q.user_metadata["a"].eq(1)).with_user_metadata("a", eq=2)
    assert QueryOntologyCatalog(X.gt(1) & X.neq(2)).to_dict() == {
        "$and": [{"imu.acceleration.x": {"$gt": 1}}, {"imu.acceleration.x": {"$neq": 2}}]
    }


@pytest.mark.parametrize("operators", [{}, {"eq": 1, "gt": 2}, {"equals": 1}, {"exists": True}, {"desc": 1}])
def test_with_user_metadata_takes_one_known_operator(operators: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"with_user_metadata\('a'\) needs one operator of eq, neq"):
        QuerySequence().with_user_metadata("a", **operators)


def test_two_builders_of_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="already has a QuerySequence"):
        Query(QuerySequence(), QueryTopic(), QuerySequence())
    query = Query(QueryTopic())
    with pytest.raises(ValueError, match="already has a QueryTopic"):
        query.append(QueryTopic())


def test_conditions_of_different_kinds_do_not_combine() -> None:
    with pytest.raises(TypeError, match=r"condition of Sequence\.Q with a condition of Topic\.Q"):
        Sequence.Q.name.eq("a") | Topic.Q.name.eq("b")
    with pytest.raises(TypeError, match="combines with another one, not with True"):
        X.gt(1) & True
    with pytest.raises(TypeError, match="combines with a builder or a Query"):
        QuerySequence() | X.gt(1)  # type: ignore[operator]


def test_combined_conditions() -> None:
    a, b, c = X.gt(1), Y.gt(1), IMU.Q.timestamp_ns.lt(9)
    fa, fb, fc = a.to_dict(), b.to_dict(), c.to_dict()
    assert (a & b & c).to_dict() == (a & (b & c)).to_dict() == {"$and": [fa, fb, fc]}
    assert (a | b & c).to_dict() == {"$or": [fa, {"$and": [fb, fc]}]}
    assert (~a).to_dict() == {"$not": fa}
    assert (~~a).to_dict() == fa
    assert QueryOntologyCatalog(a, b | c).to_dict() == fa | {"$or": [fb, fc]}
    assert QueryOntologyCatalog(c, a | b, ~b).to_dict() == fc | {"$and": [{"$or": [fa, fb]}, {"$not": fb}]}
    assert QueryOntologyCatalog(a, b & c).to_dict() == fa | fb | fc
    again = X.lt(5)
    assert QueryOntologyCatalog(a, b & again).to_dict() == fa | {"$and": [fb, again.to_dict()]}
    metadata = Sequence.Q.user_metadata["k"].eq(1) | ~Sequence.Q.name.eq("x")
    assert QuerySequence(metadata).to_dict() == {
        "$or": [{"user_metadata": {"k": {"$eq": 1}}}, {"$not": {"name": {"$eq": "x"}}}]
    }


def test_combined_queries() -> None:
    named = QuerySequence().with_name("a")
    shaken, lost = QueryOntologyCatalog(X.gt(1)), QueryOntologyCatalog(GPS.Q.status.satellites.lt(4))
    qn, qs, ql = ({builder.name(): builder.to_dict()} for builder in (named, shaken, lost))
    assert (shaken | lost).to_dict() == {"$or": [qs, ql]}
    assert (named | shaken | lost).to_dict() == {"$or": [qn, qs, ql]}
    assert (named & ~shaken).to_dict() == {"$and": [qn, {"$not": qs}]}
    assert Query(named, shaken | lost).to_dict() == qn | {"$or": [qs, ql]}
    assert Query(named, shaken | lost, ~lost).to_dict() == qn | {"$and": [{"$or": [qs, ql]}, {"$not": ql}]}
    assert Query(Query(named, shaken)).to_dict() == {"$and": [qn | qs]}
    assert (Query(named, shaken) | lost).to_dict() == {"$or": [qn | qs, ql]}
    either = Query(named, shaken | lost).to_dict()
    assert (Query(named, shaken | lost) | lost).to_dict() == {"$or": [either, ql]}


def test_times_are_included_only_on_request() -> None:
    for asked in (None, False):
        section = QueryOntologyCatalog(X.gt(1), include_timestamp_range=asked).to_dict()
        assert section == {"imu.acceleration.x": {"$gt": 1}}
    assert QueryOntologyCatalog(include_timestamp_range=True).to_dict() == {"include_timestamp_range": True}


# -- meaning: a tree evaluated in Python against its JSON evaluated by the rules of the wire ----------

KEYS = ["name", "user_metadata.a", "user_metadata.b.c", "created_timestamp"]
VALUES = st.integers(0, 2)
ROWS = st.fixed_dictionaries(dict.fromkeys(KEYS, VALUES))


def conditions() -> st.SearchStrategy[tuple[Any, Any]]:
    """An expression, and the function of a row that it means."""
    leaf = st.tuples(st.sampled_from(KEYS), VALUES).map(
        lambda made: (
            _QuerySequenceExpression(made[0], "$eq", made[1]),
            lambda row, key=made[0], value=made[1]: row[key] == value,
        )
    )
    return st.recursive(leaf, combine, max_leaves=12)


def combine(parts: st.SearchStrategy[tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.one_of(
        st.tuples(parts, parts).map(lambda p: (p[0][0] & p[1][0], lambda r, p=p: p[0][1](r) and p[1][1](r))),
        st.tuples(parts, parts).map(lambda p: (p[0][0] | p[1][0], lambda r, p=p: p[0][1](r) or p[1][1](r))),
        parts.map(lambda p: (~p[0], lambda r, p=p: not p[1](r))),
    )


def holds(node: dict[str, Any], row: dict[str, Any], path: str = "") -> bool:
    """The rules of the wire for one object: everything in it is ANDed."""
    for key, below in node.items():
        if key == "$and":
            ok = all(holds(part, row) for part in below)
        elif key == "$or":
            ok = any(holds(part, row) for part in below)
        elif key == "$not":
            ok = not holds(below, row)
        elif key in ("user_metadata", "sequence"):
            ok = holds(below, row, "user_metadata." if key == "user_metadata" else "")
        else:
            ((op, value),) = below.items()
            assert op == "$eq"
            ok = row[path + key] == value
        if not ok:
            return False
    return True


@given(conditions(), ROWS)
def test_conditions_mean_the_same_in_json_as_in_python(
    condition: tuple[Any, Any], row: dict[str, int]
) -> None:
    expression, meaning = condition
    assert holds(expression._filter(), row) == meaning(row)


@given(st.lists(conditions(), max_size=4), ROWS)
def test_sections_mean_that_all_conditions_hold(parts: list[tuple[Any, Any]], row: dict[str, int]) -> None:
    builder, meant = QuerySequence(), True
    for expression, meaning in parts:
        try:
            builder.with_expression(expression)
        except NotImplementedError:  # a second condition on the same field
            continue
        meant = meant and meaning(row)
    assert holds(builder.to_dict(), row) == meant


@given(
    st.lists(st.recursive(conditions().map(lambda p: (QuerySequence(p[0]), p[1])), combine), max_size=4), ROWS
)
def test_queries_mean_that_all_parts_hold(parts: list[tuple[Any, Any]], row: dict[str, int]) -> None:
    query, meant = Query(), True
    for part, meaning in parts:
        query.append(part if isinstance(part, Query) else Query(part))
        meant = meant and meaning(row)
    assert holds(query.to_dict(), row) == meant
