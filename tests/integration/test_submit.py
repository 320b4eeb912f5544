"""`TopicWriter.submit`: data made in the background; in order, none lost, no topic stalled."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.daemon import Daemon
from harness.record import number, replay
from harness.script import finish

from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy
from mosaicolabs._streams import ordered_executor
from mosaicolabs.exceptions import ClosedError, ConnectionFailedError, InvalidInputError

CORES = 3
MOST = 2 * CORES


@pytest.fixture(autouse=True)
def _three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_executor, "_cores", lambda: CORES)


def value(value: int) -> Integer64:
    return Integer64(data=value)


def fails(text: str) -> Integer64:
    raise KeyError(text)


class Gate:
    """Data whose making waits until the gate is opened; counts who has come."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self._open = threading.Event()

    def make(self, data: int) -> Integer64:
        self.arrived.release()
        assert self._open.wait(60)
        return value(data)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_order_is_that_of_submission(either: MosaicoClient, name: str) -> None:
    """All at one time, so that only the order of arrival is left; later ones are made faster."""

    def make(data: int) -> Integer64:
        time.sleep((20 - data) % 5 * 0.002)
        return value(data)

    with either.sequence_create(name) as writer:
        topic = writer.topic_create("t", {}, Integer64)
        for data in range(20):
            topic.submit(7, make, data)
        topic.push(number(7, 20))
        topic.submit(7, make, data=21)
        topic.flush()
        topic.push(number(7, 22))
        topic.submit(7, make, data=23)
        topic.push_columns(timestamp_ns=[7, 7], data=[24, 25])
    assert [data for _, _, data in replay(either, name)] == list(range(26))


def test_one_message_per_core_is_made_at_a_time(client: MosaicoClient, name: str) -> None:
    together = threading.Barrier(CORES, timeout=60)

    def make(data: int) -> Integer64:
        together.wait()
        return value(data)

    with client.sequence_create(name) as writer:
        topic = writer.topic_create("t", {}, Integer64)
        for data in range(2 * CORES):
            topic.submit(data, make, data)
    assert len(replay(client, name)) == 2 * CORES


def test_messages_are_pushed_as_soon_as_they_are_made(client: MosaicoClient, name: str, gate: Gate) -> None:
    """Without another call, and no sooner than what was submitted before."""
    with client.sequence_create(name) as writer:
        topic = writer.topic_create("t", {}, Integer64)
        topic.submit(1, gate.make, 1)
        topic.submit(2, value, 2)
        assert "0 pushed" in repr(topic)
        gate.open()
        eventually(lambda: "2 pushed" in repr(topic))


def test_work_is_bounded(client: MosaicoClient, name: str, gate: Gate) -> None:
    taken = 0
    with client.sequence_create(name) as writer:
        topic = writer.topic_create("t", {}, Integer64)

        def submit_all() -> None:
            nonlocal taken
            for data in range(3 * MOST):
                topic.submit(data, gate.make, data)
                taken += 1

        thread = threading.Thread(target=submit_all)
        thread.start()
        eventually(lambda: taken == MOST)
        assert [gate.arrived.acquire(timeout=30) for _ in range(CORES)] == [True] * CORES
        thread.join(0.05)
        assert (thread.is_alive(), taken) == (True, MOST)
        gate.open()
        thread.join()
    assert len(replay(client, name)) == 3 * MOST


def test_a_topic_that_is_busy_does_not_stall_another(client: MosaicoClient, name: str, gate: Gate) -> None:
    with client.sequence_create(name) as writer:
        busy = writer.topic_create("busy", {}, Integer64)
        for data in range(MOST):
            busy.submit(data, gate.make, data)
        free = writer.topic_create("free", {}, Integer64)
        for data in range(3 * MOST):
            free.submit(data, value, data)
        free.flush()
        gate.open()
    assert len(replay(client, name)) == 4 * MOST


def test_failed_messages_are_named_and_others_are_stored(
    client: MosaicoClient, name: str, gate: Gate
) -> None:
    with client.sequence_create(name) as writer:
        topic = writer.topic_create("t", {}, Integer64)
        topic.submit(1, gate.make, 1)
        topic.submit(2, fails, "no such colour")
        topic.submit(3, value, 3)
        topic.submit(4, value, "no number")  # type: ignore[arg-type]
        gate.open()
        with pytest.raises(InvalidInputError, match=r"`t` .* those at 2, 4 ns: KeyError: 'no such colour'"):
            topic.flush()
        topic.submit(5, value, 5)
    assert [data for _, _, data in replay(client, name)] == [1, 3, 5]


