"""Failures while recording: no silent loss, acknowledged rows stay, other recordings are not affected."""

import contextlib
import itertools
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from harness.daemon import Daemon
from harness.proxy import Proxy
from harness.record import number, record_numbers, replay, sequence_of, topic_of
from harness.script import Script, finish

from mosaicolabs import (
    CompressedImage,
    ImageFormat,
    Integer64,
    Message,
    MosaicoClient,
    OnErrorPolicy,
    SequenceStatus,
    TopicWriter,
)
from mosaicolabs.exceptions import ConnectionFailedError, MosaicoError, ResourceExhaustedError

MB = 1_000_000
NOISE = random.Random(7).randbytes(MB)


def frame(index: int) -> Message:
    """One incompressible megabyte."""
    return Message(
        timestamp_ns=index,
        data=CompressedImage(data=index.to_bytes(4, "big") + NOISE[4:], format=ImageFormat.JPEG),
    )


def push_until_it_fails(topic: TopicWriter, first: int) -> None:
    """Pushes for at most 20 s; the writer is expected to raise."""
    deadline = time.monotonic() + 20
    for i in itertools.count(first):
        if time.monotonic() > deadline:
            pytest.fail("the writer did not notice")
        topic.push(number(i, i))
        time.sleep(0.0005)


# -- the daemon dies -----------------------------------------------------------------------------


def test_daemon_killed_while_pushing(daemon: Daemon, remote: MosaicoClient) -> None:
    with (
        pytest.raises(ConnectionFailedError) as raised,
        remote.sequence_create("s", on_error=OnErrorPolicy.Report, reconnect_timeout_s=1) as sequence,
    ):
        topic = sequence.topic_create("sensors/t", {}, Integer64)
        for i in range(1000):
            topic.push(number(i, i))
            if i % 100 == 99:
                topic.flush()
        for i in range(1000, 1010):
            topic.push(number(i, i))
        daemon.kill()
        push_until_it_fails(topic, 1010)
    assert "s/sensors/t" in str(raised.value), "the error names the topic"
    assert "rows 1000.." in str(raised.value), "the error names the rows"
    assert sequence.sequence_status == SequenceStatus.Error

    daemon.restart()
    with daemon.connect() as again:
        handler = sequence_of(again, "s")
        assert not handler.is_locked
        values = [value for _, _, value in replay(again, "s")]
        assert values == list(range(len(values)))
        assert len(values) >= 1000, "every confirmed row is readable"
        again.sequence_delete("s")
        assert again.list_sequences() == []


def test_daemon_killed_before_the_end_of_the_block(daemon: Daemon, remote: MosaicoClient) -> None:
    with (
        pytest.raises(ConnectionFailedError, match="s/t"),
        remote.sequence_create("s", reconnect_timeout_s=0) as sequence,
    ):
        sequence.topic_create("t", {}, Integer64).push(number(1, 1))
        daemon.kill()
    assert sequence.sequence_status == SequenceStatus.Error
    daemon.restart()
    assert remote.list_sequences() in ([], ["s"])
    assert all(not sequence_of(remote, name).is_locked for name in remote.list_sequences())


def test_flush_on_a_dead_daemon_raises(daemon: Daemon, remote: MosaicoClient) -> None:
    with pytest.raises(ConnectionFailedError), remote.sequence_create("s", reconnect_timeout_s=0) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        topic.push(number(1, 1))
        topic.flush()
        daemon.kill()
        topic.push(number(2, 2))
        with pytest.raises(ConnectionFailedError, match=r"s/t.*rows 1\.\.2"):
            topic.flush()
        raise ConnectionFailedError("leave the block")


@pytest.mark.parametrize("rows", [10, 30_000])
def test_confirmed_rows_survive_repeated_kills(daemon: Daemon, rows: int) -> None:
    for attempt in range(3):
        with daemon.connect() as client:
            writer = client.sequence_create(
                f"s{attempt}", on_error=OnErrorPolicy.Report, reconnect_timeout_s=0
            )
            with pytest.raises(ConnectionFailedError), writer as sequence:
                topic = sequence.topic_create("t", {}, Integer64)
                for i in range(rows):
                    topic.push(number(-i, i))
                topic.flush()
                daemon.kill()
                topic.push(number(1, 1))
                topic.flush()
        daemon.restart()
    with daemon.connect() as client:
        for attempt in range(3):
            kept = replay(client, f"s{attempt}")
            assert kept == [("/t", -i, i) for i in reversed(range(rows))]
            assert topic_of(client, f"s{attempt}", "t").rows_number == rows


