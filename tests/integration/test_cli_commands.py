"""`mosaico ls`, `info`, `cat`, `rm` and `demo`, called as by a user or a script."""

import base64
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mosaicolabs import MosaicoClient
from mosaicolabs.models.data import Floating64, String
from mosaicolabs.models.sensors import Image, ImageFormat

START_NS = 1_700_000_000_000_000_000
PIXELS = bytes(range(6))


def run(*args: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mosaicolabs", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def mosaico(*args: object, **environment: str) -> str:
    done = run(*args, **environment)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stderr == ""
    return done.stdout


def failure(*args: object, code: int = 1) -> str:
    done = run(*args)
    assert (done.returncode, done.stdout) == (code, ""), (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    if code == 1:
        assert done.stderr.startswith("mosaico: ")
        assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finalized sequence `run` of three topics, and an empty one."""
    folder = tmp_path_factory.mktemp("store")
    with MosaicoClient.embedded(folder) as client:
        with client.sequence_create("run", {"site": "north"}) as sequence:
            level = sequence.topic_create("level", {"unit": "m"}, Floating64)
            for index, value in enumerate((0.5, math.nan, math.inf, 3.5)):
                level.push(ontology_obj=Floating64(data=value), message_timestamp_ns=START_NS + index * 10**9)
            note = sequence.topic_create("log/note", {}, String)
            note.push(ontology_obj=String(data="größe\n"), message_timestamp_ns=START_NS + 5 * 10**8)
            camera = sequence.topic_create("camera", {}, Image)
            frame = Image(data=PIXELS, format=ImageFormat.RAW, width=3, height=2, stride=3, encoding="mono8")
            camera.push(ontology_obj=frame, message_timestamp_ns=START_NS + 25 * 10**8)
        with client.sequence_create("empty") as sequence:
            sequence.topic_create("nothing", {}, String)
    return folder


def cat(store: Path, *args: object) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in mosaico("cat", "run", "--store", store, "--json", *args).splitlines()
    ]


def offsets(messages: list[dict[str, Any]]) -> list[float]:
    return [(message["timestamp_ns"] - START_NS) / 1e9 for message in messages]


def test_ls(store: Path) -> None:
    document = json.loads(mosaico("ls", "--store", store, "--json"))

    rows = {row["name"]: row for row in document["sequences"]}
    assert document["place"] == str(store)
    assert list(rows) == ["empty", "run"]
    assert rows["run"]["topics"] == 3
    assert rows["run"]["locked"] is True
    assert rows["run"]["bytes"] > 0
    assert (rows["run"]["timestamp_ns_min"], rows["run"]["timestamp_ns_max"]) == (
        START_NS,
        START_NS + 3 * 10**9,
    )
    assert rows["empty"]["timestamp_ns_min"] is None


def test_store_from_the_environment(store: Path) -> None:
    assert mosaico("ls", MOSAICO_STORE=str(store)) == mosaico("ls", "--store", store)


def test_store_of_the_environment_may_be_a_file_url(store: Path) -> None:
    assert mosaico("ls", MOSAICO_STORE=store.as_uri()) == mosaico("ls", "--store", store)
    refused = run("ls", MOSAICO_STORE="s3://bucket/robots")
    assert refused.returncode == 2
    assert "MOSAICO_STORE is `s3://bucket/robots`, a bucket" in refused.stderr


@pytest.fixture
def port(tmp_path: Path) -> Iterator[str]:
    """A daemon on a free port."""
    command = [sys.executable, "-m", "mosaicod", "run", "--port", "0"]
    with subprocess.Popen(
        [*command, "--local-store", str(tmp_path / "served")], stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout is not None
        listening = re.search(r"grpc://127\.0\.0\.1:(\d+)", daemon.stdout.readline())
        assert listening is not None
        yield listening[1]
        daemon.terminate()


def test_the_same_on_a_daemon(port: str) -> None:
    document = json.loads(mosaico("demo", "--seconds", 1, "--port", port, "--json"))

    assert document["verified"] == 325
    assert document["place"] == f"localhost:{port}"
    listed = json.loads(mosaico("ls", "--host", "127.0.0.1", "--port", port, "--json"))
    assert [row["name"] for row in listed["sequences"]] == [document["sequence"]]


def test_info(store: Path) -> None:
    document = json.loads(mosaico("info", "run", "--store", store, "--json"))

    topics = {topic["name"]: topic for topic in document["topics"]}
    assert document["metadata"] == {"site": "north"}
    assert document["notifications"] == []
    assert sorted(topics) == ["/camera", "/level", "/log/note"]
    level = topics["/level"]
    assert (level["ontology"], level["messages"], level["rate_hz"]) == ("floating64", 4, 1.0)
    assert level["metadata"] == {"unit": "m"}
    assert topics["/camera"]["rate_hz"] is None
    shown = mosaico("info", "run", "--store", store)
    assert "/log/note" in shown
    assert "2023-11-14T22:13:20.000000000Z" in shown
    assert "nothing" in mosaico("info", "empty", "--store", store)


def test_cat_prints_everything_in_order(store: Path) -> None:
    messages = cat(store)

    assert offsets(messages) == [0, 0.5, 1, 2, 2.5, 3]
    assert messages[0]["topic"] == "/level"
    assert messages[0]["ontology"] == "floating64"
    assert [m["data"]["data"] for m in messages if m["topic"] == "/level"] == [0.5, "NaN", "Infinity", 3.5]
    assert messages[1]["data"]["data"] == "größe\n"
    frame = messages[4]["data"]
    assert base64.b64decode(frame["data"]) == PIXELS
    assert frame["format"] == "raw"


def test_cat_can_summarise_bytes(store: Path) -> None:
    (message,) = cat(store, "--topics", "camera", "--summarise-bytes")

    assert message["data"]["data"] == {"bytes": 6}


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (["--from", "+0.5s", "--to", "+2s"], [0.5, 1]),
        (["--from", str(START_NS + 10**9)], [1, 2, 2.5, 3]),
        (["--to", "2023-11-14T22:13:21.000000001Z"], [0, 0.5, 1]),
        (["--from", "+1h"], []),
        (["--from", "2", "--to", "2500ms"], [2]),
        (["--from", "-0.5s"], [2.5, 3]),
        (["--topics", "log/*", "--limit", "1"], [0.5]),
        (["--topics", "/*", "!/level", "--from", "1"], [2.5]),
        (["--limit", "2"], [0, 0.5]),
        (["--limit", "0"], []),
        (["--topics", "/level", "/camera"], [0, 1, 2, 2.5, 3]),
        (["--topics", "level", "--topics", "log/note", "--from", "+100ms"], [0.5, 1, 2, 3]),
    ],
)
def test_cat_windows_and_topics(store: Path, window: list[str], expected: list[float]) -> None:
    assert offsets(cat(store, *window)) == expected


def test_topics_may_stand_before_the_name(store: Path) -> None:
    lines = mosaico("cat", "--topics", "/camera", "run", "--store", store).splitlines()

    assert lines == ["+2.500000s /camera data=<6 bytes> format=raw width=3 height=2 stride=3 encoding=mono8"]


def test_cat_of_an_empty_sequence_prints_nothing(store: Path) -> None:
    assert mosaico("cat", "empty", "--store", store) == ""


def test_cat_into_a_closed_pipe_is_quiet(store: Path) -> None:
    command = f"{sys.executable} -m mosaicolabs.cli cat run --store {store} --json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)

    assert done.stderr == b""


def test_failures_are_one_line(store: Path, tmp_path: Path) -> None:
    assert "no sequence `nope`" in failure("info", "nope", "--store", store)
    assert "no sequence `nope`" in failure("rm", "nope", "--store", store)
    assert "'run' has no such topic; it has: /level" in failure(
        "cat", "run", "--topics", "nope", "--store", store
    )
    assert "no store at" in failure("ls", "--store", tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
    assert "localhost:1" in failure("ls", "--host", "localhost", "--port", "1")


def test_rm_of_a_finalized_sequence_is_refused(store: Path) -> None:
    line = failure("rm", "run", "--store", store)

    assert "run" in line
    assert "locked" in line or "finalized" in line
    assert len(cat(store)) == 6


@pytest.mark.parametrize(
    "args",
    [
        ["info"],
        ["cat", "run", "--from", "yesterday"],
        ["cat", "run", "--limit", "-1"],
        ["ls", "--host", "localhost", "--store", "."],
        ["ingest", ".", "--name", "x", "--metadata", "novalue"],
        ["ingest", ".", "--name", "x", "--metadata", "k:={"],
        ["ingest", ".", "--name", "x", "--on-error", "ignore"],
        ["demo", "--seconds", "0"],
        ["demo", "--no-keep", "--store", "."],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_with_2(store: Path, args: list[str]) -> None:
    where = ["--store", str(store)] if args[0] == "cat" else []

    assert "Error: " in failure(*args, *where, code=2)


def test_help_documents_the_json_keys() -> None:
    for command, key in (
        ("ls", "timestamp_ns_min"),
        ("info", "rate_hz"),
        ("cat", "recording_timestamp_ns"),
        ("query", "timestamp_ns_first"),
    ):
        assert key in mosaico(command, "--help")
    assert "MOSAICO_STORE" in mosaico("--help")


def test_demo_records_replays_and_verifies(tmp_path: Path) -> None:
    document = json.loads(mosaico("demo", "--seconds", 2, "--store", tmp_path / "store", "--json"))

    topics = {topic["name"]: (topic["messages"], round(topic["rate_hz"])) for topic in document["topics"]}
    assert topics == {
        "/imu": (400, 200),
        "/gps": (10, 5),
        "/pressure": (100, 50),
        "/pose": (100, 50),
        "/camera": (40, 20),
    }
    assert document["messages"] == document["verified"] == 650
    assert document["bytes_in"] > 40 * 752 * 480
    assert 0 < document["bytes_stored"] < document["bytes_in"]
    info = json.loads(mosaico("info", document["sequence"], "--store", tmp_path / "store", "--json"))
    assert info["locked"] is True


def test_demo_is_stored_where_the_next_commands_look(tmp_path: Path) -> None:
    shown = mosaico("demo", "--seconds", 1, MOSAICO_STORE=str(tmp_path))

    assert f"Stored in {tmp_path}" in shown
    assert "325 of 325" in shown
    tried = next(line for line in shown.splitlines() if "mosaico cat" in line).split()[1:]
    assert "--store" not in tried
    first = mosaico(*tried, "--from", "+0s", "--limit", "1", MOSAICO_STORE=str(tmp_path))
    assert first.startswith("+0.000000s /gps position=(")
    named = mosaico("demo", "--seconds", 1, "--store", tmp_path)
    tried = next(line for line in named.splitlines() if "mosaico info" in line).split()[1:]
    assert mosaico(*tried).startswith("sequence")


def test_demo_can_clean_up(tmp_path: Path) -> None:
    shown = mosaico(
        "demo", "--seconds", 1, "--no-keep", TMPDIR=str(tmp_path), MOSAICO_STORE=str(tmp_path / "store")
    )

    assert "325 of 325" in shown
    assert list(tmp_path.iterdir()) == []


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31mEVIL"


@pytest.mark.parametrize("as_json", [False, True])
def test_recorded_text_does_not_command_the_terminal(tmp_path: Path, *, as_json: bool) -> None:
    with MosaicoClient.embedded(tmp_path) as client, client.sequence_create("run", {HOSTILE: HOSTILE}) as run:
        topic = run.topic_create("note", {"m": HOSTILE}, String)
        topic.push(ontology_obj=String(data=HOSTILE), message_timestamp_ns=START_NS)
    for command in (["ls"], ["info", "run"], ["cat", "run"], ["events"]):
        options = ["--store", tmp_path, *(["--json"] if as_json else [])]
        shown = mosaico(*command, *options, TERM="xterm-256color")
        assert "\x1b" not in shown, command
        assert "\x07" not in shown, command
    assert "EVIL" in mosaico("cat", "run", "--store", tmp_path)
