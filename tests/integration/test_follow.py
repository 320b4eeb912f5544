"""Following a recording: durable rows arrive within 200 ms, merged, until the recording ends."""

import json
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.record import number, replay, sequence_of, topic_of
from harness.script import Script

from mosaicolabs import Floating64, Integer64, Message, MosaicoClient, OnErrorPolicy
from mosaicolabs.exceptions import MosaicoError

TIMEOUT_S = 20


class Follower:
    """Reads a streamer in a thread; `None` after its end, an exception after its failure."""

    def __init__(self, streamer: Iterator[Any]) -> None:
        self._items: queue.Queue[Any] = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(streamer,), daemon=True)
        self._thread.start()

    def _read(self, streamer: Iterator[Any]) -> None:
        try:
            for item in streamer:
                self._items.put((time.monotonic(), item))
        except MosaicoError as error:
            self._items.put(error)
        self._items.put(None)

    def next(self) -> tuple[float, Any]:
        item = self._items.get(timeout=TIMEOUT_S)
        if isinstance(item, Exception):
            raise item
        assert item is not None, "the stream ended"
        found: tuple[float, Any] = item
        return found

    def rest(self) -> list[Any]:
        """Everything up to the end."""
        found = []
        while (item := self._items.get(timeout=TIMEOUT_S)) is not None:
            if isinstance(item, Exception):
                raise item
            found.append(item[1])
        self._thread.join(TIMEOUT_S)
        return found

    def is_silent(self, seconds: float) -> bool:
        try:
            self._items.get(timeout=seconds)
        except queue.Empty:
            return True
        return False


def follow(client: MosaicoClient, name: str, **options: Any) -> Follower:
    return Follower(sequence_of(client, name).get_data_streamer(follow=True, **options))


