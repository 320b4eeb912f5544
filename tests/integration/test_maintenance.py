"""`mosaicod rebuild`, `check`, `gc` and `stats`, called as by an operator."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon, run_mosaicod
from harness.record import number, record_numbers, replay, sequence_of

from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy

ROWS = 400


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a file of every kind, which no daemon uses."""
    folder = tmp_path_factory.mktemp("template") / "store"
    with Daemon(folder, "--chunk-bytes", "4000") as daemon:
        with daemon.connect() as client:
            rows = [(time, time * 3) for time in range(ROWS)]
            record_numbers(client, "done", {"a": rows, "b/c": rows[:50]}, max_batch_size_records=50)
            with (
                pytest.raises(RuntimeError, match="cable"),
                client.sequence_create("broken", on_error=OnErrorPolicy.Report) as sequence,
            ):
                sequence.topic_create("t", {}, Integer64).push(number(1, 1))
                raise RuntimeError("cable pulled")
        daemon.stop(15)
    return folder


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "store"))


def report(command: str, store: Path, *arguments: str, code: int = 0) -> Any:
    done = run_mosaicod(command, "--local-store", store, "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def all_answers(store: Path) -> list[Any]:
    with Daemon(store) as daemon, daemon.connect() as client:
        names = client.list_sequences()
        handlers = [sequence_of(client, name) for name in names]
        topics = [(handler.topics, handler.is_locked, handler.user_metadata) for handler in handlers]
        notices = [[notice.message for notice in client.list_sequence_notify(name)] for name in names]
        events = list(client.events())
        answers = [names, topics, notices, events, [replay(client, name) for name in names]]
        daemon.stop(15)
    return answers


def small_files(store: Path) -> list[Path]:
    return sorted(
        file for folder in ("seq", "events") for file in (store / folder).rglob("*") if file.is_file()
    )


def remove_catalog(store: Path) -> None:
    for file in store.glob("catalog.db*"):
        file.unlink()


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 4
    file.write_bytes(content)


def test_a_whole_store_has_no_problems(store: Path) -> None:
    found = report("check", store, "--deep")
    assert found["problems"] == []
    assert (found["sequences"], found["topics"], found["rows"]) == (2, 3, ROWS + 51)
    assert found["chunks"] > 5
    assert (found["lost_rows"], found["orphans"], found["log_rows"]) == (0, 0, 0)


def test_rebuild_answers_the_same(store: Path) -> None:
    expected = all_answers(store)
    remove_catalog(store)
    rebuilt = report("rebuild", store)
    assert (rebuilt["sequences"], rebuilt["topics"], rebuilt["problems"]) == (2, 3, [])
    assert all_answers(store) == expected
    (store / "catalog.db").write_bytes(b"no database" * 1000)
    report("rebuild", store)
    assert report("check", store)["problems"] == []
    assert all_answers(store) == expected


def test_commands_refuse_a_store_in_use(daemon: Daemon, remote: MosaicoClient) -> None:
    for command in ("check", "gc", "stats"):
        done = run_mosaicod(command, "--local-store", daemon.folder)
        assert done.returncode == 1
        assert "in use" in done.stderr
        assert str(daemon.folder) in done.stderr
    assert remote.list_sequences() == []


def test_no_store_is_created_by_mistake(tmp_path: Path) -> None:
    for command in ("rebuild", "check", "gc", "stats"):
        done = run_mosaicod(command, "--local-store", tmp_path / "typo")
        assert done.returncode == 1
        assert "there is no store in" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_byte_in_any_file_is_found(store: Path) -> None:
    kinds = set()
    for file in small_files(store):
        whole = file.read_bytes()
        for at in {0, len(whole) // 3, len(whole) - 2}:
            flip(file, at)
            found = report("check", store, "--deep", code=1)
            path = str(file.relative_to(store))
            assert path in [problem["path"] for problem in found["problems"]], f"byte {at} of {path}"
            if file.suffix == ".parquet":
                assert found["lost_rows"] > 0
            else:
                assert found["lost_rows"] == 0
            file.write_bytes(whole)
        kinds.add(file.name.split("-")[0] + file.suffix)
    assert {"sequence.json.json", "final.json.json", "topic.json.json", "schema.json.json"} <= kinds
    assert {"chunk.json", "chunk.parquet", "commit.json.json", "ended.json.json"} <= kinds
    assert report("check", store, "--deep")["problems"] == []


def test_damaged_records_are_repaired_from_redundant_records(store: Path) -> None:
    expected = all_answers(store)
    damaged = [file for file in small_files(store) if file.suffix != ".parquet"]
    before = {}
    for file in damaged:
        flip(file, file.stat().st_size // 2)
        before[file] = file.read_bytes()
    found = report("check", store, "--repair")
    assert found["lost_rows"] == 0
    assert all(problem["repaired"] for problem in found["problems"])
    assert {store / problem["path"] for problem in found["problems"]} >= set(damaged)
    for file, content in before.items():
        assert (store / "damaged" / file.relative_to(store)).read_bytes() == content, "it is kept"
    assert report("check", store, "--deep")["problems"] == []
    assert all_answers(store) == expected


def test_records_of_topics_are_repaired_without_the_catalog(store: Path) -> None:
    expected = all_answers(store)
    remove_catalog(store)
    topics = [file.parent for file in store.rglob("commit.json")]
    for topic, name in zip(topics, ["commit.json", "topic.json", "schema.json"], strict=True):
        flip(topic / name, 40)
    for chunk in topics[1].glob("chunk-*.json"):
        chunk.unlink()
    found = report("check", store, "--repair")
    assert all(problem["repaired"] for problem in found["problems"])
    assert report("check", store, "--deep")["problems"] == []
    assert all_answers(store)[4] == expected[4]


def test_lost_chunk_is_reported_and_nothing_else_changes(store: Path) -> None:
    files = {file: file.read_bytes() for file in small_files(store)}
    lost = next(file for file in files if file.name == "chunk-00000-0000001.parquet")
    lost.unlink()
    rows = json.loads(lost.with_suffix(".json").read_text())["rows"]
    found = report("check", store, "--repair", code=1)
    assert found["lost_rows"] == rows
    [problem] = found["problems"]
    assert problem["path"] == str(lost.relative_to(store))
    assert "`done/" in problem["text"]
    del files[lost]
    assert {file: file.read_bytes() for file in small_files(store)} == files


def test_a_sequence_whose_record_is_lost_is_not_removed(store: Path) -> None:
    record = next(store.rglob("final.json")).parent / "sequence.json"
    content = record.read_bytes()
    record.unlink()
    remove_catalog(store)
    rebuilt = report("rebuild", store, code=1)
    assert [problem["path"] for problem in rebuilt["problems"]] == [str(record.parent.relative_to(store))]
    files = small_files(store)
    with Daemon(store, "--orphan-grace", "0") as daemon, daemon.connect() as client:
        assert client.list_sequences() == ["broken"]
        daemon.stop(15)
    report("gc", store, "--orphan-grace", "0", code=1)
    assert set(small_files(store)) >= set(files)
    record.write_bytes(content)
    assert report("rebuild", store)["problems"] == []
    with Daemon(store) as daemon, daemon.connect() as client:
        assert len(replay(client, "done")) == ROWS + 50
        daemon.stop(15)


def test_rows_in_the_wal_are_counted_and_damage_is_found(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with (
        Daemon(store) as daemon,
        daemon.connect() as client,
        client.sequence_create("s", on_error=OnErrorPolicy.Report) as sequence,
    ):
        topic = sequence.topic_create("t", {}, Integer64)
        for time in range(10):
            topic.push(number(time, time))
        topic.flush()
        daemon.kill()
        assert report("check", store)["log_rows"] == 10
        [segment] = (store / "wal").rglob("*.wal")
        flip(segment, segment.stat().st_size - 30)
        [problem] = report("check", store, code=1)["problems"]
        assert problem["path"] == str(segment.relative_to(store))
        flip(segment, segment.stat().st_size - 30)
        daemon.restart()


def test_gc_deletes_unreferenced_files(store: Path) -> None:
    expected = small_files(store)
    topic = next(store.rglob("commit.json")).parent
    (topic / "chunk-00000-0000077.parquet").write_text("rest")
    # What is left of a compaction; a damaged record would be kept.
    shutil.copy(next(topic.glob("chunk-*.json")), topic / "chunk-00000-0000078.json")
    unfinished = store / "seq" / "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    unfinished.mkdir()
    (unfinished / "deleted.json").write_text("{}")
    (unfinished / "commit.json").write_text("{}")
    assert report("gc", store)["files"] == 0, "too young"
    assert report("gc", store, "--orphan-grace", "0", "--dry-run")["files"] == 4
    assert report("gc", store, "--orphan-grace", "0")["files"] == 4
    assert small_files(store) == expected
    assert report("check", store, "--deep")["problems"] == []


def test_stats(store: Path) -> None:
    found = report("stats", store)
    assert (found["sequences"], found["finalized"], found["topics"], found["rows"]) == (2, 1, 3, ROWS + 51)
    assert found["tags"]["integer64"]["topics"] == 3
    sizes = sum(file.stat().st_size for file in store.rglob("*.parquet"))
    assert found["stored_bytes"] == sizes
    text = run_mosaicod("stats", "--local-store", store).stdout
    assert f"{ROWS + 51} rows" in text
    assert "integer64: 3 topics" in text
