"""Damaged chunks: readers get the right rows, or an error that names the chunk."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from harness.counts import Counts
from harness.daemon import Daemon

from mosaicolabs import DamagedRowsWarning, EventKind, Integer64, MosaicoClient, QueryOntologyCatalog
from mosaicolabs.exceptions import DataLossError

ROWS = 3000
PER_CHUNK = 1000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sequence with two topics of three chunks each."""
    folder = tmp_path_factory.mktemp("template") / "store"
    data = np.random.default_rng(1).integers(0, 2**62, ROWS)
    with Daemon(folder, "--chunk-bytes", str(24 * PER_CHUNK)) as daemon:
        with daemon.connect() as client, client.sequence_create("run") as run:
            for name in ("a", "b"):
                topic = run.topic_create(name, {}, Integer64)
                for start in range(0, ROWS, PER_CHUNK):
                    part = slice(start, start + PER_CHUNK)
                    times = np.arange(start, start + PER_CHUNK)
                    topic.push_columns({"data": data[part]}, timestamp_ns=times)
                    topic.flush()
        daemon.stop(15)
    return folder


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "store"))


@pytest.fixture
def daemon(store: Path) -> Iterator[Daemon]:
    with Daemon(store, "--http-port", "0") as daemon:
        yield daemon


def chunks(store: Path, topic: int = 0) -> list[Path]:
    """The chunks of the first or second topic; topics have ids in the order of their creation."""
    folders = sorted({file.parent for file in store.rglob("chunk-*.parquet")})
    return sorted(folders[topic].glob("chunk-*.parquet"))


def flip(file: Path, at: int = 1000) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 4
    file.write_bytes(content)


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)


def test_the_error_names_the_chunk_and_is_reported_once(store: Path, daemon: Daemon) -> None:
    damaged = chunks(store)[1]
    intact = damaged.read_bytes()
    flip(damaged)
    with daemon.connect() as client:
        handler = client.sequence_handler("run").get_topic_handler("/a")
        with pytest.raises(DataLossError, match=r"topic `run/a` is damaged.*rows 1000\.\.2000 ") as raised:
            handler.to_arrow()
        assert raised.value.code == "damaged_chunk"
        assert not raised.value.retryable
        assert damaged.name in str(raised.value)
        with pytest.raises(DataLossError):
            list(handler.get_data_streamer())
        assert len(client.sequence_handler("run").get_topic_handler("/b").to_arrow()) == ROWS
        assert len(handler.to_arrow(2000, None)) == PER_CHUNK

        eventually(lambda: client.list_topic_notify("run", "a"))
        (notice,) = client.list_topic_notify("run", "a")
        assert str(raised.value.message) == notice.message
        events = list(client.events(kinds=[EventKind.DATA_DAMAGED]))
        assert [(event.sequence_name, event.topic_name) for event in events] == [("run", "/a")]
        assert events[0].detail["rows"] == [1000, 2000]
        assert Counts(daemon)("mosaico_damaged_chunks") == 1
        assert daemon.log.read_text().count("is damaged") == 1

        damaged.write_bytes(intact)
        assert len(handler.to_arrow()) == ROWS
        assert len(client.list_topic_notify("run", "a")) == 1


def test_skipping_damaged_chunks(store: Path, daemon: Daemon) -> None:
    flip(chunks(store)[1])
    flip(chunks(store, 1)[0])
    kept = [*range(1000), *range(2000, 3000)]
    with daemon.connect() as client:
        topic = client.topic_handler("run", "a")
        with pytest.warns(DamagedRowsWarning, match="1000 rows of run/a in chunk 00000-0000001"):
            table = topic.to_arrow(skip_damaged=True)
        assert table["timestamp_ns"].to_pylist() == kept

        with topic.get_data_streamer(skip_damaged=True) as streamer:
            with pytest.warns(DamagedRowsWarning):
                assert [message.timestamp_ns for message in streamer] == kept
            (skipped,) = streamer.skipped
        assert (skipped.topic, skipped.rows, skipped.skipped_rows) == ("run/a", (1000, 2000), 1000)
        assert skipped.timestamp_range == (1000, 1999)
        assert streamer.skipped == [skipped], "it stays after the streamer is closed"

        sequence = client.sequence_handler("run")
        with sequence.get_data_streamer(skip_damaged=True) as merged:
            with pytest.warns(DamagedRowsWarning):
                assert sum(1 for _ in merged) == 4000
            assert [rows.topic for rows in merged.skipped] == ["run/a", "run/b"]
        batches = sequence.batches(skip_damaged=True)
        with pytest.warns(DamagedRowsWarning):
            assert sum(batch.num_rows for batch in batches) == 4000
        assert len(batches.skipped) == 2


def test_a_query_lists_what_it_could_not_search(store: Path, daemon: Daemon) -> None:
    with daemon.connect() as client:
        values = client.topic_handler("run", "a").to_arrow()["data"].to_pylist()
        condition = Integer64.Q.data.eq(values[1500])
        assert client.query(QueryOntologyCatalog(condition)).incomplete == []
    daemon.kill()
    flip(chunks(store)[1])
    daemon.restart()
    with daemon.connect() as client:
        found = client.query(QueryOntologyCatalog(condition))
        assert [topic.name for item in found for topic in item.topics] == ["/b"]
        assert [(rows.topic, rows.rows) for rows in found.incomplete] == [("run/a", (1000, 2000))]
        everything = client.query(QueryOntologyCatalog(Integer64.Q.data.geq(0)))
        assert everything.incomplete == [], "statistics prove this without reading"
        with everything.get_data_streamer(skip_damaged=True) as streamer:
            with pytest.warns(DamagedRowsWarning):
                assert sum(1 for _ in streamer) == 5000
            assert len(streamer.skipped) == 1


def test_cat_skips_damaged_chunks(store: Path) -> None:
    flip(chunks(store)[1])
    command = [sys.executable, "-m", "mosaicolabs.cli", "cat", "run", "--topics", "/a", "--json"]
    command += ["--store", str(store)]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert failed.returncode == 1
    assert "is damaged" in failed.stderr
    command.append("--skip-damaged")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2000
    assert json.loads(done.stdout.splitlines()[1000])["timestamp_ns"] == 2000
    assert done.stderr.startswith("skipped 1000 rows of run/a in chunk 00000-0000001")
    assert done.stderr.count("\n") == 1


def test_other_readers_of_parquet_read_chunks(store: Path) -> None:
    with MosaicoClient.embedded(store) as client:
        expected = client.topic_handler("run", "a").to_arrow()["data"].to_pylist()
    files = chunks(store)
    tables = [pq.read_table(file, page_checksum_verification=True) for file in files]
    assert [value for table in tables for value in table["data"].to_pylist()] == expected
    rows = duckdb.sql(f"select data from read_parquet({[str(file) for file in files]})").fetchall()
    assert [value for (value,) in rows] == expected
