"""`mosaicod rebuild` while daemons use the store: they do it, beside readers and writers."""

import json
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness.cluster import Cluster, ClusterDaemon
from harness.daemon import MOSAICOD, Daemon, run_mosaicod
from harness.minio import Minio
from harness.postgres import Postgres
from harness.postgres import find as find_postgres
from harness.record import number, record_numbers, replay, sequence_of
from pyarrow import flight

from mosaicolabs import Integer64, MosaicoClient

pytestmark = pytest.mark.catalog

SEQUENCES = 120
ROWS = [(at, at * 3) for at in range(40)]


def rebuild(*arguments: object, **environment: str) -> Any:
    done = run_mosaicod("rebuild", "--json", *arguments, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_recording_continues_during_a_rebuild(daemon: Daemon, remote: MosaicoClient) -> None:
    record_numbers(remote, "done", {"a": ROWS, "b/c": ROWS})
    with remote.sequence_create("open") as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        for at, value in ROWS:
            topic.push(number(at, value))
        topic.flush()
        report = rebuild(*daemon._arguments)
        assert (report["sequences"], report["topics"], report["taken_out"]) == (2, 3, 0)
        assert report["problems"] == []
        assert len(replay(remote, "open")) == len(ROWS)
        for at, value in ROWS:
            topic.push(number(at + len(ROWS), value))
    assert sequence_of(remote, "open").is_locked
    assert len(replay(remote, "open")) == 2 * len(ROWS)
    assert len(replay(remote, "done")) == 2 * len(ROWS)


def test_changes_during_a_rebuild_are_not_lost(daemon: Daemon, remote: MosaicoClient) -> None:
    record_numbers(remote, "run", {"a": ROWS})
    done, reports = threading.Event(), []
    with flight.connect(f"grpc://{daemon.host}:{daemon.port}") as calls, ThreadPoolExecutor() as pool:

        def ask(action: str, **body: str) -> Any:
            answers = calls.do_action(flight.Action(action, json.dumps(body).encode()))
            return [json.loads(answer.body.to_pybytes()) for answer in answers][-1].get("response")

        def rebuild_over_and_over() -> None:
            while not done.is_set():
                reports.append(ask("catalog_rebuild")["rebuilt"])

        rebuilding = pool.submit(rebuild_over_and_over)
        try:
            for count in range(1, 201):
                ask("sequence_notify_create", name="run", notify_type="error", msg=str(count))
                assert len(ask("sequence_notify_list", name="run")["notifies"]) == count
        finally:
            done.set()
        rebuilding.result()
    assert len(reports) > 1
    assert all(report["problems"] == [] for report in reports)


def test_kill_in_the_middle(daemon: Daemon) -> None:
    with daemon.connect() as client:
        for index in range(SEQUENCES):
            record_numbers(client, f"run-{index}", {"a": ROWS[:3]})
    for pause in (0.02, 0.1, 0.2):
        command = [MOSAICOD, "rebuild", *daemon._arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
            time.sleep(pause)
            daemon.kill()
            _, output = asking.communicate(timeout=60)
            # Or the daemon was gone already, and the command had the store for itself; or all was done.
            assert asking.returncode == 0 or "the server at" in output, output
        daemon.restart()
        with daemon.connect() as client:
            assert client.list_sequences() == [f"run-{index}" for index in range(SEQUENCES)]
            assert replay(client, "run-7") == [("/a", at, value) for at, value in ROWS[:3]]
    assert rebuild(*daemon._arguments)["topics"] == SEQUENCES
    daemon.stop(15)
    checked = run_mosaicod("check", "--json", *daemon._arguments)
    assert json.loads(checked.stdout)["problems"] == []


def test_any_daemon_of_a_shared_bucket(tmp_path: Path, bucket: str, minio: Minio, postgres: Postgres) -> None:
    elsewhere = ClusterDaemon(tmp_path / "elsewhere", bucket, minio, postgres)
    with Cluster(tmp_path, bucket, minio, postgres, 2) as cluster:
        with cluster.connect(0) as client, cluster[1].connect() as other:
            record_numbers(client, "lost", {"a": ROWS})
            with client.sequence_create("open") as sequence:
                topic = sequence.topic_create("t", {}, Integer64)
                for at, value in ROWS:
                    topic.push(number(at, value))
                topic.flush()
                damage = f"DELETE FROM {cluster[0].schema}.sequence WHERE name = 'lost'"
                psql = [str(find_postgres() / "psql"), postgres.url, "-qc", damage]
                subprocess.run(psql, check=True)
                assert other.list_sequences() == ["open"]
                # From a machine where no daemon runs.
                report = rebuild(*elsewhere.settings, **elsewhere._environment)
                assert (report["sequences"], report["topics"], report["problems"]) == (2, 2, [])
                assert replay(other, "lost") == [("/a", at, value) for at, value in ROWS]
                assert replay(other, "open") == [("/t", at, value) for at, value in ROWS]
                # The rest goes over the other daemon, which knows the parts of the topic.
                cluster[0].kill()
                for at, value in ROWS:
                    topic.push(number(at + len(ROWS), value))
                topic.flush()
                rebuild(*elsewhere.settings, **elsewhere._environment)
                cluster[0].restart()
            assert sequence_of(other, "open").is_locked
            assert len(replay(other, "open")) == 2 * len(ROWS)


def test_restored_database_backup_is_reconciled(
    tmp_path: Path, bucket: str, minio: Minio, postgres: Postgres
) -> None:
    with Cluster(tmp_path, bucket, minio, postgres, 2) as cluster:
        schema = cluster[0].schema
        with cluster.connect(0) as client:
            record_numbers(client, "before", {"a": ROWS})
            programs, file = find_postgres(), tmp_path / "backup.sql"
            dump = [str(programs / "pg_dump"), postgres.url, f"--schema={schema}", "--file", str(file)]
            subprocess.run(dump, check=True)
            record_numbers(client, "after", {"a": ROWS, "b": ROWS})
            with client.sequence_create("open") as sequence:
                topic = sequence.topic_create("t", {}, Integer64)
                for at, value in ROWS:
                    topic.push(number(at, value))
                topic.flush()
                names = client.list_sequences()
                events = [event.id for event in client.events()]
                for daemon in cluster:
                    daemon.stop(15)
                psql = [str(programs / "psql"), postgres.url, "-qv", "ON_ERROR_STOP=1"]
                subprocess.run([*psql, "-c", f"DROP SCHEMA {schema} CASCADE"], check=True)
                subprocess.run([*psql, "-f", str(file)], check=True, stdout=subprocess.DEVNULL)
                for daemon in cluster:
                    daemon.restart()
        with cluster.connect(1) as client:
            assert client.list_sequences() == names
            assert [event.id for event in client.events()][: len(events)] == events
            assert replay(client, "after")[:2] == [("/a", 0, 0), ("/b", 0, 0)]
            assert len(replay(client, "open")) == len(ROWS)
