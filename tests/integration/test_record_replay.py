"""Recording, finding and replaying in time order; in process and over the network."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from harness.record import number, record_numbers, replay, sequence_of, topic_of

from mosaicolabs import (
    GPS,
    IMU,
    Header,
    Integer64,
    Message,
    MosaicoClient,
    Point3d,
    SequenceStatus,
    String,
    Time,
    Vector3d,
)
from mosaicolabs.exceptions import (
    AlreadyExistsError,
    ClosedError,
    FailedPreconditionError,
    NotFoundError,
)

pytestmark = pytest.mark.catalog

T0 = 1_700_000_000_000_000_000
METADATA: dict[str, Any] = {
    "text": "größe 🤖",
    "int": 7,
    "float": 0.1,
    "flag": True,
    "none": None,
    "list": [1, "a", {}],
    "nested": {"a": {"b": [1.5]}},
}


def imu(step: int) -> IMU:
    return IMU(
        acceleration=Vector3d(x=step, y=-0.0, z=9.81), angular_velocity=Vector3d(x=0, y=0, z=step / 10)
    )


def gps(step: int) -> GPS:
    return GPS(position=Point3d(x=45.0 + step * 1e-6, y=9.0, z=100.0))


def test_messages_come_back_as_they_were_pushed(either: MosaicoClient, name: str) -> None:
    pushed = [("/sensors/imu", Message(timestamp_ns=T0 + 5 * i, data=imu(i))) for i in range(40)]
    pushed += [("/gps", Message(timestamp_ns=T0 + 20 * i + 1, data=gps(i))) for i in range(10)]
    with either.sequence_create(name, METADATA) as sequence:
        writers = {
            "/sensors/imu": sequence.topic_create("sensors/imu", {"rate_hz": 200}, IMU),
            "/gps": sequence.topic_create("/gps", {}, GPS),
        }
        for topic, message in pushed:
            writers[topic].push(message)
    assert list(sequence_of(either, name).get_data_streamer()) == sorted(
        pushed, key=lambda entry: entry[1].timestamp
    )


def test_push_accepts_data_and_time_apart(either: MosaicoClient, name: str) -> None:
    header = Header(stamp=Time(sec=1, nanosec=2), frame_id="base", seq=3)
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("imu", {}, IMU)
        topic.push(ontology_obj=imu(1), message_timestamp_ns=T0)
        topic.push(None, T0 + 1, header, imu(2))
        for incomplete in ({}, {"ontology_obj": imu(3)}, {"message_timestamp_ns": T0}):
            with pytest.raises(ValueError, match="push"):
                topic.push(**incomplete)
        topic.push(Message(timestamp_ns=T0 + 2, recording_timestamp_ns=T0 - 7, data=imu(4)))
    first, second, third = topic_of(either, name, "imu").get_data_streamer()
    assert (first.timestamp_ns, first.timestamp) == (T0, T0)
    assert first.recording_timestamp_ns is None
    assert first.get_data(IMU).acceleration == Vector3d(x=1, y=-0.0, z=9.81)
    assert (first.ontology_type(), first.ontology_tag()) == (IMU, "imu")
    assert second.get_data(IMU).header == header
    assert third.recording_timestamp_ns == T0 - 7
    with pytest.raises(TypeError, match="GPS"):
        first.get_data(GPS)


def test_acceleration_alone_is_an_imu(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("imu", {}, IMU)
        topic.push(ontology_obj=IMU(acceleration=Vector3d(x=0, y=0, z=9.81)), message_timestamp_ns=T0)
    (message,) = topic_of(either, name, "imu").get_data_streamer()
    assert message.get_data(IMU).angular_velocity is None


# -- catalog -------------------------------------------------------------------------------------


def test_facts_of_handlers(either: MosaicoClient, name: str) -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    with either.sequence_create(name, METADATA) as sequence:
        topic = sequence.topic_create("sensors/imu", {"rate_hz": 200}, IMU)
        for i in range(100):
            topic.push(Message(timestamp_ns=T0 + i, data=imu(i)))
        sequence.topic_create("silent", METADATA, String)
    after = datetime.now(timezone.utc) + timedelta(seconds=1)

    assert name in either.list_sequences()
    handler = sequence_of(either, name)
    assert (handler.name, handler.topics) == (name, ["/sensors/imu", "/silent"])
    assert handler.user_metadata == METADATA
    assert handler.is_locked is True
    assert before < handler.created_datetime < after
    assert (handler.timestamp_ns_min, handler.timestamp_ns_max) == (T0, T0 + 99)

    recorded = topic_of(either, name, "sensors/imu")
    assert (recorded.name, recorded.sequence_name) == ("/sensors/imu", name)
    assert (recorded.ontology_tag, recorded.serialization_format) == ("imu", "default")
    assert recorded.user_metadata == {"rate_hz": 200}
    assert recorded.is_locked is True
    assert recorded.chunks_number == 1
    assert recorded.rows_number == 100
    assert before < recorded.created_datetime < after
    assert (recorded.timestamp_ns_min, recorded.timestamp_ns_max) == (T0, T0 + 99)
    assert 0 < recorded.total_size_bytes <= handler.total_size_bytes

    silent = handler.get_topic_handler("/silent")
    assert silent.user_metadata == METADATA
    assert (silent.timestamp_ns_min, silent.timestamp_ns_max) == (None, None)
    assert silent.chunks_number == 0

    info = handler.sequence_info
    assert (info.name, info.is_locked, info.topics) == (name, True, handler.topics)
    assert (info.created_datetime, info.total_size_bytes) == (
        handler.created_datetime,
        handler.total_size_bytes,
    )
    assert recorded.topic_info.ontology_tag == "imu"
    assert recorded.topic_info.created_datetime == recorded.created_datetime
    system = either.topic_system_info(name, "sensors/imu")
    assert (system.chunks_number, system.total_size_bytes) == (1, recorded.total_size_bytes)
    assert system.is_locked is True
    assert either.sequence_system_info(name).total_size_bytes == handler.total_size_bytes


def test_keys_of_ros_are_hidden(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name, {"ros:bag": 1, "site": "x"}) as sequence:
        sequence.topic_create("t", {"ros:type": "Imu", "site": "y"}, IMU)
    assert sequence_of(either, name).user_metadata == {"site": "x"}
    assert topic_of(either, name, "t").user_metadata == {"site": "y"}


def test_metadata_of_megabytes(either: MosaicoClient, name: str) -> None:
    metadata = {"calibration": "é" * 1_500_000}
    with either.sequence_create(name, metadata) as sequence:
        sequence.topic_create("t", metadata, Integer64)
    assert sequence_of(either, name).user_metadata == metadata
    assert topic_of(either, name, "t").user_metadata == metadata


@pytest.mark.parametrize("spelling", ["{}", "/{}", "{}/", "/{}/"])
def test_readers_accept_slashes_around_names(either: MosaicoClient, name: str, spelling: str) -> None:
    record_numbers(either, name, {"a/b": [(1, 1)]})
    assert sequence_of(either, spelling.format(name)).name == name
    assert topic_of(either, spelling.format(name), spelling.format("a/b")).name == "/a/b"
    assert sequence_of(either, name).get_topic_handler(spelling.format("a/b")).name == "/a/b"


def test_unknown_names(either: MosaicoClient, name: str) -> None:
    assert either.sequence_handler(name) is None
    assert either.topic_handler(name, "t") is None
    record_numbers(either, name, {"t": [(1, 1)]})
    assert either.topic_handler(name, "other") is None
    assert either.get_topic_handler(name, "t") is not None
    with pytest.raises(ValueError, match=f"Topic '/other' not available in sequence '{name}'"):
        sequence_of(either, name).get_topic_handler("/other")
    with pytest.raises(ValueError, match="Invalid input topic names"):
        sequence_of(either, name).get_data_streamer(topics=["/t", "/other"])
    for call in (either.sequence_system_info, either.sequence_delete):
        with pytest.raises(NotFoundError, match="missing"):
            call("missing")


def test_names_do_not_collide_by_prefix(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"a": [(1, 1)], "a/b": [(2, 2)], name: [(3, 3)]})
    record_numbers(either, f"{name}0", {"a": [(4, 4)]})
    assert replay(either, name) == [("/a", 1, 1), ("/a/b", 2, 2), (f"/{name}", 3, 3)]
    assert replay(either, f"{name}0") == [("/a", 4, 4)]
    assert either.sequence_handler(f"{name}/a") is None


def test_handler_caches(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"t": [(1, 1)]})
    sequence, topic = sequence_of(either, name), topic_of(either, name, "t")
    assert sequence_of(either, name) is sequence
    assert topic_of(either, name, "t") is topic
    assert sequence.get_topic_handler("/t") is sequence.get_topic_handler("t")
    assert sequence.get_topic_handler("/t", force_new_instance=True) is sequence.get_topic_handler("/t")
    either.clear_sequence_handlers_cache()
    either.clear_topic_handlers_cache()
    assert sequence_of(either, name) is not sequence
    assert topic_of(either, name, "t") is not topic


def test_a_finalized_sequence_is_immutable(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"t": [(1, 1)]})
    with pytest.raises(FailedPreconditionError, match=name):
        either.sequence_delete(name)
    again = either.sequence_create(name)
    with pytest.raises(AlreadyExistsError, match=name), again:
        pytest.fail("entered a sequence whose name is taken")
    assert again.sequence_status is SequenceStatus.Null
    assert replay(either, name) == [("/t", 1, 1)]


# -- names ---------------------------------------------------------------------------------------

BAD_NAMES = [
    ("", "Empty {} name"),
    ("/", "Empty {} name"),
    ("//x", "Malformed {} name"),
    ("_x", "does not begin with a letter or a number"),
    ("a b", "name contains invalid characters"),
    ("größe", "name contains invalid characters"),
    ("a.b", "name contains invalid characters"),
    ("!!", "does not begin with a letter or a number"),
]


@pytest.mark.parametrize(("bad", "fragment"), [*BAD_NAMES, ("a/b", "invalid characters")])
def test_bad_sequence_names(either: MosaicoClient, bad: str, fragment: str) -> None:
    with pytest.raises(ValueError, match=fragment.format("sequence")):
        either.sequence_create(bad)


def test_bad_topic_names(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        for bad, fragment in BAD_NAMES:
            with pytest.raises(ValueError, match=fragment.format("topic")):
                sequence.topic_create(bad, {}, IMU)
        assert sequence.list_topics() == []
    assert sequence_of(either, name).topics == []


# -- the writer ----------------------------------------------------------------------------------


def test_life_of_a_writer(either: MosaicoClient, name: str) -> None:
    writer = either.sequence_create(name)
    assert name not in either.list_sequences()
    assert writer.sequence_status == SequenceStatus.Null
    for early in (lambda: writer.topic_create("t", {}, IMU), writer.close):
        with pytest.raises(RuntimeError, match=r"SequenceWriter must be used within a 'with' block\."):
            early()
    with writer:
        assert name in either.list_sequences()
        assert writer.sequence_status == SequenceStatus.Pending
        assert writer.sequence_status() is SequenceStatus.Pending
        topic = writer.topic_create("/sensors/imu", {}, IMU)
        assert writer.list_topics() == writer.list_topic_writers() == [topic.name] == ["/sensors/imu"]
        assert writer.topic_exists("/sensors/imu")
        assert writer.topic_writer_exists("/sensors/imu")
        assert writer.get_topic("/sensors/imu") is writer.get_topic_writer("/sensors/imu") is topic
        assert not writer.topic_exists("gps")
        assert writer.get_topic("gps") is None
        for taken in ("/sensors/imu", "sensors/imu", "sensors//imu/"):
            with pytest.raises(AlreadyExistsError, match="sensors/imu"):
                writer.topic_create(taken, {}, IMU)
        assert (topic.is_active(), topic.finalized()) == (True, False)
    assert (topic.is_active(), topic.finalized()) == (False, True)
    assert writer.sequence_status == SequenceStatus.Finalized
    assert writer.sequence_status() == SequenceStatus.Finalized
    assert writer.list_topics() == []
    with pytest.raises(RuntimeError), writer:
        pytest.fail("a writer was entered twice")
    with pytest.raises(RuntimeError):
        writer.topic_create("late", {}, IMU)


def test_close_inside_the_block(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        topic.push(number(1, 1))
        sequence.close()
        assert sequence.sequence_status == SequenceStatus.Finalized
        assert sequence_of(either, name).is_locked
        with pytest.raises(ClosedError, match="t"):
            topic.push(number(2, 2))
        sequence.close()
    assert replay(either, name) == [("/t", 1, 1)]


def test_finalize_of_one_topic(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        with sequence.topic_create("a", {}, Integer64) as first:
            first.push(number(1, 1))
        second = sequence.topic_create("b", {}, Integer64)
        second.push(number(2, 2))
        assert (first.finalized(), second.finalized()) == (True, False)
        with pytest.raises(ClosedError, match="a"):
            first.push(number(3, 3))
        assert topic_of(either, name, "a").is_locked
        assert not topic_of(either, name, "b").is_locked
        second.finalize()
        second.finalize()
        assert topic_of(either, name, "b").is_locked
        assert not sequence_of(either, name).is_locked
    assert replay(either, name) == [("/a", 1, 1), ("/b", 2, 2)]


def test_flushed_rows_are_readable_while_recording(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        for i in range(10):
            topic.push(number(i, i))
        topic.flush()
        assert "10 pushed, 10 durable" in repr(topic)
        assert replay(either, name) == [("/t", i, i) for i in range(10)]
        handler = sequence_of(either, name)
        assert (handler.is_locked, handler.timestamp_ns_max) == (False, 9)
        topic.push(number(10, 10))
        topic.flush()
        assert len(replay(either, name)) == 11
    assert sequence_of(either, name).is_locked
    assert len(replay(either, name)) == 11


def test_bad_classes_and_limits(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        for bad in (int, "IMU", Header):
            with pytest.raises(ValueError, match="is not serializable"):
                sequence.topic_create("t", {}, bad)  # type: ignore[arg-type]
    for limit in ({"max_batch_size_bytes": -1}, {"max_batch_size_records": 0}):
        with pytest.raises(ValueError, match=next(iter(limit))):
            either.sequence_create(f"{name}-2", **limit)


def test_metadata_that_is_not_json(either: MosaicoClient, name: str) -> None:
    for bad in ({"when": datetime.now(timezone.utc)}, {"value": float("nan")}):
        with pytest.raises((TypeError, ValueError)), either.sequence_create(name, bad):
            pytest.fail("entered a sequence without metadata")
    assert name not in either.list_sequences()


# -- replay --------------------------------------------------------------------------------------

ROWS = {"b": [(20, 0), (30, 1), (30, 2), (50, 3)], "a": [(10, 10), (30, 11), (60, 12)], "empty": []}
MERGED = [
    ("/a", 10, 10),
    ("/b", 20, 0),
    ("/b", 30, 1),
    ("/b", 30, 2),
    ("/a", 30, 11),
    ("/b", 50, 3),
    ("/a", 60, 12),
]


def test_merge_is_in_time_order_and_ties_keep_the_order_of_topics(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, ROWS)
    assert replay(either, name) == MERGED
    assert replay(either, name, []) == MERGED
    assert replay(either, name, ["/a"]) == [row for row in MERGED if row[0] == "/a"]
    assert replay(either, name, ["/a", "/b", "/empty"]) == MERGED


@pytest.mark.parametrize(
    ("start", "end"),
    [(None, 30), (30, None), (30, 31), (10, 60), (10, 61), (11, 20), (21, 29), (61, None), (50, 30), (-5, 5)],
)
def test_windows(either: MosaicoClient, name: str, start: int | None, end: int | None) -> None:
    record_numbers(either, name, ROWS)
    window = {"start_timestamp_ns": start, "end_timestamp_ns": end}
    expected = [row for row in MERGED if (start is None or row[1] >= start) and (end is None or row[1] < end)]
    assert replay(either, name, **window) == expected
    for topic in ("/a", "/b"):
        handler = topic_of(either, name, topic)
        values = [message.get_data(Integer64).data for message in handler.get_data_streamer(**window)]
        assert values == [value for row_topic, _, value in expected if row_topic == topic]
        assert handler.timestamp_ns_min == ROWS[topic[1:]][0][0]


@pytest.mark.parametrize("of", ["sequence", "topic"])
def test_streamer_steps(either: MosaicoClient, name: str, of: str) -> None:
    record_numbers(either, name, {"t": [(1, 1), (2, 2), (3, 3)]})
    handler = sequence_of(either, name) if of == "sequence" else topic_of(either, name, "t")
    streamer = handler.get_data_streamer()
    assert streamer.next_timestamp() == 1
    assert streamer.next_timestamp() == 1
    assert time_of(next(streamer)) == 1
    assert time_of(streamer.next()) == 2
    assert iter(streamer) is streamer
    assert streamer.next_timestamp() == 3
    assert [time_of(item) for item in streamer] == [3]
    assert streamer.next_timestamp() is None
    assert streamer.next() is None
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(streamer)
    assert list(streamer) == []
    streamer.close()
    streamer.close()
    for call in (streamer.next_timestamp, streamer.next, lambda: next(streamer), lambda: iter(streamer)):
        with pytest.raises(ValueError, match=f"Reader closed for {of}"):
            call()


def time_of(item: Message | tuple[str, Message] | None) -> int | None:
    assert item is not None
    return (item if isinstance(item, Message) else item[1]).timestamp_ns


def test_topic_streamer_has_name_and_tag(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"a/b": [(1, 1)]})
    streamer = topic_of(either, name, "a/b").get_data_streamer()
    assert (streamer.name(), streamer.ontology_tag) == ("/a/b", "integer64")


def test_a_handler_has_one_live_streamer(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"t": [(1, 1), (2, 2)]})
    for handler in (sequence_of(either, name), topic_of(either, name, "t")):
        first = handler.get_data_streamer()
        second = handler.get_data_streamer()
        with pytest.raises(ClosedError):
            next(first)
        assert time_of(next(second)) == 1
        handler.close()
        with pytest.raises(ClosedError):
            next(second)
        assert len(list(handler.get_data_streamer())) == 2
    sequence = sequence_of(either, name)
    live = sequence.get_data_streamer()
    with pytest.raises(ValueError, match="Invalid input topic names"):
        sequence.get_data_streamer(["/other"])
    assert time_of(next(live)) == 1


def test_handlers_and_streamers_in_with(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"t": [(1, 1)]})
    with sequence_of(either, name) as sequence, sequence.get_data_streamer() as merged:
        assert time_of(next(merged)) == 1
    with topic_of(either, name, "t") as topic, topic.get_data_streamer() as straight:
        assert time_of(next(straight)) == 1
    for streamer in (merged, straight):
        with pytest.raises(ClosedError):
            next(streamer)


def test_reading_without_data(either: MosaicoClient, name: str, new_name: Callable[[], str]) -> None:
    record_numbers(either, name, {})
    with pytest.raises(ValueError, match="The sequence might contain no data"):
        sequence_of(either, name).get_data_streamer()
    other = new_name()
    record_numbers(either, other, {"full": [(1, 1)], "empty": []})
    with pytest.raises(RuntimeError, match="empty"):
        sequence_of(either, other).get_data_streamer(["/empty"])
    with pytest.raises(ValueError, match="The topic might contain no data"):
        topic_of(either, other, "empty").get_data_streamer()


def test_times_before_the_epoch_and_at_the_limits(either: MosaicoClient, name: str) -> None:
    times = [-(2**63), -1, 0, 2**63 - 1]
    record_numbers(either, name, {"t": [(time, index) for index, time in enumerate(times)]})
    assert [row[1] for row in replay(either, name)] == times
    handler = sequence_of(either, name)
    assert (handler.timestamp_ns_min, handler.timestamp_ns_max) == (times[0], times[-1])
    assert [row[1] for row in replay(either, name, start_timestamp_ns=-1, end_timestamp_ns=1)] == [-1, 0]
    assert [row[1] for row in replay(either, name, start_timestamp_ns=0)] == times[2:]
    assert [row[1] for row in replay(either, name, end_timestamp_ns=0)] == times[:2]


def test_two_streamers_of_different_handlers_are_independent(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"t": [(i, i) for i in range(1000)]})
    topic, merged = (
        topic_of(either, name, "t").get_data_streamer(),
        sequence_of(either, name).get_data_streamer(),
    )
    for i in range(1000):
        assert time_of(next(topic)) == i
        assert time_of(next(merged)) == i


# -- the client ----------------------------------------------------------------------------------


def test_notifications_of_a_clean_recording(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"t": [(1, 1)]})
    assert either.list_sequence_notify(name) == []
    assert either.list_topic_notify(name, "t") == []
    assert either.list_sequence_notify("missing") == []
    either.clear_sequence_notify(name)
    either.clear_topic_notify(name, "t")


def test_the_store_outlives_the_client(tmp_path: Path) -> None:
    with MosaicoClient.embedded(tmp_path) as first:
        record_numbers(first, "kept", {"t": [(1, 1), (2, 2)]})
    with MosaicoClient.embedded(str(tmp_path)) as second:
        assert second.list_sequences() == ["kept"]
        assert sequence_of(second, "kept").is_locked
        assert replay(second, "kept") == [("/t", 1, 1), ("/t", 2, 2)]


def test_use_after_close(tmp_path: Path) -> None:
    client = MosaicoClient.embedded(tmp_path)
    record_numbers(client, "s", {"t": [(1, 1)]})
    handler = sequence_of(client, "s")
    client.close()
    client.close()
    for call in (client.list_sequences, handler.get_data_streamer, lambda: client.sequence_handler("s")):
        with pytest.raises(ClosedError, match="closed"):
            call()
    with pytest.raises(ClosedError), client.sequence_create("s2"):
        pytest.fail("entered a sequence of a closed client")


def test_clients_are_opened_by_their_factories() -> None:
    with pytest.raises(RuntimeError, match="connect"):
        MosaicoClient(_native_client=None)  # type: ignore[arg-type]


def test_connect_without_a_daemon(unused_port: int) -> None:
    fragment = f"Connection to Flight server at '127.0.0.1:{unused_port}' failed on startup"
    with pytest.raises(ConnectionError, match=fragment):
        MosaicoClient.connect("127.0.0.1", unused_port, timeout=1)