def test_finalized_sequences_survive_a_kill(daemon: Daemon, remote: MosaicoClient) -> None:
    record_numbers(remote, "s", {"t": [(i, i) for i in range(5000)], "empty": []})
    daemon.kill()
    daemon.restart()
    with daemon.connect() as again:
        handler = sequence_of(again, "s")
        assert (handler.is_locked, handler.topics) == (True, ["/t", "/empty"])
        assert len(replay(again, "s")) == 5000


# -- the client dies -----------------------------------------------------------------------------

RECORD_AND_WAIT = """
import sys
from mosaicolabs import Integer64, MosaicoClient
client = MosaicoClient.connect("127.0.0.1", int(sys.argv[1]))
with client.sequence_create("s") as sequence:
    topic = sequence.topic_create("t", {}, Integer64)
    for i in range(1000):
        topic.push(ontology_obj=Integer64(data=i), message_timestamp_ns=i)
    topic.flush()
    print("flushed")
    sys.stdin.readline()
"""


def test_client_killed_while_recording(daemon: Daemon, remote: MosaicoClient) -> None:
    with Script(RECORD_AND_WAIT, daemon.port) as script:
        assert script.hear() == "flushed"
        script.kill()
    assert replay(remote, "s") == [("/t", i, i) for i in range(1000)]
    assert not sequence_of(remote, "s").is_locked
    remote.sequence_delete("s")
    record_numbers(remote, "s", {"t": [(1, 1)]})
    assert replay(remote, "s") == [("/t", 1, 1)]


# -- the connection ------------------------------------------------------------------------------


def test_connection_cut_while_pushing(daemon: Daemon, remote: MosaicoClient) -> None:
    with Proxy(daemon.port) as proxy, MosaicoClient.connect("127.0.0.1", proxy.port) as cut_off:
        with (
            pytest.raises(ConnectionFailedError) as raised,
            cut_off.sequence_create("s", on_error=OnErrorPolicy.Report, reconnect_timeout_s=1) as sequence,
        ):
            topic = sequence.topic_create("t", {}, Integer64)
            for i in range(500):
                topic.push(number(i, i))
            topic.flush()
            topic.push(number(500, 500))
            proxy.cut()
            push_until_it_fails(topic, 501)
        assert "s/t" in str(raised.value)
        assert "rows 500.." in str(raised.value)
    values = [value for _, _, value in replay(remote, "s")]
    assert values == list(range(len(values)))
    assert len(values) >= 500
    assert not sequence_of(remote, "s").is_locked


def test_connection_cut_while_reading(daemon: Daemon, remote: MosaicoClient) -> None:
    with remote.sequence_create("s") as sequence:
        topic = sequence.topic_create("t", {}, CompressedImage)
        for i in range(120):
            topic.push(frame(i))
    with Proxy(daemon.port) as proxy, MosaicoClient.connect("127.0.0.1", proxy.port) as cut_off:
        streamer = sequence_of(cut_off, "s").get_data_streamer()
        assert next(streamer)[1] == frame(0)
        proxy.cut()
        with pytest.raises(ConnectionFailedError):
            assert len(list(streamer)) < 119, "the end of the stream was taken for the end of the data"
    assert sum(1 for _ in sequence_of(remote, "s").get_data_streamer()) == 120


# -- a slow daemon -------------------------------------------------------------------------------


