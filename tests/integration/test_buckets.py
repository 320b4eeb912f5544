"""The daemon on a bucket of a real MinIO: the same answers as on a folder, also after an outage."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.counts import Counts
from harness.daemon import BucketDaemon, Daemon, run_mosaicod
from harness.minio import KEY, SECRET, Minio
from harness.proxy import Proxy
from harness.record import number, record_numbers, replay, sequence_of, topic_of

from mosaicolabs import (
    CompressedImage,
    ImageFormat,
    Integer64,
    Message,
    OnErrorPolicy,
    QueryOntologyCatalog,
    QuerySequence,
)
from mosaicolabs.exceptions import ConnectionFailedError

KEYS = (KEY, SECRET)
BESIDE_SEQUENCES = ("owner.json", "layers.json", "events/")
IMPATIENT = ("--store-timeout", "1.5", "--store-retries", "2")


@pytest.fixture
def daemon(minio: Minio, bucket: str, tmp_path: Path) -> Iterator[BucketDaemon]:
    with BucketDaemon(tmp_path / "state", bucket, minio.port, KEYS) as daemon:
        yield daemon


def data_of(minio: Minio, bucket: str) -> set[str]:
    """What the bucket has of sequences."""
    return {name for name in minio.objects(bucket) if not name.startswith(BESIDE_SEQUENCES)}


def frames(count: int) -> list[Message]:
    """Incompressible megabytes."""
    noise = random.Random(3)
    return [
        Message(
            timestamp_ns=index,
            data=CompressedImage(data=noise.randbytes(1_000_000), format=ImageFormat.JPEG),
        )
        for index in range(count)
    ]


def test_record_find_replay_delete(daemon: BucketDaemon, minio: Minio, bucket: str) -> None:
    rows = [(index * 10, index) for index in range(3_000)]
    with daemon.connect() as client:
        record_numbers(client, "kept", {"a": rows, "nested/b": rows[::7]})
        record_numbers(client, "other", {"a": [(1, 1)]})
        assert len(replay(client, "kept")) == 3_000 + len(rows[::7])
        assert replay(client, "kept", start_timestamp_ns=20_000, end_timestamp_ns=20_020) == [
            ("/a", 20_000, 2_000),
            ("/a", 20_010, 2_001),
        ]
        found = client.query(
            QuerySequence().with_name("kept"), QueryOntologyCatalog(Integer64.Q.data.eq(2_996))
        )
        assert [[topic.name for topic in item.topics] for item in found] == [["/a", "/nested/b"]]
        assert any(name.endswith("commit.json") for name in data_of(minio, bucket))

        with (
            pytest.raises(RuntimeError, match="broken off"),
            client.sequence_create("gone", on_error=OnErrorPolicy.Report) as sequence,
        ):
            sequence.topic_create("a", {}, Integer64).push(number(1, 1))
            raise RuntimeError("broken off")
        client.sequence_delete("gone")
        assert client.list_sequences() == ["kept", "other"]
    assert sum(name.endswith("sequence.json") for name in data_of(minio, bucket)) == 2


def test_large_chunks_use_multipart_uploads_and_reads_are_cached(
    minio: Minio, bucket: str, tmp_path: Path
) -> None:
    sent = frames(14)
    with (
        Proxy(minio.port) as proxy,
        BucketDaemon(tmp_path / "state", bucket, proxy.port, KEYS, *IMPATIENT, "--http-port", "0") as daemon,
        daemon.connect() as client,
    ):
        with client.sequence_create("s") as sequence:
            camera = sequence.topic_create("camera", {}, CompressedImage)
            for message in sent:
                camera.push(message)
        assert any(name.endswith(".parquet") for name in data_of(minio, bucket))

        def read() -> list[Message]:
            return list(topic_of(client, "s", "camera").get_data_streamer())

        assert read() == sent
        cached = sum(file.stat().st_size for file in (tmp_path / "state" / "cache").iterdir())
        assert cached >= 14_000_000
        counts = Counts(daemon)
        fetched = counts("mosaico_cache_misses_total")
        assert fetched * (512 << 10) >= 14_000_000
        proxy.stall()
        assert read() == sent, "from the cache"
        counts = Counts(daemon)
        assert counts("mosaico_cache_misses_total") == fetched
        assert counts("mosaico_cache_hits_total") >= fetched


def test_acknowledged_rows_survive_and_the_bucket_alone_suffices(
    daemon: BucketDaemon, minio: Minio, bucket: str, tmp_path: Path
) -> None:
    with daemon.connect() as client:
        record_numbers(client, "done", {"a": [(index, index) for index in range(500)]})
        with client.sequence_create("open", reconnect_timeout_s=20) as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            topic.push(number(1, 1))
            topic.flush()
            daemon.kill()
            daemon.restart()
            topic.push(number(2, 2))
        assert replay(client, "open") == [("/a", 1, 1), ("/a", 2, 2)]
        before = {name: replay(client, name) for name in ("done", "open")}

    # Another state folder: refused, as the first one may have more, unless it is known to be gone.
    second = BucketDaemon(tmp_path / "second", bucket, minio.port, KEYS)
    refused = run_mosaicod("run", "--port", 0, *second._arguments, **second._environment)
    assert refused.returncode == 1
    assert "--force-ownership" in refused.stderr
    assert str(daemon.folder) in refused.stderr
    daemon.kill()
    shutil.rmtree(daemon.folder)
    with (
        BucketDaemon(tmp_path / "second", bucket, minio.port, KEYS, "--force-ownership") as other,
        other.connect() as client,
    ):
        assert {name: replay(client, name) for name in client.list_sequences()} == before


def test_rows_in_the_replicated_wal_survive_loss_of_the_state_folder(
    minio: Minio, bucket: str, tmp_path: Path
) -> None:
    first = BucketDaemon(tmp_path / "first", bucket, minio.port, KEYS, "--wal", "replicated")
    with first, first.connect() as client, pytest.raises(ConnectionFailedError):
        with client.sequence_create("open", reconnect_timeout_s=0) as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            for index in range(50):
                topic.push(number(index, index))
            topic.flush()
            assert any(name.endswith(".wal") for name in data_of(minio, bucket))
            first.kill()
            shutil.rmtree(first.folder)
    checked = run_mosaicod(
        "check", "--json", "--force-ownership", "--state-dir", tmp_path / "check", **first._environment
    )
    assert json.loads(checked.stdout)["stored_log_rows"] == 50, checked
    second = BucketDaemon(tmp_path / "second", bucket, minio.port, KEYS, "--force-ownership")
    with second, second.connect() as client:
        assert replay(client, "open") == [("/a", index, index) for index in range(50)]


def test_stale_state_folder_cannot_reopen_a_bucket(
    daemon: BucketDaemon, minio: Minio, bucket: str, tmp_path: Path
) -> None:
    with daemon.connect() as client, pytest.raises(ConnectionFailedError):
        with client.sequence_create("open", reconnect_timeout_s=0) as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            topic.push(number(1, 1))
            topic.flush()
            daemon.kill()
    with BucketDaemon(tmp_path / "second", bucket, minio.port, KEYS, "--force-ownership") as other:
        assert other.folder.exists()
    refused = run_mosaicod("run", "--port", 0, *daemon._arguments, "--force-ownership", **daemon._environment)
    assert (refused.returncode, "rows from before" in refused.stderr) == (1, True), refused


def test_recording_survives_an_unreachable_bucket(minio: Minio, bucket: str, tmp_path: Path) -> None:
    with (
        Proxy(minio.port) as proxy,
        BucketDaemon(
            tmp_path / "state", bucket, proxy.port, KEYS, *IMPATIENT, "--cache-bytes", "0"
        ) as daemon,
        daemon.connect() as client,
    ):
        record_numbers(client, "done", {"a": [(index, index) for index in range(100)]})
        with client.sequence_create("open", reconnect_timeout_s=30) as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            topic.push(number(1, 1))
            topic.flush()
            proxy.stall()
            topic.push(number(2, 2))
            topic.flush()  # It lies in the log of the daemon.
            assert len(client.list_sequences()) == 2
            with pytest.raises(ConnectionFailedError) as raised:
                replay(client, "done")
            assert raised.value.code == "store_unavailable"
            with pytest.raises(ConnectionFailedError) as raised:
                client.sequence_create("new", reconnect_timeout_s=0).__enter__()
            assert raised.value.code == "store_unavailable"
            proxy.resume()
        assert replay(client, "open") == [("/a", 1, 1), ("/a", 2, 2)]
        assert len(replay(client, "done")) == 100
        record_numbers(client, "new", {"a": [(1, 1)]})
        assert sequence_of(client, "new").topics == ["/a"]
    # Requests that were given up arrived when the connection came back; a rebuild does not take them in.
    again = BucketDaemon(tmp_path / "second", bucket, minio.port, KEYS, "--force-ownership")
    with again, again.connect() as client:
        assert sorted(client.list_sequences()) == ["done", "new", "open"]
        assert [len(replay(client, name)) for name in ("done", "new", "open")] == [100, 1, 2]


def test_two_stores_in_one_bucket(minio: Minio, bucket: str, tmp_path: Path) -> None:
    for prefix in ("one", "two"):
        daemon = BucketDaemon(tmp_path / prefix, f"{bucket}/fleet/{prefix}", minio.port, KEYS)
        with daemon, daemon.connect() as client:
            assert client.list_sequences() == []
            record_numbers(client, "run", {"a": [(1, 1)]})
    assert {name.split("/")[1] for name in minio.objects(bucket) if "sequence.json" in name} == {"one", "two"}


def test_contradicting_settings_are_refused(
    daemon: BucketDaemon, minio: Minio, bucket: str, tmp_path: Path
) -> None:
    url, settings = f"s3://{bucket}", daemon._environment
    wrong = {**settings, "MOSAICO_STORE_SECRET_KEY": "wrong"}
    half = {**settings, "MOSAICO_STORE_SECRET_KEY": ""}
    other = ("--state-dir", tmp_path / "other", *IMPATIENT)
    cases: list[tuple[tuple[object, ...], dict[str, str], str]] = [
        (("--store", url), settings, "state folder"),
        (("--store", url, *other), wrong, "SignatureDoesNotMatch"),
        (("--store", url, *other), half, "belong together"),
        (("--store", f"s3://none-{bucket}", *other), settings, "NoSuchBucket"),
        (("--store", f"s3://none-{bucket}", *other), settings, "does the bucket exist"),
        (("--local-store", tmp_path / "local", "--state-dir", tmp_path / "other"), {}, "for buckets"),
        (("--local-store", tmp_path / "local"), {"MOSAICO_WAL": "replicated"}, "for buckets"),
    ]
    for arguments, environment, text in cases:
        ended = run_mosaicod("run", "--port", 0, *arguments, **environment)
        assert (ended.returncode, text in ended.stderr) == (1, True), (arguments, ended)
    # What was refused leaves no mark: the same folder takes the right settings.
    with BucketDaemon(tmp_path / "other", f"{bucket}/right", minio.port, KEYS) as corrected:
        assert corrected.process.poll() is None
    daemon.kill()
    for arguments, text in (
        (("--store", f"{url}/elsewhere", "--state-dir", daemon.folder), "belongs to"),
        (("--local-store", daemon.folder), "state folder of"),
    ):
        ended = run_mosaicod("run", "--port", 0, *arguments, **settings)
        assert (ended.returncode, text in ended.stderr) == (1, True), (arguments, ended)


def test_folder_to_bucket_and_back(minio: Minio, bucket: str, tmp_path: Path) -> None:
    folder, back = tmp_path / "folder", tmp_path / "back"
    rows = {
        "a": [(index * 10, index) for index in range(3_000)],
        "nested/b": [(index, -index) for index in range(40)],
    }
    noise = frames(3)
    condition = QueryOntologyCatalog(Integer64.Q.data.geq(2_990), include_timestamp_range=True)

    def answers(daemon: Daemon) -> list[object]:
        """Every row, and what is told about them."""
        with daemon.connect() as client:
            names = sorted(client.list_sequences())
            found = client.query(QuerySequence().with_user_metadata("site", eq="north"), condition)
            pictures = list(topic_of(client, "pictures", "camera").get_data_streamer())
            handlers = [sequence_of(client, name) for name in names]
            return [
                names,
                [(h.user_metadata, h.topics, h.total_size_bytes, h.created_datetime) for h in handlers],
                [replay(client, name) for name in ("broken", "numbers")],
                [[(t.name, t.timestamp_range) for t in item.topics] for item in found],
                pictures,
                [notice.message for notice in client.list_sequence_notify("broken")],
            ]

    with Daemon(folder, "--chunk-bytes", "20000") as daemon:
        with daemon.connect() as client:
            with client.sequence_create("numbers", {"site": "north"}, max_batch_size_records=100) as sequence:
                for topic, values in rows.items():
                    writer = sequence.topic_create(topic, {}, Integer64)
                    for at, value in values:
                        writer.push(number(at, value))
            with client.sequence_create("pictures") as sequence:
                camera = sequence.topic_create("camera", {}, CompressedImage)
                for message in noise:
                    camera.push(message)
            with (
                pytest.raises(RuntimeError, match="cable"),
                client.sequence_create("broken", on_error=OnErrorPolicy.Report) as sequence,
            ):
                sequence.topic_create("t", {}, Integer64).push(number(1, 1))
                raise RuntimeError("cable pulled")
        expected = answers(daemon)
        daemon.stop(15)
    assert expected[3]
    assert expected[4] == noise

    on_bucket = BucketDaemon(tmp_path / "state", bucket, minio.port, KEYS)
    to_bucket = ("--store", f"s3://{bucket}", "--state-dir", tmp_path / "state")
    for present in ([], ["broken", "numbers", "pictures"]):
        done = run_mosaicod("import", folder, *to_bucket, "--json", **on_bucket._environment)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert (sorted(report["present"]), report["problems"]) == (present, [])
        assert report["rows"] == (0 if present else 3_044)
    with on_bucket:
        assert answers(on_bucket) == expected
        # Beside its daemon, as from a folder.
        source = ("import", f"s3://{bucket}", "--local-store", back, "--json")
        done = run_mosaicod(*source, **settings_of(on_bucket))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"] == 3_044
        on_bucket.stop(15)
    for store in (("--local-store", back), to_bucket):
        done = run_mosaicod(
            "check", "--deep", *store, **(on_bucket._environment if store is to_bucket else {})
        )
        assert done.returncode == 0, done.stdout
    with Daemon(back) as daemon:
        assert answers(daemon) == expected
    data = {
        path.relative_to(folder): path.read_bytes() for path in (folder / "seq").rglob("*") if path.is_file()
    }
    again = {
        path.relative_to(back): path.read_bytes() for path in (back / "seq").rglob("*") if path.is_file()
    }
    assert again == data


def settings_of(daemon: BucketDaemon) -> dict[str, str]:
    """How its bucket is reached by those who have another store."""
    return {key: value for key, value in daemon._environment.items() if key != "MOSAICO_STORE_BUCKET"}