def test_failure_is_raised_before_the_next_message_is_accepted(client: MosaicoClient, name: str) -> None:
    with client.sequence_create(name) as writer:
        topic = writer.topic_create("t", {}, Integer64)
        topic.submit(1, fails, "bad")
        background = topic._background
        assert background is not None
        background.wait()
        with pytest.raises(InvalidInputError, match="at 1 ns"):
            topic.submit(2, value, 2)
        topic.submit(3, value, 3)
    assert [data for _, _, data in replay(client, name)] == [3]


def test_a_failure_at_the_end_fails_the_recording(client: MosaicoClient, name: str) -> None:
    with pytest.raises(InvalidInputError, match="at 2 ns"):
        with client.sequence_create(name, on_error=OnErrorPolicy.Report) as writer:
            topic = writer.topic_create("t", {}, Integer64)
            topic.submit(1, value, 1)
            topic.submit(2, fails, "bad")
    assert [data for _, _, data in replay(client, name)] == [1]


def test_system_exit_in_make_does_not_stall_the_topic(client: MosaicoClient, name: str) -> None:
    with client.sequence_create(name) as writer:
        topic = writer.topic_create("t", {}, Integer64)
        topic.submit(1, sys.exit, 3)
        with pytest.raises(InvalidInputError, match="at 1 ns: SystemExit: 3"):
            topic.flush()


def test_data_of_another_class_is_refused(client: MosaicoClient, name: str) -> None:
    with client.sequence_create(name) as writer:
        topic = writer.topic_create("t", {}, Integer64)
        topic.submit(1, lambda: 5)  # type: ignore[arg-type, return-value]
        with pytest.raises(InvalidInputError, match="at 1 ns"):
            topic.flush()


def test_aborted_recording_drops_pending_messages_without_waiting(
    client: MosaicoClient, name: str, gate: Gate
) -> None:
    with pytest.raises(KeyboardInterrupt), client.sequence_create(name) as writer:
        topic = writer.topic_create("t", {}, Integer64)
        for data in range(MOST):
            topic.submit(data, gate.make, data)
        assert [gate.arrived.acquire(timeout=30) for _ in range(CORES)] == [True] * CORES
        background = topic._background
        raise KeyboardInterrupt
    assert client.list_sequences() == []
    gate.open()
    assert background is not None
    background._executor._pool.shutdown(wait=True)
    assert not gate.arrived.acquire(blocking=False), "more was made, for nobody"


def test_closed_topic_refuses_messages(client: MosaicoClient, name: str) -> None:
    with client.sequence_create(name) as writer:
        with writer.topic_create("t", {}, Integer64) as topic:
            topic.submit(1, value, 1)
        with pytest.raises(ClosedError, match="topic `t` is closed"):
            topic.submit(2, value, 2)
    assert len(replay(client, name)) == 1


def test_messages_refused_by_a_failed_lane_are_named(daemon: Daemon, name: str, gate: Gate) -> None:
    with daemon.connect() as client, pytest.raises(ConnectionFailedError, match="those at 2, 3 ns") as caught:
        with client.sequence_create(name, reconnect_timeout_s=0) as writer:
            topic = writer.topic_create("t", {}, Integer64)
            topic.push(number(1, 1))
            topic.submit(2, gate.make, 2)
            topic.submit(3, value, 3)
            daemon.kill()
            with pytest.raises(ConnectionFailedError):
                topic._lane.flush()
            gate.open()
            topic.flush()
    assert isinstance(caught.value.__context__, ConnectionFailedError)


EXIT = """
import sys, time
from mosaicolabs import Integer64, MosaicoClient

def make(data):
    time.sleep(0.2)
    return Integer64(data=data)

client = MosaicoClient.embedded(sys.argv[1])
writer = client.sequence_create("s").__enter__()
topic = writer.topic_create("t", {}, Integer64)
for data in range(5):
    topic.submit(data, make, data)
"""


def test_the_end_of_the_interpreter_waits_for_what_was_submitted(tmp_path: Path) -> None:
    finish(EXIT, tmp_path / "store")
    with MosaicoClient.embedded(tmp_path / "store") as client:
        assert [data for _, _, data in replay(client, "s")] == list(range(5))


FORK = """
import os, sys
from mosaicolabs import Integer64, MosaicoClient
from mosaicolabs.exceptions import FailedPreconditionError

with MosaicoClient.embedded(sys.argv[1]) as client, client.sequence_create("s") as sequence:
    topic = sequence.topic_create("t", {}, Integer64)
    topic.submit(1, lambda: Integer64(data=1))
    topic.flush()
    child = os.fork()
    if child == 0:
        for call in (lambda: topic.submit(2, lambda: Integer64(data=2)), topic.flush):
            try:
                call()
            except FailedPreconditionError as error:
                print(error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_a_forked_child_is_refused(tmp_path: Path) -> None:
    assert finish(FORK, tmp_path / "store").count("forked") == 2