def test_a_topic_is_followed_from_its_first_row_to_its_end(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        for i in range(100):
            topic.push(number(i, i))
        topic.flush()
        follower = Follower(topic_of(either, name, "t").get_data_streamer(follow=True))
        assert [follower.next()[1].timestamp_ns for _ in range(100)] == list(range(100))
        assert follower.is_silent(0.3)
        delays = []
        for i in range(100, 120):
            topic.push(number(i, i))
            topic.flush()
            durable = time.monotonic()
            at, message = follower.next()
            assert message.timestamp_ns == i
            delays.append(at - durable)
        assert sorted(delays)[len(delays) // 2] < 0.2
        topic.push(number(120, 120))
    assert [message.timestamp_ns for message in follower.rest()] == [120]


def test_silent_topic_does_not_block_the_others(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        busy = sequence.topic_create("busy", {}, Integer64)
        sequence.topic_create("silent", {}, Integer64)
        follower = follow(either, name, max_lateness_s=0.05)
        for i in range(5):
            busy.push(number(i, i))
            busy.flush()
            durable = time.monotonic()
            at, (topic, message) = follower.next()
            assert (topic, message.timestamp_ns) == ("/busy", i)
            assert at - durable < 5
    assert follower.rest() == []


def test_topics_are_merged_within_the_lateness(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topics = [sequence.topic_create(each, {}, Integer64) for each in ("a", "b")]
        follower = follow(either, name, max_lateness_s=1.0)
        for first in range(0, 100, 10):
            for offset, topic in reversed(list(enumerate(topics))):
                for i in range(first, first + 10):
                    topic.push(number(2 * i + offset, i))
                topic.flush()
    times = [message.timestamp_ns for _, message in follower.rest()]
    assert times == list(range(200))


def test_topics_that_are_created_later_join(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        follower = follow(either, name)
        first = sequence.topic_create("first", {}, Integer64)
        first.push(number(1, 1))
        first.flush()
        assert follower.next()[1][0] == "/first"
        second = sequence.topic_create("second", {}, Floating64)
        second.push(Message(timestamp_ns=2, data=Floating64(data=0.5)))
        second.flush()
        topic, message = follower.next()[1]
        assert (topic, message.data.data) == ("/second", 0.5)
    assert follower.rest() == []


def test_named_topics_are_followed_alone(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        wanted = sequence.topic_create("wanted", {}, Integer64)
        other = sequence.topic_create("other", {}, Integer64)
        follower = follow(either, name, topics=["wanted"])
        other.push(number(1, 1))
        wanted.push(number(2, 2))
    assert [topic for topic, _ in follower.rest()] == ["/wanted"]


def test_a_window_bounds_what_is_followed(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        for i in range(10):
            topic.push(number(i, i))
        topic.flush()
        follower = follow(either, name, start_timestamp_ns=5, end_timestamp_ns=15)
        for i in range(10, 20):
            topic.push(number(i, i))
    assert [message.timestamp_ns for _, message in follower.rest()] == list(range(5, 15))


def test_following_what_is_finished_is_a_replay(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        for i in reversed(range(100)):
            topic.push(number(i, i))
    assert [message.timestamp_ns for _, message in follow(either, name).rest()] == list(range(100))


def test_a_failed_recording_ends_the_stream(either: MosaicoClient, name: str) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        either.sequence_create(name, on_error=OnErrorPolicy.Report) as sequence,
    ):
        topic = sequence.topic_create("t", {}, Integer64)
        follower = follow(either, name)
        topic.push(number(1, 1))
        raise ZeroDivisionError
    assert [message.timestamp_ns for _, message in follower.rest()] == [1]


LEFT = """
import sys
from mosaicolabs import Integer64, MosaicoClient
client = MosaicoClient.connect("127.0.0.1", int(sys.argv[1]))
sequence = client.sequence_create("s").__enter__()
topic = sequence.topic_create("t", {}, Integer64)
sequence.topic_create("silent", {}, Integer64)
topic.push(ontology_obj=Integer64(data=1), message_timestamp_ns=1)
topic.flush()
print("flushed")
sys.stdin.readline()
topic.push(ontology_obj=Integer64(data=2), message_timestamp_ns=2)
"""


def test_a_recording_that_is_left_at_exit_ends_the_stream(daemon: Daemon, remote: MosaicoClient) -> None:
    with Script(LEFT, daemon.port) as script:
        assert script.hear() == "flushed"
        topic = Follower(topic_of(remote, "s", "t").get_data_streamer(follow=True))
        silent = Follower(topic_of(remote, "s", "silent").get_data_streamer(follow=True))
        follower = follow(remote, "s")
        assert follower.next()[1][1].timestamp_ns == 1
        script.say("go")
        assert [message.timestamp_ns for _, message in follower.rest()] == [2]
        assert [message.timestamp_ns for message in topic.rest()] == [1, 2]
        assert silent.rest() == []
    assert not topic_of(remote, "s", "t").is_locked, "nobody completed it"
    assert [message.timestamp_ns for _, message in follow(remote, "s").rest()] == [1, 2]


def test_notification_during_a_recording_does_not_end_a_follower(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        follower = follow(either, name)
        body = json.dumps({"name": name, "notify_type": "error", "msg": "a hiccup"})
        either._native.action("sequence_notify_create", body)
        assert follower.is_silent(0.5)
        sequence.topic_create("t", {}, Integer64).push(number(1, 1))
    assert [message.timestamp_ns for _, message in follower.rest()] == [1]


def test_a_deleted_recording_raises(either: MosaicoClient, name: str) -> None:
    with pytest.raises(ZeroDivisionError), either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        follower = follow(either, name)
        topic.push(number(1, 1))
        topic.flush()
        follower.next()
        raise ZeroDivisionError
    with pytest.raises(MosaicoError, match=name):
        follower.rest()


@pytest.mark.parametrize("seed", range(3))
def test_every_row_is_yielded_once(daemon_of_small_chunks: MosaicoClient, seed: int) -> None:
    """Segments turn into chunks while they are followed, at any moment."""
    client, draw, rows = daemon_of_small_chunks, random.Random(seed), 3000
    with client.sequence_create(f"s{seed}", max_batch_size_records=50) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        followers = [follow(client, f"s{seed}")]
        for i in range(rows):
            topic.push(number(i if seed else -i, i))
            if draw.random() < 0.01:
                topic.flush()
            if i % 1000 == 500:
                followers.append(follow(client, f"s{seed}"))
    for follower in followers:
        assert sorted(message.data.data for _, message in follower.rest()) == list(range(rows))
    assert len(replay(client, f"s{seed}")) == rows


@pytest.fixture
def daemon_of_small_chunks(tmp_path: Any) -> Iterator[MosaicoClient]:
    with Daemon(tmp_path / "store", "--chunk-bytes", "20000") as daemon, daemon.connect() as client:
        yield client


def test_idle_follower_does_not_block_the_recording(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        streamer = sequence_of(either, name).get_data_streamer(follow=True)
        for i in range(20_000):
            topic.push(number(i, i))
    assert sequence_of(either, name).is_locked
    streamer.close()


def test_the_command_line_follows(daemon: Daemon, remote: MosaicoClient) -> None:
    with remote.sequence_create("s") as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        command = [sys.executable, "-m", "mosaicolabs.cli", "cat", "--follow", "--json", "s"]
        command += ["--host", daemon.host, "--port", str(daemon.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            topic.push(number(7, 7))
            topic.flush()
            assert json.loads(process.stdout.readline())["timestamp_ns"] == 7
            topic.push(number(8, 8))
            sequence.close()
            assert json.loads(process.stdout.readline())["timestamp_ns"] == 8
            assert process.stdout.read() == ""
            assert process.wait(TIMEOUT_S) == 0
