"""Events: listing and following."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from harness.daemon import Daemon
from harness.record import number, record_numbers

from mosaicolabs import Event, EventKind, Integer64, MosaicoClient
from mosaicolabs.exceptions import InvalidInputError, MosaicoError

pytestmark = pytest.mark.catalog

MOSAICO = Path(sys.executable).with_name("mosaico")


def kinds(events: list[Event]) -> list[str]:
    return [str(event.kind) for event in events]


def test_recording_emits_events(either: MosaicoClient, name: str) -> None:
    before = time.time_ns()
    record_numbers(either, name, {"a/b": [(7, 1), (3, 2)]})
    found = list(either.events(sequence_name=name))
    assert kinds(found) == [
        "sequence_created",
        "topic_created",
        "chunk_stored",
        "topic_committed",
        "sequence_finalized",
    ]
    assert all(before <= event.timestamp_ns <= time.time_ns() for event in found)
    assert {event.sequence_name for event in found} == {name}
    assert [event.topic_name for event in found] == [None, "/a/b", "/a/b", "/a/b", None]
    assert found[1].detail == {"ontology_tag": Integer64.ontology_tag()}
    chunk = found[2].detail
    assert (chunk["rows"], chunk["timestamp_ns_min"], chunk["timestamp_ns_max"]) == (2, 3, 7)
    assert list(either.events(found[1].id, sequence_name=name)) == found[2:]
    assert list(either.events(found[-1].id, sequence_name=name)) == []
    some = either.events(kinds=[EventKind.TOPIC_CREATED, "sequence_finalized"], sequence_name=name)
    assert list(some) == [found[1], found[4]]


def test_invalid_arguments_are_refused(either: MosaicoClient) -> None:
    with pytest.raises(ValueError, match="joke"):
        next(either.events(kinds=["joke"]))
    with pytest.raises(InvalidInputError, match="yesterday"):
        next(either.events("yesterday"))


def test_following(either: MosaicoClient, new_name: Callable[[], str]) -> None:
    first, second = new_name(), new_name()
    record_numbers(either, first, {"t": [(1, 1)]})
    received: list[Event] = []
    finalized = [EventKind.SEQUENCE_FINALIZED]

    def listen() -> None:
        for event in either.events(follow=True, kinds=finalized, timeout=30):
            if event.sequence_name in (first, second):
                received.append(event)
            if event.sequence_name == second:
                return

    listener = threading.Thread(target=listen)
    listener.start()
    time.sleep(0.3)
    record_numbers(either, second, {"t": [(1, 1)]})
    listener.join(10)
    assert not listener.is_alive()
    assert [event.sequence_name for event in received] == [first, second]


def test_following_ends_after_the_timeout(client: MosaicoClient) -> None:
    started = time.monotonic()
    assert list(client.events(follow=True, timeout=0.5)) == []
    assert 0.4 < time.monotonic() - started < 5


def test_idle_listeners_do_not_block_the_daemon(remote: MosaicoClient, daemon: Daemon) -> None:
    """As many as a server takes calls on a connection."""
    stopped = subprocess.Popen(
        [sys.executable, "-c", STALLED, str(daemon.port)], stdout=subprocess.PIPE, text=True
    )
    assert stopped.stdout is not None
    try:
        assert stopped.stdout.readline() == "listening\n"
        stopped.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        record_numbers(remote, "s", {f"t{i}": [(i, i)] for i in range(20)})
        assert time.monotonic() - started < 10
        assert len(list(remote.events(kinds=["topic_committed"]))) == 20
    finally:
        stopped.kill()
        with stopped:
            stopped.wait(10)


STALLED = """
import sys, threading
from mosaicolabs import MosaicoClient
client = MosaicoClient.connect("127.0.0.1", int(sys.argv[1]))
for _ in range(30):
    threading.Thread(target=lambda: list(client.events(follow=True)), daemon=True).start()
print("listening", flush=True)
threading.Event().wait()
"""


def test_events_survive_a_kill(daemon: Daemon, remote: MosaicoClient) -> None:
    record_numbers(remote, "s", {"t": [(1, 1)]})
    before = list(remote.events())
    daemon.kill()
    daemon.restart()
    with daemon.connect() as again:
        assert list(again.events()) == before
        record_numbers(again, "u", {"t": [(1, 1)]})
        assert kinds(list(again.events(before[-1].id))) == kinds(before)


@pytest.mark.sqlite
def test_discarded_events_are_reported_as_a_gap(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with Daemon(store, "--events-kept", "1000") as daemon:
        daemon.stop(signal.SIGTERM)
        with closing(sqlite3.connect(store / "catalog.db")) as catalog, catalog:
            rows = [(f"{i:026}", "error", "run", None, i, "{}") for i in range(1, 4501)]
            catalog.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", rows)
        daemon.restart()
        with daemon.connect() as client:
            for _ in range(200):
                if int(next(client.events()).id) > 3000:  # files go one after the other
                    break
                time.sleep(0.05)
            oldest = int(next(client.events()).id)
            assert oldest == 3001
            gap, *kept = client.events(f"{7:026}", kinds=["error"])
            assert (gap.kind, gap.id, gap.detail) == (EventKind.GAP, f"{3000:026}", {"after": f"{7:026}"})
            assert (gap.sequence_name, gap.topic_name) == (None, None)
            assert [int(event.id) for event in kept] == list(range(3001, 4501))
            assert EventKind.GAP not in kinds(list(client.events(gap.id)))
            assert next(client.events(f"{7:026}", follow=True, sequence_name="other")) == gap
        command = [str(MOSAICO), "events", "--port", str(daemon.port), "--after", f"{7:026}"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        assert found.split("\n", 1)[0].split()[1:3] == ["gap", "-"]


def test_lost_connection_raises(daemon: Daemon, remote: MosaicoClient) -> None:
    listening = remote.events(follow=True)
    threading.Timer(0.5, daemon.kill).start()
    with pytest.raises(MosaicoError):
        next(listening)


def test_command(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with MosaicoClient.embedded(store) as client, client.sequence_create("s") as sequence:
        sequence.topic_create("t", {}, Integer64).push(number(1, 1))
    command = [str(MOSAICO), "events", "--store", str(store)]

    def run(*arguments: str) -> list[str]:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.splitlines()

    found = [json.loads(line) for line in run("--json")]
    assert found[0]["kind"] == "sequence_created"
    assert set(found[0]) == {"id", "kind", "sequence", "topic", "timestamp_ns", "detail"}
    *lines, blank, end = run("--kind", "topic_created", "--kind", "sequence_finalized")
    assert [line.split()[1:3] for line in lines] == [["topic_created", "s/t"], ["sequence_finalized", "s"]]
    assert (blank, end) == ("", f"2 events in {store}")
    assert len(run("--json", "--after", found[0]["id"], "--sequence", "s")) == len(found) - 1


def test_command_follows(daemon: Daemon, remote: MosaicoClient) -> None:
    command = [str(MOSAICO), "events", "--follow", "--json", "--port", str(daemon.port)]
    listener = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert listener.stdout is not None
    try:
        record_numbers(remote, "s", {"t": [(1, 1)]})
        received = ""
        while "sequence_finalized" not in received:
            received = listener.stdout.readline()
            assert received, "the listener ended"
        listener.send_signal(signal.SIGINT)
        assert listener.wait(10) == 130
    finally:
        listener.kill()
        listener.stdout.close()
        listener.wait()
