"""`mosaicod import` of a store that Mosaico 0.2.4 wrote, with the answers that its own SDK gave."""

import hashlib
import json
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import MOSAICOD, Daemon, run_mosaicod
from harness.record import number, record_numbers, replay, sequence_of, topic_of

from mosaicolabs import EventKind, Integer64, Message, OnErrorPolicy


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    return shared / "data" / "reference_store"


@pytest.fixture(scope="module")
def expected(reference: Path) -> dict[str, Any]:
    sequences: dict[str, Any] = json.loads((reference / "expected.json").read_text())["sequences"]
    return sequences


def import_(source: Path, store: Path, *arguments: str, code: int = 0) -> Any:
    done = run_mosaicod("import", source, "--local-store", store, "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def digest(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def whole(store: Path) -> None:
    done = run_mosaicod("check", "--deep", "--local-store", store)
    assert done.returncode == 0, done.stdout


def test_import_preserves_everything(reference: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    before = digest(reference / "store")
    store = tmp_path / "store"
    done = import_(reference / "store", store, "--assume-finalized")
    assert done["problems"] == []
    assert sorted(done["sequences"]) == sorted(expected)
    assert done["rows"] == sum(
        topic["rows"] for sequence in expected.values() for topic in sequence["topics"].values()
    )
    assert digest(reference / "store") == before
    whole(store)
    with Daemon(store) as daemon, daemon.connect() as client:
        assert sorted(client.list_sequences()) == sorted(expected)
        for name, sequence in expected.items():
            handler = sequence_of(client, name)
            assert handler.user_metadata == sequence["user_metadata"]
            assert handler.is_locked
            assert [handler.timestamp_ns_min, handler.timestamp_ns_max] == sequence["timestamp_ns"]
            assert sorted(handler.topics) == sorted(sequence["topics"])
            for path, topic in sequence["topics"].items():
                found = topic_of(client, name, path)
                assert found.user_metadata == topic["user_metadata"]
                assert found.ontology_tag == topic["ontology_tag"]
                assert [found.timestamp_ns_min, found.timestamp_ns_max] == topic["timestamp_ns"]
                # A topic without rows has nothing to stream, as in 0.2.
                messages: list[Message] = list(found.get_data_streamer()) if topic["rows"] else []
                assert len(messages) == topic["rows"]
                times = [message.timestamp_ns for message in messages]
                assert times == sorted(times)
                if messages:
                    agrees(messages[0].data, topic["first"], f"{name}{path}")


def agrees(found: Any, expected: Any, where: str) -> None:
    """An object has the values that the SDK of 0.2 printed, which did not print pixels."""
    if not isinstance(expected, dict):
        assert getattr(found, "value", found) == expected, where
        return
    for key, value in expected.items():
        agrees(getattr(found, key), value, f"{where}.{key}")


def test_without_a_state_sequences_are_only_reported(
    reference: Path, expected: dict[str, Any], tmp_path: Path
) -> None:
    done = import_(reference / "store", tmp_path / "store", code=1)
    assert sorted(done["undecided"]) == sorted(expected)
    assert (done["sequences"], done["rows"]) == ([], 0)
    text = run_mosaicod("import", reference / "store", "--local-store", tmp_path / "store").stdout
    assert "--assume-finalized" in text


def test_import_resumes_and_keeps_existing_data(reference: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    part = tmp_path / "part"
    shutil.copytree(reference / "store" / "small-types", part / "small-types")
    with Daemon(store) as daemon:
        with daemon.connect() as client:
            record_numbers(client, "mine", {"t": [(1, 1)]})
        daemon.stop(15)
    assert import_(part, store, "--assume-finalized")["sequences"] == ["small-types"]
    done = import_(reference / "store", store, "--assume-finalized")
    assert done["present"] == ["small-types"]
    assert sorted(done["sequences"]) == ["broken-off", "euroc-part"]
    again = import_(reference / "store", store, "--assume-finalized")
    assert (again["sequences"], len(again["present"])) == ([], 3)
    whole(store)
    run_mosaicod("rebuild", "--local-store", store)
    with Daemon(store) as daemon, daemon.connect() as client:
        assert len(client.list_sequences()) == 4
        assert replay(client, "mine") == [("/t", 1, 1)]
        daemon.stop(15)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("flag/data-00000.parquet", b"no parquet", "cannot be read"),
        ("flag/manifest.json", b'{"timestamp":{"min":1,"max":2}}', "its manifest says"),
        ("flag/metadata.json", b"{", "malformed"),
        ("flag/metadata.json", None, "no description"),
        ("metadata.json", None, "metadata.json"),
    ],
)
def test_damaged_sequences_are_skipped_completely(
    reference: Path, tmp_path: Path, file: str, content: bytes | None, words: str
) -> None:
    source, store = tmp_path / "source", tmp_path / "store"
    shutil.copytree(reference / "store", source)
    damaged = source / "small-types" / file
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    done = import_(source, store, "--assume-finalized", code=1)
    assert sorted(done["sequences"]) == ["broken-off", "euroc-part"]
    [problem] = done["problems"]
    assert "small-types" in problem["path"]
    assert words in problem["text"]
    whole(store)
    assert len(list((store / "seq").iterdir())) == 2


def test_later_layouts(reference: Path, tmp_path: Path) -> None:
    source, store = tmp_path / "source", tmp_path / "store"
    shutil.copytree(reference / "store" / "small-types", source / "s")
    for index, topic in enumerate(["flag", "counter"]):
        folder = source / "s" / topic
        described = json.loads((folder / "metadata.json").read_text())
        (folder / "metadata.json").unlink()
        (folder / "manifest.json").unlink()
        (folder / "data:0a1b2").mkdir()
        (folder / "data-00000.parquet").rename(folder / "data:0a1b2" / "data-00000.parquet")
        later = {"properties": {"completed_at": 1}, "ontology_metadata": described}
        (folder / ["manifest.json", "metadata.json"][index]).write_text(json.dumps(later))
    assert import_(source, store, "--assume-finalized")["rows"] == 300
    whole(store)


def test_invalid_sources_are_refused(reference: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for source, words in [(tmp_path / "none", "cannot read"), (store, "lie in each other")]:
        done = run_mosaicod("import", source, "--local-store", store)
        assert done.returncode == 1
        assert words in done.stderr
    (tmp_path / "empty").mkdir()
    done = run_mosaicod("import", tmp_path / "empty", "--local-store", store)
    assert "holds no store" in done.stderr


def test_killed_import_resumes(reference: Path, expected: dict[str, Any], tmp_path: Path) -> None:
    source, store = tmp_path / "source", tmp_path / "store"
    names = [f"copy-{number:02}" for number in range(12)]
    for name in names:
        shutil.copytree(reference / "store" / "euroc-part", source / name)
    before = digest(source)
    command = [MOSAICOD, "import", source, "--local-store", store, "--assume-finalized"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and len(list(store.glob("seq/*/final.json"))) < 3:
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL, "it was faster than the test"
    done = import_(source, store, "--assume-finalized")
    assert done["problems"] == []
    assert 2 <= len(done["present"]) < len(names)
    assert sorted(done["present"] + done["sequences"]) == names
    assert digest(source) == before
    with Daemon(store) as daemon, daemon.connect() as client:
        assert sorted(client.list_sequences()) == names
        for name in names:
            rows = {path: topic["rows"] for path, topic in expected["euroc-part"]["topics"].items()}
            found = {topic: len(list(topic_of(client, name, topic).get_data_streamer())) for topic in rows}
            assert found == rows
        daemon.stop(15)
    whole(store)
    assert run_mosaicod("gc", "--orphan-grace", 0, "--local-store", store).returncode == 0
    assert len(list((store / "seq").iterdir())) == len(names), "nothing is left of what was cut short"


def test_import_that_ended_before_the_catalog_update_resumes(reference: Path, tmp_path: Path) -> None:
    source, store = tmp_path / "source", tmp_path / "store"
    for name in ("one", "two"):
        shutil.copytree(reference / "store" / "euroc-part", source / name)
    assert import_(source, store, "--assume-finalized")["sequences"] == ["one", "two"]
    folders = sorted((store / "seq").iterdir())
    # As a kill leaves it when all of a sequence is in the store: the change is announced, no more.
    with closing(sqlite3.connect(store / "catalog.db")) as catalog, catalog:
        catalog.execute("PRAGMA foreign_keys = ON")
        ((id_,),) = catalog.execute("SELECT id FROM sequence WHERE name = 'two'").fetchall()
        catalog.execute("DELETE FROM sequence WHERE id = ?", (id_,))
        catalog.execute("INSERT INTO pending (sequence_id) VALUES (?)", (id_,))
    done = import_(source, store, "--assume-finalized")
    assert (done["present"], done["sequences"]) == (["one", "two"], [])
    assert sorted((store / "seq").iterdir()) == folders
    whole(store)
    with Daemon(store) as daemon, daemon.connect() as client:
        assert sorted(client.list_sequences()) == ["one", "two"]


def test_import_of_another_native_store(tmp_path: Path) -> None:
    source, store = tmp_path / "source", tmp_path / "store"
    rows = {"a": [(at, at * 3) for at in range(400)], "b/c": [(7, 1)]}
    with Daemon(source, "--chunk-bytes", "4000") as daemon:
        with daemon.connect() as client:
            record_numbers(client, "done", rows, max_batch_size_records=50)
            with (
                pytest.raises(RuntimeError, match="cable"),
                client.sequence_create("broken", on_error=OnErrorPolicy.Report) as sequence,
            ):
                sequence.topic_create("t", {}, Integer64).push(number(1, 1))
                raise RuntimeError("cable pulled")
            with client.sequence_create("open") as sequence:
                sequence.topic_create("t", {}, Integer64).push(number(1, 1))
                # Beside its daemon, and while it records.
                done = import_(source, store, code=1)
                assert (sorted(done["sequences"]), done["undecided"]) == (["broken", "done"], ["open"])
            expected = {name: replay(client, name) for name in ("broken", "done", "open")}
            notices = [notice.message for notice in client.list_sequence_notify("broken")]
        daemon.stop(15)
    before = digest(source)
    done = import_(source, store)
    assert (done["sequences"], sorted(done["present"])) == (["open"], ["broken", "done"])
    assert done["problems"] == []
    assert digest(source) == before
    assert digest(store / "seq") == digest(source / "seq"), "byte by byte"
    whole(store)
    with Daemon(store) as daemon, daemon.connect() as client:
        assert {name: replay(client, name) for name in client.list_sequences()} == expected
        assert notices
        assert [notice.message for notice in client.list_sequence_notify("broken")] == notices
        finalized = list(client.events(kinds=[EventKind.SEQUENCE_FINALIZED]))
        assert sorted(str(event.sequence_name) for event in finalized) == ["done", "open"]
        daemon.stop(15)


def test_damaged_chunk_of_another_store_is_not_imported(tmp_path: Path) -> None:
    source, store = tmp_path / "source", tmp_path / "store"
    with Daemon(source) as daemon:
        with daemon.connect() as client:
            for name in ("good", "bad"):
                record_numbers(client, name, {"t": [(1, 1)]})
        daemon.stop(15)
    [chunk] = [
        file
        for file in source.rglob("*.parquet")
        if b'"bad"' in (file.parents[2] / "sequence.json").read_bytes()
    ]
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    done = import_(source, store, code=1)
    assert done["sequences"] == ["good"]
    [problem] = done["problems"]
    assert "checksum" in problem["text"]
    assert "`bad`" in problem["text"]
    whole(store)
    assert len(list((store / "seq").iterdir())) == 1
