"""Recordings whose writer died are ended by their policy; idle writers are not."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.daemon import Daemon
from harness.record import number, record_numbers, replay, sequence_of, topic_of
from harness.script import Script

from mosaicolabs import EventKind, Integer64, MosaicoClient, OnErrorPolicy
from mosaicolabs.exceptions import MosaicoError

pytestmark = pytest.mark.catalog

TIMEOUT_S = 1.5

RECORD_AND_WAIT = """
import sys
from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy
client = MosaicoClient.connect("127.0.0.1", int(sys.argv[1]))
with client.sequence_create("s", on_error=OnErrorPolicy({policy!r})) as sequence:
    topic = sequence.topic_create("t", {{}}, Integer64)
    sequence.topic_create("silent", {{}}, Integer64)
    for i in range(1000):
        topic.push(ontology_obj=Integer64(data=i), message_timestamp_ns=1000 - i)
    topic.flush()
    print("flushed")
    sys.stdin.readline()
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "store", "--writer-timeout", str(TIMEOUT_S)) as daemon:
        yield daemon


def wait_for(client: MosaicoClient, kind: EventKind) -> None:
    next(client.events(follow=True, kinds=[kind], timeout=20))


def test_delete(daemon: Daemon, remote: MosaicoClient) -> None:
    with Script(RECORD_AND_WAIT.format(policy="delete"), daemon.port) as script:
        assert script.hear() == "flushed"
        time.sleep(3 * TIMEOUT_S)
        assert remote.list_sequences() == ["s"], "a client that is silent is not cut"
        script.kill()
    wait_for(remote, EventKind.SEQUENCE_DELETED)
    assert remote.list_sequences() == []
    record_numbers(remote, "s", {"t": [(1, 1)]})
    assert replay(remote, "s") == [("/t", 1, 1)]


def test_report(daemon: Daemon, remote: MosaicoClient) -> None:
    with Script(RECORD_AND_WAIT.format(policy="report"), daemon.port) as script:
        assert script.hear() == "flushed"
        script.kill()
    wait_for(remote, EventKind.SEQUENCE_ENDED)
    assert replay(remote, "s") == [("/t", 1000 - i, i) for i in reversed(range(1000))]
    assert not sequence_of(remote, "s").is_locked
    assert topic_of(remote, "s", "t").is_locked
    (note,) = remote.list_sequence_notify("s")
    assert "no heartbeat" in note.message
    remote.sequence_delete("s")
    assert remote.list_sequences() == []


@pytest.mark.parametrize("killed", [True, False])
def test_the_policy_outlives_the_daemon(daemon: Daemon, killed: bool) -> None:
    with Script(RECORD_AND_WAIT.format(policy="delete"), daemon.port) as script:
        assert script.hear() == "flushed"
        if killed:
            script.kill()
        daemon.kill()
        script.kill()
    daemon.restart()
    with daemon.connect() as client:
        wait_for(client, EventKind.SEQUENCE_DELETED)
        assert client.list_sequences() == []


def test_an_open_block_without_topics_is_kept(remote: MosaicoClient) -> None:
    with remote.sequence_create("s") as sequence:
        time.sleep(3 * TIMEOUT_S)
        sequence.topic_create("t", {}, Integer64).push(number(1, 1))
    assert replay(remote, "s") == [("/t", 1, 1)]


def test_writer_that_reported_its_error_is_not_reported_again(remote: MosaicoClient) -> None:
    with (
        pytest.raises(KeyError),
        remote.sequence_create("s", on_error=OnErrorPolicy.Report) as sequence,
    ):
        sequence.topic_create("t", {}, Integer64).push(number(1, 1))
        raise KeyError("of the application")
    time.sleep(2 * TIMEOUT_S)
    (note,) = remote.list_sequence_notify("s")
    assert "of the application" in note.message
    assert replay(remote, "s") == [("/t", 1, 1)]
    remote.sequence_delete("s")


def test_expired_writer_gets_an_error(daemon: Daemon, remote: MosaicoClient) -> None:
    """Its signs of life did not arrive for too long: the daemon has the last word."""
    with pytest.raises(MosaicoError, match="s"), remote.sequence_create("s") as sequence:
        assert sequence._keep_alive is not None
        sequence._keep_alive.stop()
        wait_for(remote, EventKind.SEQUENCE_DELETED)
        sequence.topic_create("t", {}, Integer64)
    assert remote.list_sequences() == []
