"""`mosaico cat` in its formats, with patterns of topics and selected columns."""

import base64
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mosaicolabs import MosaicoClient
from mosaicolabs.models.data import Floating64, Vector3d
from mosaicolabs.models.sensors import IMU, CompressedImage, ImageFormat

START_NS = 1_700_000_000_000_000_000


def run(*args: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "mosaicolabs", "cat", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ,
    )
    assert done.returncode == code, done
    return done


def rows(*args: object) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(run(*args, "--format", "csv").stdout)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 messages of an IMU, 2 of a level with a covariance, 1 picture."""
    folder = tmp_path_factory.mktemp("store")
    with MosaicoClient.embedded(folder) as client, client.sequence_create("run") as sequence:
        imu = sequence.topic_create("imu/left", {}, IMU)
        for at in range(60):
            force = Vector3d(x=at / 3, y=0.0, z=9.81, covariance=[1.0, 0.5] if at else None)
            imu.push(ontology_obj=IMU(acceleration=force), message_timestamp_ns=START_NS + at * 5_000_000)
        level = sequence.topic_create("level", {}, Floating64)
        for at, value in ((0, 1e300), (1, float("nan"))):
            level.push(ontology_obj=Floating64(data=value), message_timestamp_ns=START_NS + at * 10**9)
        camera = sequence.topic_create("camera", {}, CompressedImage)
        picture = CompressedImage(data=b"\xff\x00jpeg", format=ImageFormat.JPEG)
        camera.push(ontology_obj=picture, message_timestamp_ns=START_NS + 2 * 10**9)
    return folder


def test_csv_is_exact(store: Path) -> None:
    found = rows("run", "--store", store)
    assert len(found) == 63
    force = [row for row in found if row["topic"] == "/imu/left"]
    assert [float(row["imu.acceleration.x"]) for row in force] == [at / 3 for at in range(60)]
    assert [int(row["timestamp_ns"]) for row in force] == [START_NS + at * 5_000_000 for at in range(60)]
    assert (force[0]["imu.acceleration.covariance"], force[1]["imu.acceleration.covariance"]) == (
        "",
        "[1.0, 0.5]",
    )
    assert force[0]["floating64.data"] == ""
    assert [row["floating64.data"] for row in found if row["topic"] == "/level"] == ["1e+300", "nan"]
    assert base64.b64decode(found[-1]["compressed_image.data"]) == b"\xff\x00jpeg"


def test_csv_of_selected_columns_topics_and_times(store: Path) -> None:
    shown = run(
        "run", "--topics", "/imu/*", "--from", "+5ms", "--limit", 2, "--format", "csv", "--store", store,
        "--columns", "imu.acceleration.z,imu.acceleration.x",
    ).stdout  # fmt: skip
    header, *lines = shown.splitlines()
    assert sorted(header.split(",")[2:]) == ["imu.acceleration.x", "imu.acceleration.z"]
    assert [line.split(",")[0] for line in lines] == [str(START_NS + 5_000_000), str(START_NS + 10_000_000)]


def test_tables_have_the_columns_with_values(store: Path) -> None:
    lines = run("run", "--topics", "imu/left", "--format", "table", "--store", store).stdout.splitlines()
    assert lines[0].split() == ["time", *(f"acceleration.{name}" for name in ("x", "y", "z", "covariance"))]
    assert lines[2].split() == ["+0.005000", "s", "0.333333", "0", "9.81", "[1.0,", "0.5]"]
    assert len(lines) == 43
    assert lines[-1].startswith("the first 40 messages; ")
    whole = run("run", "--topics", "imu/left", "--format", "table", "--limit", 100, "--store", store).stdout
    assert len(whole.splitlines()) == 61
    mixed = run("run", "--from", "+1s", "--format", "table", "--store", store).stdout.splitlines()
    assert mixed[0].split() == [
        "time",
        "topic",
        "floating64.data",
        "compressed_image.data",
        "compressed_image.format",
    ]
    assert mixed[2].split() == ["+2.000000", "s", "/camera", "-", "6", "bytes", "jpeg"]


def test_jsonl_is_json(store: Path) -> None:
    args = ("run", "--topics", "level", "--store", store)
    assert run(*args, "--format", "jsonl").stdout == run(*args, "--json").stdout
    assert len([json.loads(line) for line in run(*args, "--json").stdout.splitlines()]) == 2


def test_patterns_of_topics(store: Path) -> None:
    topics = {row["topic"] for row in rows("run", "--topics", "!/imu/*", "--store", store)}
    assert topics == {"/level", "/camera"}
    refused = run("run", "--topics", "imu", "--store", store, code=1)
    assert "sequence 'run' has no such topic; did you mean '/imu/left'?" in refused.stderr
    assert "names ['/cam?']: seq" in run("run", "--topics", "/cam?", "--store", store, code=1).stderr
    assert "excludes all topics" in run("run", "--topics", "!/*", "--store", store, code=1).stderr


@pytest.mark.parametrize(
    "args",
    [
        ["--json", "--format", "csv"],
        ["--follow", "--format", "csv"],
        ["--columns", "imu"],
        ["--format", "xml"],
    ],
)
def test_options_that_contradict_each_other(store: Path, args: list[str]) -> None:
    assert "Error: " in run("run", "--store", store, *args, code=2).stderr


def test_an_unknown_column_is_named(store: Path) -> None:
    refused = run("run", "--format", "csv", "--columns", "imu.acceleratoin", "--store", store, code=1)
    assert "acceleratoin" in refused.stderr
