"""Fixed quirks of Mosaico 0.2.4, and what code for several versions expects."""

import logging
import threading
from typing import Any

import pyarrow as pa
import pytest
from harness.record import number, record_numbers, replay, sequence_of, topic_of

from mosaicolabs import (
    Header,
    HeaderMixin,
    Integer64,
    Message,
    MosaicoClient,
    OnErrorPolicy,
    Serializable,
    Time,
    TopicWriter,
)


class QuirkyInner(Serializable):
    """All of it may be missing."""

    __msco_pyarrow_struct__ = pa.struct([pa.field("a", pa.float64()), pa.field("b", pa.string())])

    a: float | None = None
    b: str | None = None


class QuirkyOuter(Serializable, HeaderMixin):
    """Holds something of which all may be missing."""

    __msco_pyarrow_struct__ = pa.struct(
        [pa.field("n", pa.int64()), pa.field("inner", QuirkyInner.__msco_pyarrow_struct__)]
    )

    n: int
    inner: QuirkyInner | None = None


def record_unlocked(client: MosaicoClient, name: str, rows: int = 1) -> None:
    with pytest.raises(InterruptedError), client.sequence_create(name, {}, OnErrorPolicy.Report) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        for i in range(rows):
            topic.push(number(i, i))
        raise InterruptedError


def test_deletion_drops_cached_handlers_and_logs_nothing(
    either: MosaicoClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    record_unlocked(either, name)
    sequence_of(either, name), topic_of(either, name, "t")
    with caplog.at_level(logging.DEBUG, "mosaicolabs"):
        either.sequence_delete(name)
    assert caplog.records == []
    assert either.sequence_handler(name) is None
    assert either.topic_handler(name, "t") is None


def test_handlers_of_unlocked_sequences_are_not_cached(either: MosaicoClient, name: str) -> None:
    record_unlocked(either, name, rows=3)
    before = sequence_of(either, name)
    either.sequence_delete(name)
    record_numbers(either, name, {"t": [(i, i) for i in range(7)]})
    assert before.timestamp_ns_max == 2, "a handler is a snapshot"
    assert sequence_of(either, name).timestamp_ns_max == 6
    assert topic_of(either, name, "t").timestamp_ns_max == 6


def test_is_active_may_be_read_and_called(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        assert topic.is_active
        assert topic.is_active() is True
        topic.finalize()
        assert not topic.is_active
        assert topic.is_active() is False
        assert repr(topic.is_active) == "False"


def test_a_bare_data_object_is_pushed_at_the_time_of_its_header(either: MosaicoClient, name: str) -> None:
    stamped = Integer64(data=7, header=Header(stamp=Time.from_nanoseconds(5)))
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        topic.push(stamped)
        with pytest.raises(ValueError, match="Timestamp data is needed"):
            topic.push(Integer64(data=8))
        topic.push(number(6, 9))
    assert replay(either, name) == [("/t", 5, 7), ("/t", 6, 9)]


def test_a_byte_limit_may_be_large(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"t": [(1, 1)]}, max_batch_size_bytes=1 << 30)
    assert replay(either, name) == [("/t", 1, 1)]


def test_struct_of_nulls_differs_from_none(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, QuirkyOuter)
        topic.push(Message(timestamp_ns=1, data=QuirkyOuter(n=1, inner=QuirkyInner())))
        topic.push(Message(timestamp_ns=2, data=QuirkyOuter(n=2)))
    first, second = (m.get_data(QuirkyOuter) for m in topic_of(either, name, "t").get_data_streamer())
    assert first.inner == QuirkyInner()
    assert second.inner is None


@pytest.mark.parametrize("metadata", [["a"], "text", 7, False])
def test_metadata_that_could_not_be_read_again_is_refused(
    either: MosaicoClient, name: str, metadata: Any
) -> None:
    with pytest.raises(ValueError, match="give a dict"):
        either.sequence_create(name, metadata)
    with either.sequence_create(name) as sequence, pytest.raises(ValueError, match="give a dict"):
        sequence.topic_create("t", metadata, Integer64)
    assert sequence_of(either, name).topics == []


def test_a_topic_writer_in_with_is_complete_after_its_block(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        with sequence.topic_create("t", {}, Integer64) as topic:
            topic.push(number(1, 1))
        assert topic.finalized()
        with pytest.raises(ValueError, match="closed"):
            topic.push(number(2, 2))


def test_unknown_things_are_none_or_raise_as_before(either: MosaicoClient, name: str) -> None:
    message = number(1, 1)
    with pytest.raises(TypeError):
        message.get_data(QuirkyOuter)
    assert either.sequence_handler(name) is None
    with pytest.raises(LookupError):
        either.sequence_delete(name)


def test_push_and_query_from_several_threads(either: MosaicoClient, name: str) -> None:
    failures: list[BaseException] = []

    def push(topic: TopicWriter) -> None:
        try:
            for i in range(200):
                topic.push(number(i, i))
                if i % 50 == 0:
                    either.list_sequences()
        except BaseException as error:
            failures.append(error)

    with either.sequence_create(name) as sequence:
        writers: list[Any] = [sequence.topic_create(f"t{i}", {}, Integer64) for i in range(4)]
        threads = [threading.Thread(target=push, args=(writer,)) for writer in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert failures == []
    assert len(replay(either, name)) == 800


def test_opening_a_deleted_sequence_is_a_connection_error(either: MosaicoClient, name: str) -> None:
    record_unlocked(either, name)
    sequence, topic = sequence_of(either, name), topic_of(either, name, "t")
    either.sequence_delete(name)
    for handler in (sequence, topic):
        with pytest.raises(ConnectionError, match=name):
            handler.get_data_streamer()