def test_push_waits_for_a_stalled_daemon_and_other_lanes_continue(daemon: Daemon) -> None:
    total = 100
    pushed = itertools.count()
    with Proxy(daemon.port) as proxy, MosaicoClient.connect("127.0.0.1", proxy.port) as slow:
        with slow.sequence_create("s") as sequence:
            images = sequence.topic_create("images", {}, CompressedImage)
            numbers = sequence.topic_create("numbers", {}, Integer64)
            proxy.stall()

            def push_images() -> None:
                for i in range(total):
                    images.push(frame(i))
                    next(pushed)

            thread = threading.Thread(target=push_images)
            thread.start()
            waiting_at = settled(pushed)
            assert waiting_at < 60, "push keeps accepting though nothing can be sent"
            start = time.monotonic()
            for i in range(20_000):
                numbers.push(number(i, i))
            assert time.monotonic() - start < 5, "a full lane held up another"
            assert thread.is_alive()
            proxy.resume()
            thread.join(30)
            assert not thread.is_alive()
        assert topic_of(slow, "s", "images").rows_number == total
        assert topic_of(slow, "s", "numbers").rows_number == 20_000


def settled(counter: "itertools.count[int]") -> int:
    """The value at which the counter stays for a second."""

    def value() -> int:
        return int(repr(counter)[len("count(") : -1])

    last = -1
    while last != (last := value()):
        time.sleep(1)
    return last


def test_a_stalled_client_does_not_stop_another(daemon: Daemon, remote: MosaicoClient) -> None:
    with Proxy(daemon.port) as proxy, MosaicoClient.connect("127.0.0.1", proxy.port) as slow:
        with slow.sequence_create("slow") as sequence:
            topic = sequence.topic_create("t", {}, CompressedImage)
            for i in range(5):
                topic.push(frame(i))
            topic.flush()
            proxy.stall()
            topic.push(frame(5))
            start = time.monotonic()
            record_numbers(remote, "quick", {"t": [(i, i) for i in range(1000)]})
            assert len(replay(remote, "quick")) == 1000
            assert topic_of(remote, "slow", "t").rows_number == 5
            assert time.monotonic() - start < 10
            proxy.resume()
    assert topic_of(remote, "slow", "t").rows_number == 6


# -- disk full -----------------------------------------------------------------------------------


class SmallDisk:
    """A store of 40 MB: a file system of its own where that is allowed, else a limit on file sizes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.mounted = self._mount("size=40m")

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(self.folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self, daemon: Daemon) -> None:
        if not self.mounted:
            self._limit(daemon, 8 * MB)

    def grow(self, daemon: Daemon) -> None:
        if self.mounted:
            assert self._mount("remount,size=400m")
        else:
            self._limit(daemon, psutil.RLIM_INFINITY)

    def _limit(self, daemon: Daemon, size: int) -> None:
        psutil.Process(daemon.process.pid).rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with contextlib.closing(SmallDisk(tmp_path / "disk")) as disk:
        yield disk


def test_disk_full(small_disk: SmallDisk) -> None:
    confirmed = 0
    with Daemon(small_disk.folder / "store") as daemon, daemon.connect() as client:
        daemon.log = small_disk.folder.parent / "after.log"
        record_numbers(client, "before", {"t": [(i, i) for i in range(100)]})
        small_disk.fill(daemon)
        with (
            pytest.raises(MosaicoError) as raised,
            client.sequence_create("s", on_error=OnErrorPolicy.Report) as sequence,
        ):
            topic = sequence.topic_create("t", {}, CompressedImage)
            for i in range(200):
                topic.push(frame(i))
                topic.flush()
                confirmed = i + 1
        assert "s/t" in str(raised.value)
        if small_disk.mounted:
            assert isinstance(raised.value, ResourceExhaustedError), repr(raised.value)
            assert "space" in str(raised.value), "the error says what to do"
        assert 3 <= confirmed < 200
        assert len(replay(client, "before")) == 100, "the daemon goes on serving"
        assert_frames(client, confirmed)
        small_disk.grow(daemon)
        record_numbers(client, "after", {"t": [(1, 1)]})
        assert replay(client, "after") == [("/t", 1, 1)]
        daemon.kill()
        daemon.restart()
        assert_frames(client, confirmed)
        client.sequence_delete("s")
        assert client.list_sequences() == ["before", "after"]


def assert_frames(client: MosaicoClient, least: int) -> None:
    """The topic holds the first frames in full, at least so many."""
    count = 0
    for count, message in enumerate(topic_of(client, "s", "t").get_data_streamer(), start=1):
        assert message == frame(count - 1)
    assert count >= least


# -- Ctrl-C --------------------------------------------------------------------------------------

BLOCKED = """
import os, sys, time
from mosaicolabs import CompressedImage, ImageFormat, MosaicoClient
what, port = sys.argv[1], int(sys.argv[2])
client = MosaicoClient.connect("127.0.0.1", port)
def record(name):
    sequence = client.sequence_create(name).__enter__()
    return sequence, sequence.topic_create("t", {}, CompressedImage)
