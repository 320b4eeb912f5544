"""Responses: decoding, paging, refining; against recorded ones and a scripted server."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from mosaicolabs import (
    IMU,
    MosaicoClient,
    Query,
    QueryOntologyCatalog,
    QueryResponse,
    QuerySequence,
    QueryTopic,
)
from mosaicolabs.exceptions import InternalError, InvalidInputError, UnsupportedError
from mosaicolabs.models.platform import Sequence, Topic
from mosaicolabs.models.query import (
    QueryResponseItem,
    QueryResponseItemSequence,
    QueryResponseItemTopic,
    TimestampRange,
)

SHARED = Path(os.environ.get("MOSAICO_SHARED", Path(__file__).parents[2].parent / "shared"))
RECORDED = json.loads((SHARED / "contract" / "vectors" / "query.json").read_text())["cases"]
TRACE = json.loads((SHARED / "contract" / "vectors" / "sdk_trace.json").read_text())["calls"]
ANSWERED = [case for case in RECORDED if "response" in case]


class Scripted:
    """A native client that answers `query` by a function of the request's body."""

    def __init__(self, answer: Any, server: str | None = "mosaicolabs/0") -> None:
        self._answer = answer
        self._server = server
        self.bodies: list[dict[str, Any]] = []

    def server(self) -> str | None:
        return self._server

    def action(self, name: str, body: str) -> str | None:
        assert name == "query"
        self.bodies.append(json.loads(body))
        answer = self._answer(self.bodies[-1])
        return None if answer is None else json.dumps(answer)

    def close(self) -> None:
        pass


def client_of(native: Scripted) -> MosaicoClient:
    return MosaicoClient(_native_client=native)  # type: ignore[arg-type]


def items(**topics: list[str]) -> dict[str, Any]:
    """An answer: topics by sequence."""
    return {
        "items": [
            {"sequence": sequence, "topics": [{"locator": f"{sequence}{name}"} for name in names]}
            for sequence, names in topics.items()
        ]
    }


def found(response: QueryResponse) -> dict[str, list[str]]:
    return {item.sequence.name: [topic.name for topic in item.topics] for item in response}


def ask(answer: Any, *queries: Any, server: str | None = "mosaicolabs/0", **arguments: Any) -> QueryResponse:
    with client_of(Scripted(lambda _: answer, server)) as client:
        return client.query(*queries, **arguments)


@pytest.mark.parametrize("case", ANSWERED, ids=[json.dumps(case["query"]) for case in ANSWERED])
def test_recorded_answers_are_read(case: dict[str, Any]) -> None:
    recorded = case["response"]["items"]
    response = ask(case["response"], QuerySequence())
    assert len(response) == len(recorded)
    for item, theirs in zip(response, recorded, strict=True):
        assert item.sequence.name == theirs["sequence"]
        assert [f"{theirs['sequence']}{topic.name}" for topic in item.topics] == [
            topic["locator"] for topic in theirs["topics"]
        ]
        for topic, bounds in zip(item.topics, theirs["topics"], strict=True):
            times = topic.timestamp_range
            assert (None if times is None else [times.start, times.end]) == bounds.get("timestamp_range")
    assert response.is_empty() == (not recorded) == (not response)


def test_the_builders_send_what_the_recorded_session_sent() -> None:
    x = IMU.Q.acceleration.x
    requests = [call["request"] for call in TRACE if call["request"].get("type") == "query"]
    ours = [
        Query(QuerySequence().with_name("wire-demo")),
        Query(QuerySequence().with_name_match("wire")),
        Query(QuerySequence(Sequence.Q.user_metadata["driver"].eq("alice"))),
        Query(QueryTopic().with_name("sensors/imu"), QuerySequence().with_name("wire-demo")),
        Query(QueryTopic().with_ontology_tag("imu")),
        Query(QueryOntologyCatalog(x.gt(4.0))),
        Query(
            QueryOntologyCatalog(x.between([1.0, 2.0]), include_timestamp_range=True),
            QuerySequence().with_name("wire-demo"),
        ),
        Query(QueryOntologyCatalog(x.gt(1e9))),
    ]
    assert [query.to_dict() for query in ours] == [request["body"]["json"] for request in requests]


def test_responses_compare_and_index_as_values() -> None:
    item = QueryResponseItem(
        QueryResponseItemSequence("run"), [QueryResponseItemTopic("/imu", TimestampRange(start=1, end=5))]
    )
    response = QueryResponse([item])
    assert response == QueryResponse(items=[item])
    assert response[0] is item
    assert list(response) == [item]
    assert len(QueryResponse()) == 0
    assert not QueryResponse()
    assert (response.cursor, response.explain, list(response.pages())) == (None, None, [response])


