"""Three daemons over one bucket of a real MinIO and one real Postgres; one of them fails."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.cluster import Cluster, ClusterDaemon
from harness.daemon import BucketDaemon, run_mosaicod
from harness.minio import KEY, SECRET, Minio
from harness.postgres import Postgres
from harness.proxy import Proxy
from harness.record import number, record_numbers, replay, sequence_of, topic_of, within

from mosaicolabs import EventKind, Integer64, MosaicoClient, OnErrorPolicy, RemoteRows
from mosaicolabs.exceptions import AlreadyExistsError, ConnectionFailedError, MosaicoError

RECORDINGS = 16
ROWS = 300


@pytest.fixture
def cluster(tmp_path: Path, bucket: str, minio: Minio, postgres: Postgres) -> Iterator[Cluster]:
    with Cluster(tmp_path, bucket, minio, postgres, 3) as cluster:
        yield cluster


@pytest.fixture
def store_cluster(tmp_path: Path, bucket: str, minio: Minio, postgres: Postgres) -> Iterator[Cluster]:
    with Cluster(tmp_path, bucket, minio, postgres, 3, "--wal", "replicated") as cluster:
        yield cluster


def mosaico(cluster: Cluster, *arguments: str) -> str:
    """What a command prints that knows all daemons."""
    command = [sys.executable, "-m", "mosaicolabs.cli", *arguments, "--host", ",".join(cluster.addresses())]
    done = subprocess.run(
        command, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_each_daemon_serves_what_another_one_stored(cluster: Cluster) -> None:
    for index, daemon in enumerate(cluster):
        with daemon.connect() as client:
            record_numbers(client, f"run-{index}", {"a": [(at, index) for at in range(100)]})
    for daemon in cluster:
        with daemon.connect() as client:
            assert client.list_sequences() == ["run-0", "run-1", "run-2"]
            for index in range(3):
                assert replay(client, f"run-{index}") == [("/a", at, index) for at in range(100)]
    with cluster[1].connect() as other:
        assert sequence_of(other, "run-0").is_locked
        kinds = [event.kind for event in other.events(sequence_name="run-2")]
        assert kinds[0] == EventKind.SEQUENCE_CREATED
        assert kinds[-1] == EventKind.SEQUENCE_FINALIZED


def test_a_name_is_created_once(cluster: Cluster) -> None:
    barrier = threading.Barrier(6)

    def create(number: int) -> bool:
        with cluster[number % 3].connect() as client:
            barrier.wait()
            try:
                record_numbers(client, "same", {"a": [(number, number)]})
            except AlreadyExistsError:
                return False
            return True

    with ThreadPoolExecutor(6) as pool:
        created = list(pool.map(create, range(6)))
    assert created.count(True) == 1
    winner = created.index(True)
    with cluster.connect() as client:
        assert replay(client, "same") == [("/a", winner, winner)]


def test_deletion_ends_the_put_on_another_daemon(cluster: Cluster) -> None:
    with cluster[0].connect() as writer, cluster[1].connect() as other:
        with pytest.raises(MosaicoError) as raised:
            with writer.sequence_create("gone", reconnect_timeout_s=5) as sequence:
                topic = sequence.topic_create("a", {}, Integer64)
                topic.push(number(1, 1))
                topic.flush()
                other.sequence_delete("gone")
                for at in range(2, 200):
                    topic.push(number(at, at))
                    topic.flush()
                    time.sleep(0.05)
        assert raised.value.code in {"deleted", "sequence_not_found", "topic_not_found"}
        assert writer.list_sequences() == []
        assert within(10, lambda: not any((cluster[0].folder / "wal").iterdir()))
        record_numbers(other, "gone", {"a": [(1, 2)]})
        assert replay(writer, "gone") == [("/a", 1, 2)]


@pytest.mark.parametrize("wal", ["disk", "replicated"])
def test_one_of_three_daemons_is_killed_during_16_recordings(
    wal: str, tmp_path: Path, bucket: str, minio: Minio, postgres: Postgres
) -> None:
    with Cluster(tmp_path, bucket, minio, postgres, 3, "--wal", wal) as cluster:
        survive_a_kill(cluster, random.Random().randrange(3), comes_back=wal == "disk")


def survive_a_kill(cluster: Cluster, victim: int, *, comes_back: bool) -> None:
    running = threading.Barrier(RECORDINGS + 1)
    names = [f"recording-{index:02}" for index in range(RECORDINGS)]

    def record(index: int) -> None:
        with cluster.connect(index % 3) as client:
            with client.sequence_create(names[index], reconnect_timeout_s=90) as sequence:
                topics = [sequence.topic_create(name, {}, Integer64) for name in ("a", "b")]
                for at in range(ROWS):
                    for topic in topics:
                        topic.push(number(at, index * ROWS + at))
                    if at == ROWS // 3:
                        topics[0].flush()
                        running.wait()
                    if at % 10 == 0:
                        time.sleep(0.02)

    with ThreadPoolExecutor(RECORDINGS) as pool:
        recordings = [pool.submit(record, index) for index in range(RECORDINGS)]
        running.wait()
        cluster[victim].kill()
        if comes_back:
            # Its log has rows that were acknowledged: those recordings wait for it.
            time.sleep(3)
            cluster[victim].restart()
        else:
            shutil.rmtree(cluster[victim].folder)
        for recording in recordings:
            recording.result()
    expected = {
        name: [(topic, at, index * ROWS + at) for at in range(ROWS) for topic in ("/a", "/b")]
        for index, name in enumerate(names)
    }
    for daemon in cluster:
        if daemon.process.poll() is not None:
            continue
        with daemon.connect() as client:
            assert sorted(client.list_sequences()) == names
            for name in names:
                assert sequence_of(client, name).is_locked
                assert sorted(replay(client, name)) == sorted(expected[name]), (name, victim)


def test_finalize_waits_for_rows_in_the_wal_of_a_dead_daemon(cluster: Cluster) -> None:
    with cluster.connect() as client:
        with pytest.raises(ConnectionFailedError) as raised:
            with client.sequence_create("run", reconnect_timeout_s=4) as sequence:
                topic = sequence.topic_create("a", {}, Integer64)
                for at in range(10):
                    topic.push(number(at, at))
                topic.flush()
                cluster[0].kill()
                for at in range(10, 20):
                    topic.push(number(at, at))
        assert raised.value.code == "rows_on_other_daemon"
        assert "10 rows" in str(raised.value)
        assert f":{cluster[0].port}" in str(raised.value)
        assert replay(client, "run") == [("/a", at, at) for at in range(10, 20)]
        away = RemoteRows(f"{cluster[0].host}:{cluster[0].port}", 10, running=False)
        assert within(20, lambda: sequence_of(client, "run").remote_rows == [away])
        handler = topic_of(client, "run", "a")
        assert (handler.rows_number, handler.remote_rows) == (10, [away])
        assert f"unlocked, 10 messages on {away.daemon}, which is not running" in repr(handler)
        assert f"10 messages on {away.daemon}" in sequence_of(client, "run")._repr_html_()
        assert f"/a: 10 messages on {away.daemon}" in " ".join(mosaico(cluster, "info", "run").split())
        (topic,) = json.loads(mosaico(cluster, "info", "run", "--json"))["topics"]
        assert topic["remote_rows"] == [{"daemon": away.daemon, "rows": 10, "running": False}]
        assert "run" in mosaico(cluster, "ls")
        cluster[0].restart()
        assert within(20, lambda: len(replay(client, "run")) == 20)
        assert within(20, lambda: sequence_of(client, "run").remote_rows == [])
        sequence.close()
        assert sequence_of(client, "run").is_locked
        assert replay(client, "run") == [("/a", at, at) for at in range(20)]


def test_rows_in_the_replicated_wal_are_readable_without_their_daemon(
    store_cluster: Cluster, minio: Minio, bucket: str
) -> None:
    cluster = store_cluster
    with cluster.connect() as client:
        with client.sequence_create("run", reconnect_timeout_s=60) as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            for at in range(10):
                topic.push(number(at, at))
            topic.flush()
            assert any(name.endswith(".wal") for name in minio.objects(bucket))
            cluster[0].kill()
            for at in range(10, 20):
                topic.push(number(at, at))
            topic.flush()
            # They are there as soon as the writer has gone on.
            assert replay(client, "run") == [("/a", at, at) for at in range(20)]
            cluster[1].kill()
            shutil.rmtree(cluster[1].folder)
            for at in range(20, 30):
                topic.push(number(at, at))
        assert sequence_of(client, "run").is_locked
        expected = [("/a", at, at) for at in range(30)]
        assert replay(client, "run") == expected
        assert within(10, lambda: not any(name.endswith(".wal") for name in minio.objects(bucket)))
        # What it still has was sent again, and is dropped.
        cluster[0].restart()
        assert within(20, lambda: not any((cluster[0].folder / "wal").rglob("*.wal")))
    with cluster[0].connect() as client:
        assert replay(client, "run") == expected
        assert sequence_of(client, "run").topics == ["/a"]


def test_sequence_keeps_its_rows_after_daemon_and_writer_died(
    tmp_path: Path, bucket: str, minio: Minio, postgres: Postgres
) -> None:
    timeout = ("--writer-timeout", "3")
    with Cluster(tmp_path, bucket, minio, postgres, 2, "--wal", "replicated", *timeout) as cluster:
        with cluster[0].connect() as writer, pytest.raises(ConnectionFailedError):
            with writer.sequence_create(
                "left", on_error=OnErrorPolicy.Report, reconnect_timeout_s=0
            ) as sequence:
                topic = sequence.topic_create("a", {}, Integer64)
                for at in range(10):
                    topic.push(number(at, at))
                topic.flush()
                cluster[0].kill()
                shutil.rmtree(cluster[0].folder)
        with cluster[1].connect() as client:
            assert within(60, lambda: topic_of(client, "left", "a").is_locked)
            assert replay(client, "left") == [("/a", at, at) for at in range(10)]


@pytest.mark.parametrize("flushed", [0, 7])
def test_stored_but_unacknowledged_rows_are_not_duplicated(cluster: Cluster, flushed: int) -> None:
    with Proxy(cluster[0].port) as proxy:
        first = f"127.0.0.1:{proxy.port}"
        with MosaicoClient.connect([first, *cluster.addresses(1)[:2]], 1) as client:
            with client.sequence_create("run", reconnect_timeout_s=60) as sequence:
                topic = sequence.topic_create("a", {}, Integer64)
                for at in range(flushed):
                    topic.push(number(at, at))
                    topic.flush()
                topic.push(number(flushed, flushed))
                time.sleep(0.5)
                proxy.stall_answers()
                for at in range(flushed + 1, 100):
                    topic.push(number(at, at))
                # They arrive, are stored, and the writer does not hear of it.
                time.sleep(1)
                proxy.cut()
                for at in range(100, 150):
                    topic.push(number(at, at))
            assert replay(client, "run") == [("/a", at, at) for at in range(150)]


def test_incompatible_daemons_are_refused(
    cluster: Cluster, minio: Minio, bucket: str, postgres: Postgres, tmp_path: Path
) -> None:
    alone = BucketDaemon(tmp_path / "alone", bucket, minio.port, (KEY, SECRET))
    lost = ClusterDaemon(tmp_path / "other", bucket, minio, postgres)
    at = lost._arguments.index("--database-schema") + 1
    schema, lost._arguments[at] = lost._arguments[at], "another"
    copied = ClusterDaemon(cluster[0].folder, bucket, minio, postgres)
    folder = ["--local-store", str(tmp_path / "local"), "--shared", "--database", postgres.url]
    cases = [
        (alone._arguments, alone._environment, "start with --shared"),
        (lost._arguments, lost._environment, f"the database schema `{schema}`"),
        (copied._arguments, copied._environment, "in use by another server"),
        (folder, {}, "a bucket and a Postgres"),
    ]
    for arguments, environment, text in cases:
        ended = run_mosaicod("run", "--port", 0, *arguments, **environment)
        assert ended.returncode == 1, ended
        assert text in ended.stderr, ended


def test_singleton_work_fails_over(tmp_path: Path, bucket: str, minio: Minio, postgres: Postgres) -> None:
    with Cluster(tmp_path, bucket, minio, postgres, 2, "--writer-timeout", "2") as cluster:
        assert within(20, lambda: cluster.leads() is not None)
        leader = cluster.leads()
        assert leader is not None
        with cluster[leader].connect() as writer, pytest.raises(ConnectionFailedError):
            with writer.sequence_create("left", reconnect_timeout_s=0) as sequence:
                sequence.topic_create("a", {}, Integer64)
                # It does the work for all, and has this writer's connection.
                cluster[leader].kill()
        with cluster[1 - leader].connect() as client:
            assert within(40, lambda: client.list_sequences() == [])
        assert cluster.leads() == 1 - leader


def test_a_recording_is_read_and_followed_over_another_daemon(cluster: Cluster) -> None:
    with cluster[0].connect() as writer, cluster[1].connect() as other:
        with writer.sequence_create("run") as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            for at in range(50):
                topic.push(number(at, at))
            topic.flush()
            assert replay(other, "run") == [("/a", at, at) for at in range(50)]
            window = replay(other, "run", start_timestamp_ns=10, end_timestamp_ns=20)
            assert window == [("/a", at, at) for at in range(10, 20)]
            live = iter(sequence_of(other, "run").get_data_streamer(follow=True))
            assert [next(live)[1].timestamp_ns for _ in range(50)] == list(range(50))
            topic.push(number(50, 50))
            topic.flush()
            assert next(live)[1].timestamp_ns == 50
        assert list(live) == []


def test_followers_get_rows_of_a_restarted_daemon_late(cluster: Cluster) -> None:
    with cluster.connect() as client, cluster[2].connect() as other:
        with client.sequence_create("run", reconnect_timeout_s=60) as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            for at in range(10):
                topic.push(number(at, at))
            topic.flush()
            cluster[0].kill()
            for at in range(10, 20):
                topic.push(number(at, at))
            topic.flush()
            live = iter(sequence_of(other, "run").get_data_streamer(follow=True))
            assert [next(live)[1].timestamp_ns for _ in range(10)] == list(range(10, 20))
            cluster[0].restart()
            assert [next(live)[1].timestamp_ns for _ in range(10)] == list(range(10))
            topic.push(number(20, 20))
            topic.flush()
            assert next(live)[1].timestamp_ns == 20
        assert list(live) == []


def go_on_elsewhere(cluster: Cluster, times: list[int]) -> list[int]:
    """The times of a topic, as who follows it over the first daemon gets them.

    Half of them are stored there; of most of these the writer does not hear, so that it sends them again
    to the second one.
    """
    half = len(times) // 2
    with Proxy(cluster[0].port) as proxy, cluster[0].connect() as other:
        first = f"127.0.0.1:{proxy.port}"
        with MosaicoClient.connect([first, *cluster.addresses(1)[:2]], 1) as client:
            with client.sequence_create("run", reconnect_timeout_s=60) as sequence:
                topic = sequence.topic_create("a", {}, Integer64)
                topic.push(number(times[0], 0))
                topic.flush()
                live = iter(sequence_of(other, "run").get_data_streamer(follow=True))
                proxy.stall_answers()
                for value in range(1, half):
                    topic.push(number(times[value], value))
                found = [next(live)[1].timestamp_ns for _ in range(half)]
                cluster[0].send(signal.SIGSTOP)
                proxy.cut()
                for value in range(half, len(times)):
                    topic.push(number(times[value], value))
                topic.flush()
                cluster[0].send(signal.SIGCONT)
            found += [message.timestamp_ns for _, message in live]
            assert [at for _, at, _ in replay(client, "run")] == sorted(times)
    return found


def test_followers_get_resent_rows_once(cluster: Cluster) -> None:
    assert go_on_elsewhere(cluster, list(range(200))) == list(range(200))


def test_resent_rows_out_of_order_end_a_follower(cluster: Cluster) -> None:
    with pytest.raises(ConnectionFailedError, match="out of order"):
        go_on_elsewhere(cluster, list(range(200, 0, -1)))
