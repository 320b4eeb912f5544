"""Queries end to end, embedded and over the network."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from harness.daemon import Daemon
from harness.record import number, record_numbers, sequence_of

from mosaicolabs import (
    GPS,
    IMU,
    HeaderMixin,
    Integer64,
    Message,
    MosaicoClient,
    Point3d,
    QueryOntologyCatalog,
    QueryResponse,
    QuerySequence,
    QueryTopic,
    Serializable,
    Time,
    TimestampRange,
    Vector3d,
)
from mosaicolabs.exceptions import InvalidInputError, MosaicoError
from mosaicolabs.models.platform import Sequence, Topic

pytestmark = pytest.mark.catalog

START_NS = 1_700_000_000_000_000_000
STEP_NS = 1_000


class Wheel(Serializable, HeaderMixin):
    """Something of everything that queries can name."""

    __msco_pyarrow_struct__ = pa.struct(
        [
            pa.field("Turns", pa.int64()),
            pa.field("slip", pa.float64()),
            pa.field("state", pa.string()),
            pa.field("locked", pa.bool_()),
            pa.field("samples", pa.list_(pa.float64())),
            pa.field("corners", pa.list_(pa.string())),
            pa.field("pair", pa.list_(pa.int32(), 2)),
        ]
    )

    Turns: int | None = None
    slip: float | None = None
    state: str | None = None
    locked: bool | None = None
    samples: list[float] | None = None
    corners: list[str] | None = None
    pair: list[int] | None = None


Q = Wheel.Q
NORTH = {
    "site": "north",
    "laps": 3,
    "speed": 42.5,
    "ok": True,
    "nested": {"city": "Milan"},
    "tags": ["x", "y"],
}
SOUTH = {"site": "south", "laps": 30, "speed": "fast", "ok": False}


def wheel(step: int, **values: Any) -> Message:
    return Message(timestamp_ns=START_NS + step * STEP_NS, data=Wheel(**values))


def record(client: MosaicoClient) -> None:
    with client.sequence_create("run-north", NORTH) as run:
        front = run.topic_create("wheels/front", {"hz": 100}, Wheel)
        front.push(
            wheel(0, Turns=START_NS, slip=0.0, state="rolling", locked=False, samples=[1.0, 9.0], pair=[1, 2])
        )
        front.push(wheel(1, Turns=START_NS + 1, slip=float("nan"), state="sliding", locked=True, samples=[]))
        front.push(wheel(2, Turns=START_NS + 2, slip=5.0, state="50%_done", corners=["left", "right"]))
        rear = run.topic_create("wheels/rear", {"hz": "100"}, Wheel)
        rear.push(wheel(3, Turns=-(2**63), slip=-1.0, state="rolling"))
        imu = run.topic_create("imu", {}, IMU)
        for step in range(10):
            acceleration = Vector3d(x=float(step), y=float(-step), z=9.81)
            imu.push(Message(timestamp_ns=START_NS + step * STEP_NS, data=IMU(acceleration=acceleration)))
        gps = run.topic_create("gps", {}, GPS)
        gps.push(Message(timestamp_ns=START_NS, data=GPS(position=Point3d(x=45.0, y=9.0, z=120.0))))
    with client.sequence_create("run-south", SOUTH) as run:
        imu = run.topic_create("imu", {}, IMU)
        for step in range(3):
            acceleration = Vector3d(x=float(100 + step), y=0.0, z=9.81)
            imu.push(Message(timestamp_ns=START_NS + step * STEP_NS, data=IMU(acceleration=acceleration)))
    with client.sequence_create("bare", {"site": "north"}):
        pass


@pytest.fixture(scope="module", params=[pytest.param("embedded", marks=pytest.mark.sqlite), "daemon"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MosaicoClient]:
    folder = tmp_path_factory.mktemp("query") / "store"
    if request.param == "embedded":
        with MosaicoClient.embedded(folder) as client:
            record(client)
            yield client
        return
    with Daemon(folder) as daemon, daemon.connect() as client:
        record(client)
        yield client


def found(response: QueryResponse) -> dict[str, list[str]]:
    return {item.sequence.name: [topic.name for topic in item.topics] for item in response}


def sequences(client: MosaicoClient, *expressions: Any) -> list[str]:
    return list(found(client.query(QuerySequence(*expressions))))


def topics(client: MosaicoClient, *expressions: Any) -> list[str]:
    """Topics whose messages match, by their names in all sequences."""
    response = client.query(QueryOntologyCatalog(*expressions))
    return [f"{item.sequence.name}{topic.name}" for item in response for topic in item.topics]


FRONT, REAR = "run-north/wheels/front", "run-north/wheels/rear"
IMU_NORTH, IMU_SOUTH = "run-north/imu", "run-south/imu"


def test_names(store: MosaicoClient) -> None:
    name = Sequence.Q.name
    assert found(store.query(QuerySequence().with_name("run-south"))) == {"run-south": ["/imu"]}
    assert sequences(store, name.match("run")) == ["run-north", "run-south"]
    assert sequences(store, name.match("r_n%th")) == ["run-north", "run-south"]
    assert sequences(store, name.in_("bare", "run-south", "nobody")) == ["bare", "run-south"]
    assert sequences(store, name.leq("run-n")) == ["bare"]
    assert sequences(store, name.neq("bare")) == ["run-north", "run-south"]
    assert store.query(QuerySequence().with_name("nobody")).is_empty()
    for spelling in ("wheels/front", "/wheels/front"):
        assert found(store.query(QueryTopic().with_name(spelling))) == {"run-north": ["/wheels/front"]}
    assert found(store.query(QueryTopic().with_ontology_tag("gps"))) == {"run-north": ["/gps"]}
    assert found(store.query(QueryTopic(Topic.Q.serialization_format.neq("default")))) == {}
    both = store.query(QueryTopic().with_name_match("imu"), QuerySequence().with_name_match("north"))
    assert found(both) == {"run-north": ["/imu"]}


def test_a_sequence_without_topics_is_found(store: MosaicoClient) -> None:
    assert found(store.query(QuerySequence().with_name("bare"))) == {"bare": []}


def test_creation_times(store: MosaicoClient) -> None:
    epoch, now = Time.from_nanoseconds(0), Time.now()
    for builder in (QuerySequence, QueryTopic):
        assert found(store.query(builder().with_created_timestamp(epoch, now)))
        assert not found(store.query(builder().with_created_timestamp(now)))
    assert sequences(store, Sequence.Q.created_timestamp.lt(now.to_nanoseconds())) == [
        "bare",
        "run-north",
        "run-south",
    ]


K = Sequence.Q.user_metadata


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (K["site"].eq("south"), ["run-south"]),
        (K["site"].neq("south"), ["bare", "run-north"]),
        (K["site"].in_("south", "west"), ["run-south"]),
        (K["site"].match("ort"), ["bare", "run-north"]),
        (K["laps"].gt(3), ["run-south"]),
        (K["laps"].geq(3), ["run-north", "run-south"]),
        (K["laps"].between(3, 3.5), ["run-north"]),
        (K["laps"].in_(3, 4), ["run-north"]),
        (K["laps"].eq(3.0), ["run-north"]),
        (K["laps"].eq("3"), []),
        (K["speed"].gt(1), ["run-north"]),
        (K["speed"].eq("fast"), ["run-south"]),
        (K["ok"].eq(True), ["run-north"]),
        (K["ok"].neq(True), ["run-south"]),
        (K["nested.city"].eq("Milan"), ["run-north"]),
        (K["tags.1"].eq("y"), ["run-north"]),
        (K["site"].gt("north"), ["run-south"]),
        (K["site"].between("a", "north"), ["bare", "run-north"]),
        (K["laps"].exists(), ["run-north", "run-south"]),
        (K["laps"].missing(), ["bare"]),
        (~K["laps"].exists(), ["bare"]),
        (~K["laps"].eq(3), ["bare", "run-south"]),
        (K["laps"].eq(3) | K["laps"].missing(), ["bare", "run-north"]),
        (K["laps"].gt(3) & K["ok"].eq(True), []),
        (K["no'such"].eq("x"), []),
    ],
    ids=repr,
)
def test_metadata(store: MosaicoClient, condition: Any, expected: list[str]) -> None:
    assert sequences(store, condition) == expected


def test_metadata_of_topics_keeps_types(store: MosaicoClient) -> None:
    assert found(store.query(QueryTopic().with_user_metadata("hz", eq=100))) == {
        "run-north": ["/wheels/front"]
    }
    assert found(store.query(QueryTopic().with_user_metadata("hz", eq="100"))) == {
        "run-north": ["/wheels/rear"]
    }


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Q.Turns.eq(START_NS + 1), [FRONT]),
        (Q.Turns.gt(START_NS + 1), [FRONT]),
        (Q.Turns.gt(START_NS + 2), []),
        (Q.Turns.lt(0), [REAR]),
        (Q.Turns.eq(-(2**63)), [REAR]),
        (Q.Turns.in_(START_NS, -(2**63)), [FRONT, REAR]),
        (Q.Turns.neq(-(2**63)), [FRONT]),
        (Q.slip.gt(4), [FRONT]),
        (Q.slip.between(-1, -0.5), [REAR]),
        (Q.state.eq("rolling"), [FRONT, REAR]),
        (Q.state.neq("rolling"), [FRONT]),
        (Q.state.match("slid"), [FRONT]),
        (Q.state.geq("s"), [FRONT]),
        (Q.state.in_("sliding", "nothing"), [FRONT]),
        (Q.locked.eq(True), [FRONT]),
        (Q.locked.exists(), [FRONT]),
        (Q.locked.missing(), [FRONT, REAR]),
        (Q.timestamp_ns.eq(START_NS + 3 * STEP_NS), [REAR]),
        (Q.recording_timestamp_ns.exists(), []),
        (Q.header.stamp.nanosec.gt(2_500), [REAR]),
        (Q.samples.gt(8.0), [FRONT]),
        (Q.samples.gt(9.0), []),
        (Q.corners.eq("right"), [FRONT]),
        (Q.corners.match("igh"), [FRONT]),
        (Q.pair.eq(2), [FRONT]),
        (Q.slip.gt(4) & Q.state.eq("50%_done"), [FRONT]),
        (Q.slip.gt(4) & Q.state.eq("sliding"), []),
        (Q.slip.gt(4) | Q.Turns.lt(0), [FRONT, REAR]),
        (~Q.state.eq("rolling"), [FRONT]),
        (~(Q.state.eq("rolling") | Q.slip.gt(4)) & Q.locked.eq(True), [FRONT]),
        (IMU.Q.acceleration.x.gt(50), [IMU_SOUTH]),
        (IMU.Q.acceleration.x.geq(9) & IMU.Q.acceleration.y.leq(-9), [IMU_NORTH]),
        (IMU.Q.orientation.x.exists(), []),
        (GPS.Q.position.x.between(44, 46), ["run-north/gps"]),
    ],
    ids=repr,
)
def test_values(store: MosaicoClient, condition: Any, expected: list[str]) -> None:
    assert topics(store, condition) == expected


def test_values_of_several_classes_belong_to_one_sequence(store: MosaicoClient) -> None:
    assert topics(store, IMU.Q.acceleration.x.gt(-1), GPS.Q.position.z.gt(100)) == [
        "run-north/gps",
        IMU_NORTH,
    ]
    assert topics(store, IMU.Q.acceleration.x.gt(50), GPS.Q.position.z.gt(100)) == []


def test_times_of_matching_messages(store: MosaicoClient) -> None:
    x = IMU.Q.acceleration.x
    (item,) = store.query(
        QueryOntologyCatalog(x.between(3, 5), include_timestamp_range=True),
        QuerySequence().with_name("run-north"),
    )
    assert item.topics[0].timestamp_range == TimestampRange(START_NS + 3 * STEP_NS, START_NS + 5 * STEP_NS)
    (item,) = store.query(QueryOntologyCatalog(x.between(3, 5)))
    assert item.topics[0].timestamp_range is None


def test_combined_queries_are_sets_of_topics(store: MosaicoClient) -> None:
    shaken = QueryOntologyCatalog(IMU.Q.acceleration.x.gt(50))
    wheels = QueryTopic().with_ontology_tag("wheel")
    assert found(store.query(shaken | wheels)) == {
        "run-north": ["/wheels/front", "/wheels/rear"],
        "run-south": ["/imu"],
    }
    assert found(store.query(QuerySequence().with_name_match("south"), ~shaken)) == {}
    assert found(store.query(~(shaken | wheels), QuerySequence().with_name("run-north"))) == {
        "run-north": ["/gps", "/imu"]
    }
    assert found(store.query(shaken & wheels)) == {}


def test_refined_query_is_limited_to_the_earlier_results(store: MosaicoClient) -> None:
    south = store.query(QuerySequence().with_user_metadata("site", eq="south"))
    any_imu = QueryOntologyCatalog(IMU.Q.acceleration.z.gt(0))
    assert found(store.query(south.to_query_topic(), any_imu)) == {"run-south": ["/imu"]}
    assert found(store.query(south.to_query_sequence(), any_imu)) == {"run-south": ["/imu"]}
    mixed = store.query(
        QueryOntologyCatalog(IMU.Q.acceleration.x.gt(50)) | QueryTopic().with_ontology_tag("wheel")
    )
    assert found(store.query(mixed.to_query_topic())) == found(mixed)
    assert found(store.query(mixed.to_query_topic(), any_imu)) == {"run-south": ["/imu"]}


def test_order_and_pages(store: MosaicoClient) -> None:
    everything = QuerySequence(Sequence.Q.name.exists())
    by_name = ["bare", "run-north", "run-south"]
    assert list(found(store.query(everything))) == by_name
    assert list(found(store.query(everything, order_by=Sequence.Q.name.desc()))) == by_name[::-1]
    created = store.query(everything, order_by=Sequence.Q.created_timestamp)
    assert list(found(created)) == ["run-north", "run-south", "bare"]
    for size in (1, 2, 3, 4):
        first = store.query(everything, order_by=Sequence.Q.created_timestamp.desc(), limit=size)
        pages = [list(found(page)) for page in first.pages()]
        assert [name for page in pages for name in page] == ["bare", "run-south", "run-north"]
        assert all(len(page) == size for page in pages[:-1])
        assert (first.cursor is None) == (size >= 3)
    by_metadata = store.query(everything, order_by=[K["site"], Sequence.Q.name.desc()], limit=2)
    following = store.query(
        everything, order_by=[K["site"], Sequence.Q.name.desc()], limit=2, cursor=by_metadata.cursor
    )
    assert list(found(by_metadata)) + list(found(following)) == ["run-north", "bare", "run-south"]


def test_explain_counts_what_was_read(store: MosaicoClient) -> None:
    condition = QueryOntologyCatalog(IMU.Q.acceleration.x.gt(50))
    assert store.query(condition).explain is None
    explain = store.query(condition, explain=True).explain
    assert explain is not None
    assert explain["topics"] >= 1
    assert explain["chunks"]["pruned_by_statistics"] >= 1
    assert explain["rows_scanned"] <= 3


def test_refusals_name_what_was_wrong(store: MosaicoClient) -> None:
    with pytest.raises(InvalidInputError, match="cursor"):
        store.query(QuerySequence().with_name("a"), limit=1, cursor="made up")
    with pytest.raises(MosaicoError, match=r"name"):
        store.query(QuerySequence(Sequence.Q.name._expr_cls("nosuch", "$eq", 1)))
    with pytest.raises(MosaicoError, match=r"\$regex"):
        store.query(QuerySequence(Sequence.Q.name._expr_cls("name", "$regex", "a")))


def test_query_results_can_be_streamed(store: MosaicoClient) -> None:
    x = IMU.Q.acceleration.x
    response = store.query(QueryOntologyCatalog(x.between(2, 4) | x.geq(101), include_timestamp_range=True))
    with response.get_data_streamer() as streamer:
        assert streamer.next_timestamp() == START_NS + 2 * STEP_NS
        rows = [
            (sequence, topic, message.get_data(IMU).acceleration.x) for sequence, topic, message in streamer
        ]
        assert streamer.next() is None
        assert streamer.next_timestamp() is None
    assert rows == [
        *(("run-north", "/imu", step) for step in (2.0, 3.0, 4.0)),
        *(("run-south", "/imu", step) for step in (101.0, 102.0)),
    ]


def test_without_times_whole_topics_are_streamed_merged(store: MosaicoClient) -> None:
    response = store.query(QueryTopic().with_name_match("wheels/"))
    rows = [(topic, message.timestamp_ns - START_NS) for _, topic, message in response.get_data_streamer()]
    assert rows == [
        ("/wheels/front", 0),
        ("/wheels/front", STEP_NS),
        ("/wheels/front", 2 * STEP_NS),
        ("/wheels/rear", 3 * STEP_NS),
    ]
    streamer = store.query(QuerySequence().with_name("bare")).get_data_streamer()
    assert list(streamer) == []
    streamer.close()
    with pytest.raises(ValueError, match="Reader closed"):
        streamer.next()


def test_concurrent_queries(store: MosaicoClient) -> None:
    names = ["run-north", "run-south", "bare"] * 20
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda name: store.query(QuerySequence().with_name(name)), names))
    assert [list(found(answer)) for answer in answers] == [[name] for name in names]


def test_answers_do_not_come_from_cached_handlers(client: MosaicoClient) -> None:
    record_numbers(client, "run", {"a": [(1, 5)]})
    sequence_of(client, "run")
    with client.sequence_create("open") as recording:
        topic = recording.topic_create("a", {}, Integer64)
        topic.push(number(1, 5))
        topic.flush()
        assert sequence_of(client, "open").topics == ["/a"]
        five = QueryOntologyCatalog(Integer64.Q.data.eq(5), include_timestamp_range=True)
        assert list(found(client.query(five))) == ["open", "run"]
        recording.topic_create("b", {}, Integer64).push(number(2, 6))
        topic.push(number(9, 5))
        topic.flush()
        ranges = {item.sequence.name: item.topics[0].timestamp_range for item in client.query(five)}
        assert ranges == {"open": TimestampRange(1, 9), "run": TimestampRange(1, 1)}
    assert found(client.query(QuerySequence().with_name("open"))) == {"open": ["/a", "/b"]}
