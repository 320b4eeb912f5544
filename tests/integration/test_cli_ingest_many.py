"""`mosaico ingest` of several recordings: names from files, what exists, one summary."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(*args: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "mosaicolabs", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "MOSAICO_STORE": ""},
    )
    assert done.returncode == code, done
    return done


def documents(*args: object, code: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("ingest", *args, "--json", code=code).stdout.splitlines()]


def recording(folder: Path, rows: int = 3) -> Path:
    """An ASL folder with an IMU."""
    sensor = folder / "mav0/imu0"
    sensor.mkdir(parents=True)
    lines = [f"{1_700_000_000_000_000_000 + at * 5_000_000},0,0,0,0.1,0.2,9.8" for at in range(rows)]
    (sensor / "data.csv").write_text("#timestamp [ns],x,y,z,ax,ay,az\n" + "\n".join(lines) + "\n")
    return folder


@pytest.fixture
def flights(tmp_path: Path) -> list[Path]:
    return [recording(tmp_path / day / "flight 1", rows) for day, rows in (("mon", 3), ("tue", 4))]


def test_names_are_those_of_files(tmp_path: Path, flights: list[Path]) -> None:
    [document] = documents(flights[0], "--store", tmp_path / "store")
    assert (document["sequence"], document["messages"]) == ("flight-1", 3)
    assert document["path"] == str(flights[0])


def test_equal_names_are_refused_before_anything_is_stored(tmp_path: Path, flights: list[Path]) -> None:
    refused = run("ingest", *flights, "--store", tmp_path / "store", code=2)
    assert "are both named `flight-1`" in refused.stderr
    assert not (tmp_path / "store").exists()
    refused = run("ingest", *flights, "--name", "x", "--store", tmp_path / "store", code=2)
    assert "are both named `x`" in refused.stderr


def test_names_from_a_form(tmp_path: Path, flights: list[Path]) -> None:
    found = documents(*flights, "--name", "{parent}-{stem}", "--store", tmp_path / "store")
    assert [document["sequence"] for document in found] == ["mon-flight-1", "tue-flight-1"]
    assert [document["messages"] for document in found] == [3, 4]


def test_one_summary(tmp_path: Path, flights: list[Path]) -> None:
    broken = tmp_path / "notes.txt"
    broken.write_text("no recording")
    done = run(
        "ingest",
        flights[0],
        broken,
        flights[1],
        "--name",
        "{parent}_{stem}",
        "--store",
        tmp_path / "s",
        code=1,
    )
    assert done.stdout.count(": 3 messages over 0.01 s") == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"2 recordings stored in {tmp_path / 's'}, 1 failed, 7 messages, ")
    assert done.stderr.splitlines()[-1].startswith("mosaico: 1 recording not stored; first: ")
    assert "format not recognized" in done.stderr


def test_existing_sequences_are_skipped(tmp_path: Path, flights: list[Path]) -> None:
    options = ("--name", "{parent}", "--store", tmp_path / "store", "--skip-existing")
    run("ingest", flights[0], *options)
    assert run("ingest", flights[0], *options).stdout == f"mon: exists in {tmp_path / 'store'}, skipped\n"
    first, second = documents(*flights, *options)
    assert first["skipped_existing"] is True
    assert second["messages"] == 4
    refused = run("ingest", flights[0], "--name", "mon", "--store", tmp_path / "store", code=1)
    assert "already exists" in refused.stderr


def test_nothing_is_created_for_unreadable_input(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("no recording")
    run("ingest", tmp_path / "a.txt", tmp_path / "b.txt", "--store", tmp_path / "store", code=1)
    assert not (tmp_path / "store").exists()
    [document] = documents(tmp_path / "a.txt", "--store", tmp_path / "store", code=1)
    assert "format not recognized" in document["error"]
