"""Monitoring: correct counts, health, and readiness."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.counts import Counts
from harness.daemon import Daemon
from harness.record import number, record_numbers, replay

import mosaicolabs
from mosaicolabs import Integer64, OnErrorPolicy
from mosaicolabs.exceptions import MosaicoError

ROWS = 25


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "store", "--http-port", "0") as daemon:
        yield daemon


def test_counts_of_a_recording_and_its_replay(watched: Daemon) -> None:
    with watched.connect() as client:
        record_numbers(client, "s", {"a": [(i, i) for i in range(ROWS)], "b": [(1, 1)]})
        counts = Counts(watched)
        assert counts("mosaico_ingress_rows_total") == ROWS + 1
        assert counts("mosaico_acknowledged_rows_total") == ROWS + 1
        for unit in ("batches", "bytes"):
            received = counts(f"mosaico_ingress_{unit}_total")
            assert received == counts(f"mosaico_acknowledged_{unit}_total") > 0
        assert counts("mosaico_ingress_batches_total") == 2
        assert counts("mosaico_egress_rows_total") == 0
        assert counts("mosaico_chunks_total") == 2
        files = [*(watched.folder / "seq").rglob("*.parquet")]
        assert counts("mosaico_chunk_bytes_total") == sum(file.stat().st_size for file in files)
        assert counts("mosaico_wal_bytes") == 0
        assert counts("mosaico_wal_sync_seconds_count") >= 2
        assert counts("mosaico_connections") >= 1
        assert counts("mosaico_calls_total", method="DoPut", code="OK") == 2
        for action, calls in {"sequence_create": 1, "topic_create": 2, "sequence_finalize": 1}.items():
            assert counts("mosaico_calls_total", action=action, code="OK") == calls
            assert counts("mosaico_call_seconds_count", action=action) == calls
        renames = counts("mosaico_store_seconds_count", operation="rename", result="ok")
        assert renames + counts("mosaico_store_seconds_count", operation="put", result="ok") >= 10
        assert counts("mosaico_catalog_seconds_count", operation="write", result="ok") >= 10
        assert replay(client, "s")
        counts = Counts(watched)
        assert counts("mosaico_egress_rows_total") == ROWS + 1
        assert counts("mosaico_calls_total", method="DoGet", code="OK") == 2
        with pytest.raises(MosaicoError):
            client.sequence_delete("s")
        refused = {"action": "sequence_delete", "code": "FAILED_PRECONDITION"}
        assert Counts(watched)("mosaico_calls_total", **refused) == 1


def test_gauges_of_open_calls_and_jobs(watched: Daemon) -> None:
    with watched.connect() as client:
        with client.sequence_create("s") as sequence:
            topics = [sequence.topic_create(name, {}, Integer64) for name in ("a", "b", "c")]
            for topic in topics:
                topic.push(number(1, 1))
                topic.flush()
            counts = Counts(watched)
            assert counts("mosaico_calls_active", method="DoPut") == 3
            log = [file.stat().st_size for file in (watched.folder / "wal").rglob("*.wal")]
            assert counts("mosaico_wal_bytes") == sum(log) > 0
            assert counts("mosaico_acknowledged_rows_total") == 3
            assert counts("mosaico_ingest_bytes") == 0
            assert counts("mosaico_ingest_limit_bytes") == 64 << 20
        assert Counts(watched)("mosaico_calls_active", method="DoPut") == 0


def test_labels_stay_few(watched: Daemon) -> None:
    # Other samples may appear meanwhile: an outcome that a job has for the first time.
    with watched.connect() as client:
        for i in range(5):
            record_numbers(client, f"s{i}", {f"t{i}": [(i, i)]})
        few = len(Counts(watched).samples)
        for i in range(5, 25):
            record_numbers(client, f"s{i}", {f"t{i}": [(i, i)]})
        assert len(Counts(watched).samples) < few + 20


def test_the_program_and_its_memory(watched: Daemon) -> None:
    counts = Counts(watched)
    assert counts("mosaico_build_info", version=mosaicolabs.__version__) == 1
    resident = counts("process_resident_memory_bytes")
    assert resident == pytest.approx(watched.memory_bytes(), rel=0.5)


def test_free_disk_space(watched: Daemon) -> None:
    counts = Counts(watched)
    found = os.statvfs(watched.folder)
    for mount in ("wal", "store"):
        assert counts("mosaico_disk_size_bytes", mount=mount) == found.f_blocks * found.f_frsize
        free = counts("mosaico_disk_free_bytes", mount=mount)
        assert free == pytest.approx(found.f_bavail * found.f_frsize, rel=0.2)


def test_a_job_that_fails_is_counted(watched: Daemon) -> None:
    with watched.connect() as client:
        writer = client.sequence_create("s", on_error=OnErrorPolicy.Report, reconnect_timeout_s=0)
        with pytest.raises(MosaicoError), writer as sequence:
            topic = sequence.topic_create("t", {}, Integer64)
            topic.push(number(1, 1))
            topic.flush()
            for folder in (watched.folder / "seq").glob("*/topic/*"):
                folder.rename(folder.with_name("away"))
                folder.touch()
        counts = Counts(watched)
        assert counts("mosaico_job_failures_total", job="chunk") >= 1
        assert counts("mosaico_jobs_active", job="chunk") == 1
        assert counts("mosaico_store_seconds_count", result="error") >= 1
        assert counts("mosaico_wal_bytes") > 0


def test_health_and_readiness(watched: Daemon) -> None:
    assert watched.ask("/healthz") == (200, "ok\n")
    status, text = watched.ask("/readyz")
    assert (status, json.loads(text)) == (200, {"ready": True, "reasons": []})
    assert watched.ask("/nothing")[0] == 404
    leftover = [file for file in (watched.folder / "tmp").iterdir() if file.stat().st_size == len("ready?")]
    assert leftover == []


def reasons(daemon: Daemon) -> Any:
    status, text = daemon.ask("/readyz")
    answer = json.loads(text)
    assert (status == 200) == answer["ready"] == (not answer["reasons"])
    return answer["reasons"]


def test_readiness_names_the_failing_check(watched: Daemon) -> None:
    scratch = watched.folder / "tmp"
    away = scratch.rename(watched.folder / "away")
    (reason,) = reasons(watched)
    assert reason.startswith("disk: ")
    assert watched.ask("/healthz")[0] == 200
    away.rename(scratch)
    assert reasons(watched) == []


def test_http_may_be_off(tmp_path: Path) -> None:
    with Daemon(tmp_path / "store", "--http-port", "off") as daemon:
        assert daemon.monitor is None
