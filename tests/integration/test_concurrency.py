"""Concurrency: recordings, deletions, readers beside a writer, and unexpected ends."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.daemon import Daemon
from harness.record import number, record_numbers, replay, sequence_of, topic_of
from harness.script import Script, finish

from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy, SequenceStatus
from mosaicolabs.exceptions import MosaicoError

pytestmark = pytest.mark.catalog


def test_concurrent_recordings(either: MosaicoClient, name: str) -> None:
    names = [f"{name}-{i}" for i in range(30)]
    topics = {f"t{i}": [(row, row) for row in range(100)] for i in range(4)}
    with ThreadPoolExecutor(14) as threads:
        list(threads.map(lambda name: record_numbers(either, name, topics), names))
    for each in names:
        assert sequence_of(either, each).is_locked
        assert [row[1] for row in replay(either, each)] == [row for row in range(100) for _ in range(4)]


def test_concurrent_deletions(either: MosaicoClient, name: str) -> None:
    names = [f"{name}-{i}" for i in range(30)]
    for each in names:
        with (
            pytest.raises(ZeroDivisionError),
            either.sequence_create(each, on_error=OnErrorPolicy.Report) as s,
        ):
            s.topic_create("t", {}, Integer64).push(number(1, 1))
            raise ZeroDivisionError
    assert set(names) <= set(either.list_sequences())
    with ThreadPoolExecutor(14) as threads:
        list(threads.map(either.sequence_delete, names))
    assert not set(names) & set(either.list_sequences())


def test_one_name_created_by_many_threads(either: MosaicoClient, name: str) -> None:
    def try_to_record(value: int) -> bool:
        try:
            record_numbers(either, name, {"t": [(1, value)]})
        except MosaicoError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(try_to_record, range(8)))
    assert won.count(True) == 1
    assert replay(either, name) == [("/t", 1, won.index(True))]


def test_a_reader_beside_the_writer_sees_a_growing_beginning(either: MosaicoClient, name: str) -> None:
    rows = 20_000
    counts: list[int] = []
    wrong: list[list[int]] = []
    written = threading.Event()

    def read_on() -> None:
        last_look = False
        while not last_look:
            last_look = written.is_set()
            if topic_of(either, name, "t").timestamp_ns_min is None:
                continue
            streamer = topic_of(either, name, "t").get_data_streamer()
            values = [message.get_data(Integer64).data for message in streamer]
            counts.append(len(values))
            if values != list(range(len(values))):
                wrong.append(values)

    with either.sequence_create(name, max_batch_size_records=100) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        reader = threading.Thread(target=read_on)
        reader.start()
        for i in range(rows):
            topic.push(number(i, i))
            if i % 2000 == 0:
                topic.flush()
    written.set()
    reader.join(30)
    assert wrong == []
    assert counts == sorted(counts)
    assert counts[-1] == rows
    assert len(set(counts)) > 1, "the reader met the recording only when it was over"


# -- unplanned ends ------------------------------------------------------------------------------


def test_closing_the_client_inside_the_block(client: MosaicoClient, tmp_path: Path) -> None:
    with pytest.raises(MosaicoError) as raised, client.sequence_create("s") as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        topic.push(number(1, 1))
        topic.flush()
        client.close()
        topic.push(number(2, 2))
        topic.flush()
    assert "s/t" in str(raised.value)
    assert sequence.sequence_status == SequenceStatus.Error
    with MosaicoClient.embedded(tmp_path / "store") as again:
        assert not sequence_of(again, "s").is_locked
        assert replay(again, "s") == [("/t", 1, 1)]


NEVER_CLOSED = """
import sys
from mosaicolabs import Integer64, MosaicoClient
client = MosaicoClient.embedded(sys.argv[1])
sequence = client.sequence_create("s").__enter__()
topic = sequence.topic_create("t", {}, Integer64)
for i in range(100):
    topic.push(ontology_obj=Integer64(data=i), message_timestamp_ns=i)
    if i == 50:
        topic.flush()
if sys.argv[2] == "wait":
    topic.flush()
streamer = client.sequence_handler("s").get_data_streamer()
next(streamer)
print("confirmed", flush=True)
if sys.argv[2] == "wait":
    sys.stdin.readline()
"""


def test_exit_of_the_interpreter_with_open_writers(tmp_path: Path) -> None:
    assert finish(NEVER_CLOSED, tmp_path / "store", "leave") == "confirmed"
    assert_hundred_rows(tmp_path / "store")


NEVER_CLOSED_REMOTE = """
import os, signal, sys
from mosaicolabs import Integer64, MosaicoClient
client = MosaicoClient.connect("127.0.0.1", int(sys.argv[1]))
sequence = client.sequence_create("s").__enter__()
topic = sequence.topic_create("t", {}, Integer64)
topic.push(ontology_obj=Integer64(data=1), message_timestamp_ns=1)
topic.flush()
topic.push(ontology_obj=Integer64(data=2), message_timestamp_ns=2)
os.kill(int(sys.argv[2]), getattr(signal, sys.argv[3]))
"""


@pytest.mark.parametrize("fate", ["SIGCONT", "SIGKILL", "SIGSTOP"])
def test_exit_of_the_interpreter_reports_lost_rows(daemon: Daemon, fate: str) -> None:
    command = [sys.executable, "-c", NEVER_CLOSED_REMOTE, str(daemon.port), str(daemon.process.pid), fate]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert time.monotonic() - start < 30
    assert "`s` was not closed" in done.stderr
    assert ("every pushed row is stored" in done.stderr) == (fate == "SIGCONT")
    assert ("rows 1..2 of topic `s/t` may be lost" in done.stderr) == (fate != "SIGCONT")


def test_an_embedded_store_survives_kill_9(tmp_path: Path) -> None:
    with Script(NEVER_CLOSED, tmp_path / "store", "wait") as script:
        assert script.hear() == "confirmed"
        script.kill()
    assert_hundred_rows(tmp_path / "store")


def assert_hundred_rows(store: Path) -> None:
    with MosaicoClient.embedded(store) as client:
        assert replay(client, "s") == [("/t", i, i) for i in range(100)]
        assert not sequence_of(client, "s").is_locked
        client.sequence_delete("s")
        assert client.list_sequences() == []