def push(topic, count):
    for i in range(count):
        picture = CompressedImage(data=os.urandom(1_000_000), format=ImageFormat.JPEG)
        topic.push(ontology_obj=picture, message_timestamp_ns=i)
if what == "read":
    sequence, topic = record("whole")
    push(topic, 200)
    sequence.close()
    streamer = client.sequence_handler("whole").get_data_streamer()
else:
    sequence, topic = record("s")
print("ready", flush=True)
sys.stdin.readline()
try:
    if what == "push":
        push(topic, 500)
    elif what == "flush":
        push(topic, 1)
        topic.flush()
    elif what == "read":
        for _ in streamer: pass
    else:
        client.list_sequences()
    print("finished", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("what", ["push", "flush", "read", "list"])
def test_ctrl_c_answers_at_once(daemon: Daemon, what: str) -> None:
    with Script(BLOCKED, what, daemon.port) as script:
        assert script.hear() == "ready"
        daemon.pause()
        script.say("go")
        assert script.silent_for(2), "the script was to block"
        assert script.interrupt() < 1


# -- fork ----------------------------------------------------------------------------------------

FORK = """
import os, sys
from mosaicolabs import Integer64, Message, MosaicoClient
from mosaicolabs.exceptions import FailedPreconditionError

def row(i):
    return Message(timestamp_ns=i, data=Integer64(data=i))

def refused(call):
    try:
        call()
    except FailedPreconditionError as error:
        assert "fork" in str(error) and "spawn" in str(error), error
        return True
    return False

store = sys.argv[1]
with MosaicoClient.embedded(store) as client, client.sequence_create("s") as sequence:
    topic = sequence.topic_create("t", {}, Integer64)
    topic.push(row(1))
    topic.flush()
    handler = client.sequence_handler("s")
    child = os.fork()
    if child == 0:
        calls = {
            "list": client.list_sequences,
            "push": lambda: topic.push(row(2)),
            "flush": topic.flush,
            "read": handler.get_data_streamer,
            "embedded": lambda: MosaicoClient.embedded(store + "-other"),
            "connect": lambda: MosaicoClient.connect("127.0.0.1", 1),
        }
        accepted = [name for name, call in calls.items() if not refused(call)]
        if accepted:
            print("not refused:", accepted, flush=True)
        os._exit(len(accepted))
    assert os.waitpid(child, 0)[1] == 0
    child = os.fork()
    if child == 0:
        sys.exit(5)  # leaves the blocks; must neither hang nor touch the parent's recording
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code != 0, code
    topic.push(row(3))
with MosaicoClient.embedded(store) as client:
    print([m.timestamp_ns for _, m in client.sequence_handler("s").get_data_streamer()])
"""


def test_a_forked_child_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    assert finish(FORK, tmp_path / "store").splitlines()[-1] == "[1, 3]"


SPAWN = """
import multiprocessing, sys
from mosaicolabs import MosaicoClient

def names(port):
    with MosaicoClient.connect("127.0.0.1", port) as client:
        return client.list_sequences()

if __name__ == "__main__":
    port = int(sys.argv[1])
    names(port)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(names, (port,)))
"""


def test_a_spawned_child_has_a_client_of_its_own(
    daemon: Daemon, remote: MosaicoClient, tmp_path: Path
) -> None:
    record_numbers(remote, "s", {"t": [(1, 1)]})
    script = tmp_path / "spawn.py"
    script.write_text(SPAWN)
    run = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    assert "['s']" in finish(run, script, daemon.port)
