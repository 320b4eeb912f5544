"""The client on a Mosaico 0.2 server: everything works, and no extension is sent."""

import logging
import threading
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from harness.mosaico02 import Mosaico02
from harness.mosaico02_catalog import RefusedError, Topic
from harness.record import number, record_numbers, replay, sequence_of, topic_of
from harness.vectors import recorded_rows, stored_form

from mosaicolabs import (
    IMU,
    Image,
    Integer64,
    MosaicoClient,
    OnErrorPolicy,
    QueryOntologyCatalog,
    QuerySequence,
    QueryTopic,
    SequenceStatus,
    Serializable,
)
from mosaicolabs.exceptions import (
    AlreadyExistsError,
    FailedPreconditionError,
    InternalError,
    NotFoundError,
    UnsupportedError,
)

START_NS = 1_700_000_000_000_000_000
DEMO = "wire-demo"

pytestmark = pytest.mark.timeout(60)


class WireCloud(Serializable):
    """The ragged class of the recorded session."""

    __msco_pyarrow_struct__ = pa.struct(
        [pa.field("x", pa.list_(pa.float32()), nullable=False), pa.field("label", pa.string())]
    )

    x: list[float]
    label: str | None = None


@pytest.fixture
def server() -> Iterator[Mosaico02]:
    with Mosaico02() as server:
        yield server
        assert server.extras == []


@pytest.fixture
def client(server: Mosaico02) -> Iterator[MosaicoClient]:
    with MosaicoClient.connect("127.0.0.1", server.port) as client:
        yield client


@pytest.fixture
def demo(server: Mosaico02, client: MosaicoClient) -> MosaicoClient:
    """A client of a server with the recorded sequences."""
    server.load_recorded()
    return client


# -- catalog -------------------------------------------------------------------------------------


def test_server_is_recognized(client: MosaicoClient) -> None:
    assert repr(client) == "<MosaicoClient: Mosaico 0.2 server>"
    assert client.list_sequences() == []


def test_handlers(demo: MosaicoClient) -> None:
    assert sorted(demo.list_sequences()) == ["raw-seq", DEMO]
    sequence = sequence_of(demo, DEMO)
    assert sequence.topics == ["/sensors/imu", "/gps", "/cam/front", "/lidar", "/empty"]
    assert sequence.user_metadata["nested"] == {"city": "Milan", "gps": {"lat": 45.5}}
    assert (sequence.timestamp_ns_min, sequence.timestamp_ns_max) == (START_NS, START_NS + 490_000_000)
    assert sequence.is_locked
    assert sequence.total_size_bytes > 0
    imu = topic_of(demo, DEMO, "sensors/imu")
    assert (imu.ontology_tag, imu.serialization_format, imu.chunks_number) == ("imu", "default", 1)
    assert imu.user_metadata == {"vendor": "inertix", "rate_hz": 100, "iface": {"type": "CAN"}}
    assert imu.rows_number is None, "this server does not tell"
    empty = topic_of(demo, DEMO, "empty")
    assert (empty.timestamp_ns_min, empty.chunks_number) == (None, 0)
    with pytest.raises(ValueError, match="might contain no data"):
        empty.get_data_streamer()


def test_missing_sequences_and_topics(demo: MosaicoClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "mosaicolabs"):
        assert demo.sequence_handler("nope") is None
        assert demo.topic_handler(DEMO, "nope") is None
    assert len(caplog.records) == 2
    with pytest.raises(NotFoundError):
        demo.sequence_system_info("nope")
    with pytest.raises(NotFoundError):
        demo.sequence_delete("nope")
    assert demo.list_sequence_notify("nope") == []


# -- replay --------------------------------------------------------------------------------------


def test_replay_of_one_topic(demo: MosaicoClient) -> None:
    messages = list(topic_of(demo, DEMO, "sensors/imu").get_data_streamer())
    expected = recorded_rows("imu").to_pylist()
    assert [(m.timestamp_ns, m.recording_timestamp_ns) for m in messages] == [
        (row["timestamp_ns"], row["recording_timestamp_ns"]) for row in expected
    ]
    assert [m.get_data(IMU).acceleration.x for m in messages] == [
        row["acceleration"]["x"] for row in expected
    ]
    frames = [m.get_data(Image) for m in topic_of(demo, DEMO, "cam/front").get_data_streamer()]
    assert [frame.data for frame in frames] == recorded_rows("image")["data"].to_pylist()


def test_replay_of_a_sequence(demo: MosaicoClient) -> None:
    merged = [(topic, m.timestamp_ns) for topic, m in sequence_of(demo, DEMO).get_data_streamer()]
    assert len(merged) == 50 + 10 + 3 + 3
    assert [time for _, time in merged] == sorted(time for _, time in merged)
    assert {topic for topic, _ in merged} == {"/sensors/imu", "/gps", "/cam/front", "/lidar"}


