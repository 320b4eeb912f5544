"""Daemons that are cut off from the database, the bucket, or each other, while they record."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.cluster import ClusterDaemon, schema_of
from harness.minio import Minio
from harness.postgres import Postgres
from harness.proxy import Proxy
from harness.record import number, replay, within

from mosaicolabs import Integer64, OnErrorPolicy

SETTINGS = ("--wal", "replicated", "--writer-timeout", "4")
# The writer expires, its daemon is dead, and its lease is revoked for long enough.
PARTITION_SECONDS = 18


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Proxy]:
    with Proxy(postgres.socket) as proxy:
        yield proxy


def test_a_daemon_without_the_database_keeps_its_writer(
    tmp_path: Path, bucket: str, minio: Minio, postgres: Postgres, database: Proxy
) -> None:
    reachable = Postgres(f"postgres://mosaico@127.0.0.1:{database.port}/postgres")
    with (
        ClusterDaemon(tmp_path / "cut-off", bucket, minio, reachable, *SETTINGS) as cut_off,
        ClusterDaemon(tmp_path / "other", bucket, minio, postgres, *SETTINGS) as other,
        cut_off.connect() as client,
        other.connect() as observer,
    ):
        with client.sequence_create(
            "run", on_error=OnErrorPolicy.Delete, reconnect_timeout_s=120
        ) as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            acknowledged, stop = [0], threading.Event()

            def record() -> None:
                while not stop.wait(0.02):
                    topic.push(number(acknowledged[0], acknowledged[0]))
                    topic.flush()
                    acknowledged[0] += 1

            recording = threading.Thread(target=record)
            recording.start()
            try:
                assert within(20, lambda: acknowledged[0] > 20)
                database.stall()
                # The other one considers it dead at once.
                old = "UPDATE daemon SET seen_at = now() - interval '1 minute' WHERE address LIKE"
                postgres.ask(schema_of(bucket), f"{old} '%:{cut_off.port}'")
                until = time.monotonic() + PARTITION_SECONDS
                while time.monotonic() < until:
                    assert observer.list_sequences() == ["run"]
                    (ended,) = postgres.ask(schema_of(bucket), "SELECT ended_ns IS NULL FROM sequence")
                    assert ended == "t", "its writer is alive"
                    time.sleep(0.5)
                before = acknowledged[0]
                time.sleep(0.5)
                assert acknowledged[0] == before, "no acknowledgement without a lease"
                database.drop()
                assert within(60, lambda: acknowledged[0] > before + 20)
            finally:
                database.drop()
                stop.set()
                recording.join()
        expected = [("/a", at, at) for at in range(acknowledged[0])]
        assert replay(observer, "run") == expected