def test_empty_query_is_refused() -> None:
    with client_of(Scripted(lambda _: items())) as client, pytest.raises(ValueError, match="needs builders"):
        client.query()


def test_positional_builders_win_over_the_keyword() -> None:
    native = Scripted(lambda _: items())
    with client_of(native) as client:
        client.query(QueryTopic(), query=Query(QuerySequence()))
        client.query(query=Query(QuerySequence()))
        client.query(QueryTopic() | QuerySequence())
    assert native.bodies == [{"topic": {}}, {"sequence": {}}, {"$or": [{"topic": {}}, {"sequence": {}}]}]


def test_order_limit_and_explain_are_sent() -> None:
    native = Scripted(lambda _: {**items(), "cursor": None, "explain": {"rows_scanned": 5}})
    q = Sequence.Q
    with client_of(native) as client:
        client.query(QuerySequence(), order_by=q.created_timestamp, limit=10)
        client.query(QuerySequence(), order_by=[q.user_metadata["site"], q.name.desc()])
        response = client.query(QuerySequence(), limit=1, cursor="abc", explain=True)
    assert native.bodies == [
        {"sequence": {}, "order": [{"by": "sequence.created_timestamp", "desc": False}], "limit": 10},
        {
            "sequence": {},
            "order": [
                {"by": "sequence.user_metadata.site", "desc": False},
                {"by": "sequence.name", "desc": True},
            ],
        },
        {"sequence": {}, "limit": 1, "cursor": "abc", "explain": True},
    ]
    assert response.explain == {"rows_scanned": 5}


@pytest.mark.parametrize("by", [Topic.Q.name, IMU.Q.acceleration.x.desc(), "name", Sequence.Q.user_metadata])
def test_only_facts_of_sequences_give_an_order(by: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot order by .*; give fields of Sequence\.Q"):
        ask(items(), QuerySequence(), order_by=[by])


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "10"])
def test_limits_are_positive_numbers(limit: Any) -> None:
    with pytest.raises(ValueError, match=r"limit is .*; give a positive number"):
        ask(items(), QuerySequence(), limit=limit)


def test_a_cursor_needs_the_limit() -> None:
    with pytest.raises(ValueError, match="cursor needs the limit of the query"):
        ask(items(), QuerySequence(), cursor="abc")


def test_pages_follow_the_cursor_and_repeat_the_query() -> None:
    pages = {None: ("a", "1"), "1": ("b", "2"), "2": ("c", None)}

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        name, following = pages[body.get("cursor")]
        return {**items(**{name: ["/t"]}), "cursor": following}

    native = Scripted(answer)
    with client_of(native) as client:
        builder = QuerySequence().with_name_match("x")
        response = client.query(builder, limit=1, order_by=Sequence.Q.name.desc())
        builder.with_user_metadata("later", eq=1)  # must not change what the first page asked
        assert response.cursor == "1"
        assert [found(page) for page in response.pages()] == [{"a": ["/t"]}, {"b": ["/t"]}, {"c": ["/t"]}]
    first, *following = native.bodies
    assert [body.pop("cursor") for body in following] == ["1", "2"]
    assert following == [first, first]


def test_invalid_answer_is_an_error() -> None:
    with pytest.raises(InternalError, match="without content"):
        ask(None, QuerySequence())
    with pytest.raises(InternalError, match="'run', which is not the name of a topic"):
        ask({"items": [{"sequence": "run", "topics": [{"locator": "run"}]}]}, QuerySequence())


def test_values_that_are_not_json_are_not_sent() -> None:
    class Odd(QuerySequence):
        def to_dict(self) -> dict[str, Any]:
            return {"name": {"$eq": float("nan")}}

    with pytest.raises(InvalidInputError, match="NaN"):
        ask(items(), Odd())


def test_too_deeply_nested_query_is_refused() -> None:
    condition = IMU.Q.acceleration.x.gt(1)
    for value in range(3000):
        condition = ~(condition & IMU.Q.acceleration.x.neq(value)) | IMU.Q.acceleration.y.gt(value)
    with pytest.raises(InvalidInputError, match="nested too deeply"):
        ask(items(), QueryOntologyCatalog(condition))


# -- asking further ----------------------------------------------------------------------------------


def test_sequences_of_a_response() -> None:
    response = ask(items(a=["/imu"], b=[]), QuerySequence())
    assert response.to_query_sequence().to_dict() == {"name": {"$in": ["a", "b"]}}


