"""A recording resumes after its connection broke: every row once, reported only by the log."""

import logging
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from harness.daemon import Daemon
from harness.proxy import Proxy
from harness.record import number, replay, sequence_of, topic_of

from mosaicolabs import CompressedImage, ImageFormat, Integer64, Message, MosaicoClient, OnErrorPolicy
from mosaicolabs.exceptions import ConnectionFailedError

pytestmark = pytest.mark.catalog

MB = 1_000_000
NOISE = random.Random(3).randbytes(MB)


def mosaico(*arguments: str) -> str:
    """What the command prints."""
    command = [sys.executable, "-m", "mosaicolabs.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def picture(index: int) -> Message:
    """One incompressible megabyte."""
    data = index.to_bytes(4, "big") + NOISE[4:]
    return Message(timestamp_ns=index, data=CompressedImage(data=data, format=ImageFormat.JPEG))


@pytest.mark.parametrize("how", ["kill", "term"])
def test_a_recording_survives_restarts(
    daemon: Daemon, remote: MosaicoClient, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = 6000
    with caplog.at_level(logging.WARNING, "mosaicolabs"), remote.sequence_create("s") as sequence:
        topics = [sequence.topic_create(name, {}, Integer64) for name in ("a", "b/c")]
        for i in range(rows):
            for topic in topics:
                topic.push(number(i, i))
            if i % 2000 == 1000:
                daemon.kill() if how == "kill" else daemon.stop(15)
            if i % 2000 == 1500:
                daemon.restart()
    assert sequence_of(remote, "s").is_locked
    for name in ("a", "b/c"):
        topic = topic_of(remote, "s", name)
        assert [message.data.data for message in topic.get_data_streamer()] == list(range(rows))
        assert topic.rows_number == rows
        assert topic.resumed >= 1
    assert "s/a" in caplog.text
    assert "none is lost" in caplog.text
    daemon.kill()
    daemon.restart()
    assert topic_of(remote, "s", "a").resumed >= 1, "the store remembers"
    shown = mosaico("info", "s", "--host", daemon.host, "--port", str(daemon.port))
    assert re.search(r"connection +/a: resumed [1-9]x after it broke", shown), shown


def test_a_recording_survives_lost_connections(daemon: Daemon, remote: MosaicoClient) -> None:
    rows, draw = 60, random.Random(11)
    with Proxy(daemon.port) as proxy, MosaicoClient.connect("127.0.0.1", proxy.port) as shaky:
        done = threading.Event()

        def disturb() -> None:
            while not done.wait(draw.uniform(0.02, 0.2)):
                proxy.drop()

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            with shaky.sequence_create("s", max_batch_size_records=3) as sequence:
                topics = {name: sequence.topic_create(name, {}, CompressedImage) for name in "abc"}
                for i in range(rows):
                    for topic in topics.values():
                        topic.push(picture(i))
                    if i % 20 == 19:
                        topics["a"].flush()
        finally:
            done.set()
            thread.join()
    for name in "abc":
        found = list(topic_of(remote, "s", name).get_data_streamer())
        assert [message.timestamp_ns for message in found] == list(range(rows))
        assert all(message == picture(i) for i, message in enumerate(found))


def test_flush_waits_for_the_daemon_to_restart(daemon: Daemon, remote: MosaicoClient) -> None:
    with remote.sequence_create("s") as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        topic.push(number(1, 1))
        topic.flush()
        daemon.kill()
        topic.push(number(2, 2))
        threading.Timer(1, daemon.restart).start()
        start = time.monotonic()
        topic.flush()
        assert time.monotonic() - start > 0.9
        with MosaicoClient.connect(daemon.host, daemon.port) as other:
            assert replay(other, "s") == [("/t", 1, 1), ("/t", 2, 2)]


def test_control_calls_wait_too(daemon: Daemon, remote: MosaicoClient) -> None:
    with remote.sequence_create("s") as sequence:
        daemon.kill()
        threading.Timer(0.5, daemon.restart).start()
        sequence.topic_create("t", {}, Integer64).push(number(1, 1))
        sequence.topic_create("u", {}, Integer64)
    assert sequence_of(remote, "s").topics == ["/t", "/u"]
    assert replay(remote, "s") == [("/t", 1, 1)]


def test_the_end_of_the_block_waits_too(daemon: Daemon, remote: MosaicoClient) -> None:
    with remote.sequence_create("s") as sequence:
        sequence.topic_create("t", {}, Integer64).push(number(1, 1))
        daemon.kill()
        threading.Timer(0.5, daemon.restart).start()
    assert sequence_of(remote, "s").is_locked
    assert replay(remote, "s") == [("/t", 1, 1)]


def test_reconnect_timeout_ends_the_recording(daemon: Daemon, remote: MosaicoClient) -> None:
    writer = remote.sequence_create("s", on_error=OnErrorPolicy.Report, reconnect_timeout_s=1)
    start = 0.0
    with pytest.raises(ConnectionFailedError, match=r"s/t.*rows 1\.\.2.*within 1 s"), writer as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        topic.push(number(1, 1))
        topic.flush()
        daemon.kill()
        topic.push(number(2, 2))
        start = time.monotonic()
        topic.flush()
    assert 0.9 < time.monotonic() - start < 10
    daemon.restart()
    assert replay(remote, "s") == [("/t", 1, 1)]


def test_messages_beyond_the_memory_limit_are_spilled(
    daemon: Daemon, remote: MosaicoClient, tmp_path: Path
) -> None:
    rows = 60
    spill = tmp_path / "spill"
    spill.mkdir()
    limits = {"max_buffered_bytes": 8 * MB, "spill_folder": spill, "max_spill_bytes": 100 * MB}
    with remote.sequence_create("s", **limits) as sequence:
        topic = sequence.topic_create("t", {}, CompressedImage)
        topic.push(picture(0))
        topic.flush()
        daemon.kill()
        start = time.monotonic()
        for i in range(1, rows):
            topic.push(picture(i))
        assert time.monotonic() - start < 20, "push waited though there was room on disk"
        daemon.restart()
    found = list(topic_of(remote, "s", "t").get_data_streamer())
    assert found == [picture(i) for i in range(rows)]
    assert list(spill.iterdir()) == []


def test_a_missing_spill_folder_is_refused(remote: MosaicoClient, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        remote.sequence_create("s", spill_folder=tmp_path / "nowhere")