def test_replay_of_a_window(demo: MosaicoClient) -> None:
    sequence = sequence_of(demo, DEMO)
    window = {"start_timestamp_ns": START_NS + 50_000_000, "end_timestamp_ns": START_NS + 200_000_000}
    times = [m.timestamp_ns for _, m in sequence.get_data_streamer(["/gps"], **window)]
    assert times == [START_NS + 50_000_000, START_NS + 100_000_000, START_NS + 150_000_000]
    assert list(sequence.get_data_streamer(start_timestamp_ns=START_NS + 10**12)) == []


def test_batches_without_rows_are_no_end(
    demo: MosaicoClient, monkeypatch: pytest.MonkeyPatch, server: Mosaico02
) -> None:
    def with_empty_ones(rows: pa.Table) -> flight.GeneratorStream:
        empty = rows.slice(0, 0)
        return flight.GeneratorStream(rows.schema, iter([empty, empty, rows, empty, rows.slice(3), empty]))

    monkeypatch.setattr(server, "stream", with_empty_ones)
    topic = topic_of(demo, DEMO, "gps")
    assert len(list(topic.get_data_streamer())) == 10 + 7


def test_a_refused_topic_ends_the_streams_beside_it(
    demo: MosaicoClient, monkeypatch: pytest.MonkeyPatch, server: Mosaico02
) -> None:
    ended = threading.Event()

    def endless(rows: pa.Table) -> Iterator[pa.Table]:
        try:
            while True:
                yield rows
        finally:
            ended.set()

    def stream(rows: pa.Table) -> flight.GeneratorStream:
        if rows.num_rows == 3:
            raise RefusedError("facade error :: broken chunk")
        return flight.GeneratorStream(rows.schema, endless(rows))

    monkeypatch.setattr(server, "stream", stream)
    with pytest.raises(ConnectionError, match="broken chunk"):
        sequence_of(demo, DEMO).get_data_streamer(["/gps", "/lidar"])
    assert ended.wait(30), "the stream that was opened first goes on"


# -- recording -----------------------------------------------------------------------------------


def test_what_is_read_can_be_written(server: Mosaico02, demo: MosaicoClient) -> None:
    """Recorded rows to objects, objects to a sequence of our own: the rows are the same."""
    with demo.sequence_create("copy", {"of": DEMO}) as copy:
        classes = {"/sensors/imu": IMU, "/cam/front": Image, "/lidar": WireCloud}
        writers = {name: copy.topic_create(name, {"n": 1}, cls) for name, cls in classes.items()}
        for topic, message in sequence_of(demo, DEMO).get_data_streamer(list(classes)):
            writers[topic].push(message)
        writers["/sensors/imu"].flush()
    assert copy.sequence_status is SequenceStatus.Finalized
    stored = server.catalog.sequences["copy"]
    assert stored.locked
    assert stored.metadata == {"of": DEMO}
    for topic, name in (("/sensors/imu", "imu"), ("/cam/front", "image")):
        ours, theirs = stored.topics[f"copy{topic}"], stored_form(recorded_rows(name))
        assert ours.locked
        assert ours.rows is not None
        assert ours.rows.to_pylist() == theirs.to_pylist()
        assert ours.rows.schema.names == theirs.schema.names
        assert ours.rows.schema.types == theirs.schema.types


def test_a_record_limit_cuts_batches(client: MosaicoClient) -> None:
    record_numbers(client, "run", {"a": [(i, i) for i in range(100)]}, max_batch_size_records=7)
    assert replay(client, "run") == [("/a", i, i) for i in range(100)]


def test_names_that_are_taken(demo: MosaicoClient) -> None:
    with pytest.raises(AlreadyExistsError), demo.sequence_create(DEMO):
        pass


@pytest.mark.parametrize("policy", OnErrorPolicy)
def test_a_block_that_fails(client: MosaicoClient, policy: OnErrorPolicy) -> None:
    with pytest.raises(ZeroDivisionError), client.sequence_create("run", {}, policy) as run:
        topic = run.topic_create("t", {}, Integer64)
        topic.push(number(1, 1))
        raise ZeroDivisionError("boom")
    assert run.sequence_status is SequenceStatus.Error
    if policy is OnErrorPolicy.Delete:
        assert client.list_sequences() == []
        return
    assert [note.message for note in client.list_sequence_notify("run")] == ["boom"]
    assert replay(client, "run") == [("/t", 1, 1)]
    assert not sequence_of(client, "run").is_locked
    client.sequence_delete("run")
    assert client.list_sequences() == []