def test_empty_response_cannot_be_refined() -> None:
    for ask_further in (QueryResponse().to_query_sequence, QueryResponse().to_query_topic):
        with pytest.raises(ValueError, match="the response"):
            ask_further()
    with pytest.raises(ValueError, match="no topics"):
        ask(items(a=[]), QuerySequence()).to_query_topic()


def test_topics_of_a_response_stay_with_their_sequences() -> None:
    same = ask(items(a=["/imu", "/gps"], b=["/gps", "/imu"]), QuerySequence()).to_query_topic()
    assert same.to_dict() == {"name": {"$in": ["/imu", "/gps"]}}
    assert Query(same).to_dict() == {
        "topic": {"name": {"$in": ["/imu", "/gps"]}},
        "sequence": {"name": {"$in": ["a", "b"]}},
    }
    different = ask(items(a=["/imu"], b=["/gps"], c=["/imu"], d=[]), QuerySequence()).to_query_topic()
    assert Query(
        different.with_ontology_tag("imu"), QuerySequence().with_user_metadata("k", eq=1)
    ).to_dict() == {
        "topic": {"name": {"$in": ["/imu", "/gps"]}, "ontology_tag": {"$eq": "imu"}},
        "sequence": {"user_metadata": {"k": {"$eq": 1}}, "name": {"$in": ["a", "c", "b"]}},
        "$or": [
            {"sequence": {"name": {"$in": ["a", "c"]}}, "topic": {"name": {"$in": ["/imu"]}}},
            {"sequence": {"name": {"$in": ["b"]}}, "topic": {"name": {"$in": ["/gps"]}}},
        ],
    }


@pytest.mark.parametrize("combined", [False, True])
def test_a_condition_on_the_sequence_name_stays_beside_the_pin(combined: bool) -> None:
    further = ask(items(a=["/imu"]), QuerySequence()).to_query_topic()
    section = QuerySequence().with_name_match("x")
    others = []
    if combined:
        section.with_expression(Sequence.Q.name.neq("y") & Sequence.Q.name.neq("z"))
        others = [{"name": {"$neq": "y"}}, {"name": {"$neq": "z"}}]
    assert Query(section, further).to_dict()["sequence"] == {
        "name": {"$match": "x"},
        "$and": [*others, {"name": {"$in": ["a"]}}],
    }


# -- servers of Mosaico 0.2 --------------------------------------------------------------------------


def test_extensions_are_not_sent_to_mosaico_02_servers() -> None:
    x = IMU.Q.acceleration.x
    pinned = ask(items(a=["/imu"], b=["/gps"]), QuerySequence()).to_query_topic()
    for queries, arguments, named in [
        ([QueryOntologyCatalog(x.gt(1) | x.lt(0))], {}, r"\$or"),
        ([QuerySequence(), ~QueryTopic()], {}, r"\$not"),
        ([pinned, ~QuerySequence()], {}, r"\$and"),
        ([QuerySequence()], {"limit": 5}, "limit"),
        ([QuerySequence()], {"order_by": Sequence.Q.name, "explain": True}, "explain, order"),
    ]:
        with pytest.raises(UnsupportedError, match=f"does not support {named} in queries"):
            ask(items(), *queries, server=None, **arguments)
    assert found(ask(items(a=["/t"]), QuerySequence(), server=None)) == {"a": ["/t"]}


def test_mosaico_finds_pinned_topics_too() -> None:
    further = ask(items(a=["/imu"], b=["/gps"]), QuerySequence()).to_query_topic()
    native = Scripted(lambda _: items(a=["/gps", "/imu"], b=["/imu"]), server=None)
    with client_of(native) as client:
        response = client.query(further)
    assert found(response) == {"a": ["/imu"]}
    assert native.bodies == [
        {"topic": {"name": {"$in": ["/imu", "/gps"]}}, "sequence": {"name": {"$in": ["a", "b"]}}}
    ]


def test_queries_of_several_threads_are_independent() -> None:
    barrier = threading.Barrier(4, timeout=10)

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        barrier.wait()
        return items(**{body["sequence"]["name"]["$eq"]: ["/t"]})

    results: dict[str, QueryResponse] = {}
    with client_of(Scripted(answer)) as client:

        def run(name: str) -> None:
            results[name] = client.query(QuerySequence().with_name(name))

        threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {name: found(response) for name, response in results.items()} == {
        name: {name: ["/t"]} for name in "abcd"
    }
