"""Maintenance commands on a bucket that several daemons share."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest
from harness.cluster import Cluster, ClusterDaemon
from harness.minio import KEY, SECRET, Minio
from harness.postgres import Postgres
from harness.record import number, record_numbers, replay, sequence_of, within

from mosaicolabs import Integer64
from mosaicolabs.exceptions import ConnectionFailedError


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def cluster(tmp_path: Path, bucket: str, minio: Minio, postgres: Postgres) -> Iterator[Cluster]:
    with Cluster(tmp_path, bucket, minio, postgres, 2, "--chunk-bytes", "4000") as cluster:
        yield cluster


@pytest.fixture
def operator(tmp_path: Path, bucket: str, minio: Minio, postgres: Postgres) -> ClusterDaemon:
    """The settings of one that never runs: an operator has a state folder of their own."""
    return ClusterDaemon(tmp_path / "operator", bucket, minio, postgres)


def report(command: str, daemon: ClusterDaemon, *arguments: str, code: int = 0) -> Any:
    done = daemon.command(command, "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def stop_all(cluster: Cluster) -> None:
    for daemon in cluster:
        daemon.stop(signal.SIGTERM)


def test_commands_that_change_the_store_are_refused_beside_daemons(
    cluster: Cluster, operator: ClusterDaemon
) -> None:
    with cluster.connect() as client:
        record_numbers(client, "done", {"a": [(at, at) for at in range(100)]})
        with client.sequence_create("open") as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            topic.push(number(1, 1))
            topic.flush()
            for command in (("gc",), ("compact",), ("check", "--repair")):
                refused = operator.command(*command)
                assert refused.returncode == 1, refused.stdout
                for daemon in cluster:
                    assert f"{daemon.host}:{daemon.port}" in refused.stderr, refused.stderr
            assert report("stats", operator)["finalized"] == 1
            found = report("check", operator, "--deep")
            assert (found["sequences"], found["in_progress"], found["problems"]) == (1, 1, [])
            topic.push(number(2, 2))
        assert replay(client, "open") == [("/a", 1, 1), ("/a", 2, 2)]


def test_commands_work_while_no_daemon_runs(cluster: Cluster, operator: ClusterDaemon) -> None:
    rows = [(at, at) for at in range(400)]
    with cluster.connect() as client:
        with client.sequence_create("done", max_batch_size_records=50) as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            for at, value in rows:
                topic.push(number(at, value))
                if at % 50 == 49:
                    topic.flush()
    stop_all(cluster)
    assert report("check", operator, "--deep")["problems"] == []
    rebuilt = report("rebuild", operator)
    assert (rebuilt["sequences"], rebuilt["topics"], rebuilt["problems"]) == (1, 1, [])
    compacted = report("compact", operator, "--chunk-bytes", "0")
    assert compacted["chunks_before"] > compacted["chunks_after"] == 1
    assert report("gc", operator, "--orphan-grace", "0")["files"] > 0
    found = report("check", operator, "--deep")
    assert (found["chunks"], found["orphans"], found["problems"]) == (1, 0, [])
    for daemon in cluster:
        daemon.start()
        with daemon.connect() as client:
            assert replay(client, "done") == [("/a", at, value) for at, value in rows]


def test_a_daemon_is_told_that_a_command_has_the_store(cluster: Cluster, postgres: Postgres) -> None:
    stop_all(cluster)
    with postgres.hold(f"mosaicod/{cluster[0].schema}/store") as command:
        try:
            assert "a maintenance command has s3://" in cluster[0].refused()
        finally:
            command.kill()
    cluster[0].start()


def test_records_of_parts_are_checked_and_repaired(
    cluster: Cluster, operator: ClusterDaemon, minio: Minio, bucket: str
) -> None:
    client = cluster.connect()
    with pytest.raises(ConnectionFailedError) as raised:
        with client.sequence_create("run", reconnect_timeout_s=1) as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            for at in range(10):
                topic.push(number(at, at))
            topic.flush()
            cluster[0].kill()
            for at in range(10, 20):
                topic.push(number(at, at))
    assert raised.value.code == "rows_elsewhere"
    cluster[1].stop(signal.SIGTERM)
    assert report("check", operator, "--deep")["problems"] == []
    files = pyarrow.fs.S3FileSystem(
        access_key=KEY, secret_key=SECRET, endpoint_override=f"127.0.0.1:{minio.port}", scheme="http"
    )
    records = sorted(
        info.path
        for info in files.get_file_info(pyarrow.fs.FileSelector(bucket, recursive=True))
        if info.base_name in {"epoch-00000.json", "epoch-00001.json", "uploaded.json"}
    )
    assert len(records) == 3
    for at, path in enumerate(records):
        with files.open_input_stream(path) as file:
            content = file.read()
        if at == 1:
            files.delete_file(path)
        else:
            with files.open_output_stream(path) as file:
                file.write(content.replace(b"1", b"2"))
    found = report("check", operator, code=1)
    assert sorted(f"{bucket}/{problem['path']}" for problem in found["problems"]) == records
    found = report("check", operator, "--repair")
    assert [problem["repaired"] for problem in found["problems"]] == [True, True, True]
    assert report("check", operator)["problems"] == []
    # The repaired ones are as good as the first ones: the rest comes, and everything is there.
    assert report("rebuild", operator)["problems"] == []
    for daemon in cluster:
        daemon.start()
    with client:
        assert within(20, lambda: sequence_of(client, "run").rows_elsewhere == [])
        sequence.close()
        assert sequence_of(client, "run").is_locked
        assert replay(client, "run") == [("/a", at, at) for at in range(20)]
