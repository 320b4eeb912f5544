"""Batches: when they are cut, that no row is lost or repeated, and that a bad message affects no other."""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from harness.record import number, record_numbers, replay, sequence_of, topic_of
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs import (
    CameraInfo,
    CompressedImage,
    ImageFormat,
    Integer8,
    Integer64,
    Message,
    MosaicoClient,
    Pose,
    SequenceStatus,
    Serializable,
    String,
    TopicWriter,
    Unsigned32,
    Vector3d,
)
from mosaicolabs.exceptions import InvalidInputError

_numbers = itertools.count()

MESSAGE_BYTES = 10_000


def blob(index: int, size: int = MESSAGE_BYTES) -> Message:
    data = CompressedImage(data=index.to_bytes(4, "big") * (size // 4), format=ImageFormat.JPEG)
    return Message(timestamp_ns=index, data=data)


def durable_without_flush(topic: TopicWriter, rows: int, within_s: float) -> bool:
    """Whether the daemon confirms that many rows though nobody asks for it."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if f"{rows} durable" in repr(topic):
            return True
        time.sleep(0.02)
    return False


# -- what cuts a batch ---------------------------------------------------------------------------


def test_a_batch_is_cut_by_records(either: MosaicoClient, name: str) -> None:
    writer = either.sequence_create(name, max_batch_size_records=10)
    writer._config.max_batch_age_s = 3600
    with writer as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        for i in range(29):
            topic.push(number(i, i))
        assert durable_without_flush(topic, 20, within_s=5)
        time.sleep(0.3)
        assert "29 pushed, 20 durable" in repr(topic)
    assert len(replay(either, name)) == 29


def test_a_batch_is_cut_by_bytes(either: MosaicoClient, name: str) -> None:
    writer = either.sequence_create(name, max_batch_size_bytes=10 * MESSAGE_BYTES)
    writer._config.max_batch_age_s = 3600
    with writer as sequence:
        topic = sequence.topic_create("t", {}, CompressedImage)
        for i in range(5):
            topic.push(blob(i))
        time.sleep(0.3)
        assert "5 pushed, 0 durable" in repr(topic)
        for i in range(5, 12):
            topic.push(blob(i))
        assert durable_without_flush(topic, 10, within_s=5), repr(topic)
    assert list(topic_of(either, name, "t").get_data_streamer()) == [blob(i) for i in range(12)]


def test_a_limit_of_zero_bytes_sends_every_record_alone(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"t": [(i, i) for i in range(50)]}, max_batch_size_bytes=0)
    assert replay(either, name) == [("/t", i, i) for i in range(50)]


def test_a_batch_is_cut_by_age(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        topic.push(number(1, 1))
        assert durable_without_flush(topic, 1, within_s=1.5), repr(topic)
        assert replay(either, name) == [("/t", 1, 1)]
        topic.push(number(2, 2))
        assert durable_without_flush(topic, 2, within_s=1.5), repr(topic)
        assert replay(either, name) == [("/t", 1, 1), ("/t", 2, 2)]


def test_flush_returns_only_when_everything_is_durable(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, CompressedImage)
        for count in (1, 7, 30):
            for i in range(count):
                topic.push(blob(i))
            topic.flush()
            pushed, durable = (word for word in repr(topic).split() if word.isdigit())
            assert pushed == durable
        topic.flush()


# -- any interleaving ----------------------------------------------------------------------------

ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-50, 50)), max_size=120)
BOUND = st.none() | st.integers(-60, 60)
LIMITS = st.fixed_dictionaries(
    {},
    optional={"max_batch_size_records": st.integers(1, 30), "max_batch_size_bytes": st.integers(0, 2000)},
)


@given(rows=ROWS, limits=LIMITS, flushes=st.sets(st.integers(0, 120), max_size=5), start=BOUND, end=BOUND)
def test_any_interleaving_replays_sorted_each_row_once(
    standing_store: MosaicoClient,
    rows: list[tuple[str, int]],
    limits: dict[str, int],
    flushes: set[int],
    start: int | None,
    end: int | None,
) -> None:
    name = f"interleaved-{next(_numbers)}"
    with standing_store.sequence_create(name, **limits) as sequence:
        writers = {topic: sequence.topic_create(topic, {}, Integer64) for topic in "dbca"}
        for index, (topic, timestamp_ns) in enumerate(rows):
            writers[topic].push(number(timestamp_ns, index))
            if index in flushes:
                writers[topic].flush()
    # Python's sort is stable: ties keep the order of topics, then the order of arrival.
    expected = [
        (f"/{topic}", timestamp_ns, index)
        for topic in "dbca"
        for index, (row_topic, timestamp_ns) in enumerate(rows)
        if row_topic == topic
        and (start is None or timestamp_ns >= start)
        and (end is None or timestamp_ns < end)
    ]
    expected.sort(key=lambda row: row[1])
    if not rows:
        with pytest.raises(ValueError, match="no data"):
            replay(standing_store, name)
        return
    assert replay(standing_store, name, start_timestamp_ns=start, end_timestamp_ns=end) == expected


@pytest.mark.parametrize("records", [7, 100_000])
def test_rows_pushed_in_reverse_are_replayed_in_time_order(
    either: MosaicoClient, name: str, records: int
) -> None:
    rows = [(i, i) for i in reversed(range(20_000))]
    record_numbers(either, name, {"t": rows}, max_batch_size_records=max(records, 700))
    handler = sequence_of(either, name)
    assert (handler.timestamp_ns_min, handler.timestamp_ns_max) == (0, 19_999)
    assert replay(either, name) == [("/t", i, i) for i in range(20_000)]
    assert replay(either, name, start_timestamp_ns=9_990, end_timestamp_ns=10_010) == [
        ("/t", i, i) for i in range(9_990, 10_010)
    ]


def test_topics_may_be_pushed_from_threads_of_their_own(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name, max_batch_size_records=50) as sequence:
        writers = [sequence.topic_create(f"t{topic}", {}, Integer64) for topic in range(8)]

        def push_all(topic: int) -> None:
            for i in range(2000):
                writers[topic].push(number(i * 8 + topic, i))

        with ThreadPoolExecutor(len(writers)) as threads:
            list(threads.map(push_all, range(len(writers))))
    assert [row[1] for row in replay(either, name)] == list(range(16_000))


def test_record_of_100_mb_is_stored(either: MosaicoClient, name: str) -> None:
    size = 100_000_000
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, CompressedImage)
        for index, message in enumerate((blob(0), blob(1, size), blob(2))):
            topic.push(message)
            assert f"{index + 1} pushed" in repr(topic)
    first, big, last = topic_of(either, name, "t").get_data_streamer()
    assert (first, last) == (blob(0), blob(2))
    assert big.get_data(CompressedImage).data == blob(1, size).get_data(CompressedImage).data


def test_many_topics_at_once(either: MosaicoClient, name: str) -> None:
    topics = {f"t{topic:02}": [(i * 64 + topic, i) for i in range(50)] for topic in range(64)}
    record_numbers(either, name, topics)
    assert sequence_of(either, name).topics == [f"/{topic}" for topic in topics]
    assert [row[1] for row in replay(either, name)] == list(range(50 * 64))


# -- one bad message -----------------------------------------------------------------------------


def spoiled(instance: Serializable, /, **values: Any) -> Message:
    """A message whose data was changed after its checks, as assignment is not checked."""
    for field, value in values.items():
        setattr(instance, field, value)
    return Message(timestamp_ns=1, data=instance)


class BatchingNames(Serializable):
    __msco_pyarrow_struct__ = pa.struct([pa.field("names", pa.list_(pa.string()), nullable=False)])
    names: list[str]


def camera(**parameters: Any) -> CameraInfo:
    good = {
        "height": 1,
        "width": 1,
        "distortion_model": "none",
        "distortion_parameters": [],
        "intrinsic_parameters": [0.0] * 9,
        "rectification_parameters": [0.0] * 9,
        "projection_parameters": [0.0] * 12,
    }
    return CameraInfo(**good | parameters)


def pose() -> Pose:
    return Pose(position={"x": 1, "y": 2, "z": 3}, orientation={"x": 0, "y": 0, "z": 0, "w": 1})


def in_position(**values: Any) -> Pose:
    made = pose()
    for field, value in values.items():
        setattr(made.position, field, value)
    return made


BAD_MESSAGES: dict[str, tuple[Callable[[], Serializable], Callable[[], Message], str]] = {
    "too big": (lambda: Integer8(data=1), lambda: spoiled(Integer8(data=128)), "data"),
    "too small": (lambda: Integer8(data=1), lambda: spoiled(Integer8(data=-129)), "data"),
    "beyond 64 bits": (lambda: Integer64(data=1), lambda: spoiled(Integer64(data=2**80)), "data"),
    "negative": (lambda: Unsigned32(data=1), lambda: spoiled(Unsigned32(data=1), data=-1), "data"),
    "text for a number": (lambda: Integer8(data=1), lambda: spoiled(Integer8(data=1), data="x"), "data"),
    "number for a text": (lambda: String(data="x"), lambda: spoiled(String(data="x"), data=5), "data"),
    "half a character": (lambda: String(data="x"), lambda: spoiled(String(data="x"), data="\ud800"), "data"),
    "nothing": (lambda: String(data="x"), lambda: spoiled(String(data="x"), data=None), "data"),
    "wrong length": (
        camera,
        lambda: Message(timestamp_ns=1, data=camera(intrinsic_parameters=[1.0])),
        "intrinsic",
    ),
    "nested": (pose, lambda: spoiled(in_position(y="north")), "position.y"),
    "part missing": (pose, lambda: spoiled(pose(), position=None), "position"),
    "in a list": (
        lambda: BatchingNames(names=["a"]),
        lambda: spoiled(BatchingNames(names=["a", "b"]), names=["a", 5]),
        "names",
    ),
    "another class": (pose, lambda: Message(timestamp_ns=1, data=Vector3d(x=1, y=2, z=3)), "Vector3d"),
    "time": (pose, lambda: Message(timestamp_ns=2**63, data=pose()), "timestamp_ns"),
}


@pytest.mark.parametrize("case", BAD_MESSAGES)
def test_a_bad_message_raises_and_harms_no_other(either: MosaicoClient, name: str, case: str) -> None:
    good, bad, named = BAD_MESSAGES[case]
    kept = [Message(timestamp_ns=i, data=good()) for i in range(4)]
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, type(good()))
        for message in kept[:2]:
            topic.push(message)
        for _ in range(3):
            with pytest.raises(InvalidInputError) as raised:
                topic.push(bad())
            assert named in str(raised.value), "the error names the field"
            assert f"{name}/t" in str(raised.value), "the error names the topic"
        assert topic.is_active()
        for message in kept[2:]:
            topic.push(message)
    assert sequence.sequence_status == SequenceStatus.Finalized
    assert list(topic_of(either, name, "t").get_data_streamer()) == kept