def test_a_refused_topic(client: MosaicoClient) -> None:
    with client.sequence_create("run") as run:
        run.topic_create("t", {}, Integer64).push(number(1, 1))
        with pytest.raises(AlreadyExistsError):
            run.topic_create("/t", {}, Integer64)
    assert run.sequence_status is SequenceStatus.Finalized


def test_only_what_failed_is_reported_and_once(server: Mosaico02, client: MosaicoClient) -> None:
    for policy, expected in (
        (OnErrorPolicy.Delete, ["sequence_abort"]),
        (OnErrorPolicy.Report, ["topic_notify_create", "sequence_notify_create"]),
    ):
        with pytest.raises(ValueError), client.sequence_create("run", {}, policy) as run:
            good, bad = (run.topic_create(name, {}, Integer64) for name in ("good", "bad"))
            good.push(number(1, 1))
            server.catalog.actions.clear()
            bad.push(number(1, 2**70))
        assert server.catalog.actions == expected


def test_a_refused_end_is_reported(
    server: Mosaico02, client: MosaicoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RefusedError("facade error :: the disk is full")

    monkeypatch.setattr(server.catalog, "sequence_finalize", refuse)
    with (
        pytest.raises(InternalError, match="disk is full"),
        client.sequence_create("run", {}, OnErrorPolicy.Report) as run,
    ):
        run.topic_create("t", {}, Integer64).push(number(1, 1))
    assert run.sequence_status is SequenceStatus.Error
    (note,) = client.list_sequence_notify("run")
    assert "disk is full" in note.message


def test_no_handshake_for_future_connections(server: Mosaico02, client: MosaicoClient) -> None:
    assert server.greetings == 1
    record_numbers(client, "run", {f"t{i}": [(1, 1)] for i in range(5)})
    assert server.greetings == 1


# -- notifications, deletion, queries ------------------------------------------------------------


def test_notifications(server: Mosaico02, client: MosaicoClient) -> None:
    with pytest.raises(ValueError, match="boom"), client.sequence_create("run", {}, OnErrorPolicy.Report):
        raise ValueError("boom")
    (note,) = client.list_sequence_notify("run")
    assert (note.sequence_name, note.topic_name, note.message) == ("run", None, "boom")
    assert note.created_datetime.tzinfo is not None
    client.clear_sequence_notify("run")
    assert client.list_sequence_notify("run") == []
    assert client.list_topic_notify("run", "t") == []
    client.clear_topic_notify("run", "t")


def test_finalized_sequence_cannot_be_deleted(demo: MosaicoClient) -> None:
    with pytest.raises(FailedPreconditionError):
        demo.sequence_delete(DEMO)
    assert DEMO in demo.list_sequences()


def test_recorded_queries(demo: MosaicoClient) -> None:
    found = demo.query(
        QueryOntologyCatalog(IMU.Q.acceleration.x.between(1.0, 2.0), include_timestamp_range=True),
        QuerySequence().with_name(DEMO),
    )
    (item,) = found
    assert (item.sequence.name, [topic.name for topic in item.topics]) == (DEMO, ["/sensors/imu"])
    times = [message.timestamp_ns for _, _, message in found.get_data_streamer()]
    assert times == [START_NS + step * 10_000_000 for step in range(10, 21)]
    assert [item.sequence.name for item in demo.query(QueryTopic().with_ontology_tag("imu"))] == [DEMO]
    assert demo.query(QueryOntologyCatalog(IMU.Q.acceleration.x.gt(1e9))).is_empty()


def test_topics_are_found_with_and_without_the_slash(demo: MosaicoClient) -> None:
    for name in ("b", "/b"):
        found = demo.query(QueryTopic().with_name(name), QuerySequence().with_name("q-one"))
        assert [topic.name for topic in found[0].topics] == ["/b"]


def test_refused_queries(demo: MosaicoClient) -> None:
    with pytest.raises(UnsupportedError, match="unsupported operation"):
        demo.query(QuerySequence().with_user_metadata("driver", match="ali"))
    with pytest.raises(UnsupportedError, match="limit"):
        demo.query(QuerySequence().with_name(DEMO), limit=3)


# -- what only our daemon has --------------------------------------------------------------------


def test_extras_are_refused_before_anything_is_sent(demo: MosaicoClient) -> None:
    sequence, topic = sequence_of(demo, DEMO), topic_of(demo, DEMO, "gps")
    for call in (
        lambda: sequence.get_data_streamer(follow=True),
        lambda: topic.get_data_streamer(follow=True),
        lambda: list(demo.events()),
    ):
        with pytest.raises(UnsupportedError, match=r"Mosaico"):
            call()


def test_a_server_that_answers_half_of_the_times(
    demo: MosaicoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Topic, "times", property(lambda _: {"min": 5}))
    with pytest.raises(InternalError, match="malformed endpoint"):
        demo.sequence_handler(DEMO)
