"""`mosaico query`, called as by a user or a script."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mosaicolabs import MosaicoClient
from mosaicolabs.models.data import Floating64, String

START_NS = 1_700_000_000_000_000_000


def run(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mosaicolabs.cli", "query", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    with MosaicoClient.embedded(folder) as client:
        for name, site in [("run-a", "north"), ("run-b", "south"), ("run-c", "north")]:
            with client.sequence_create(name, {"site": site}) as sequence:
                level = sequence.topic_create("tank/level", {"unit": "m"}, Floating64)
                for second in range(3):
                    value = Floating64(data=second + ord(name[-1]) - ord("a"))
                    level.push(ontology_obj=value, message_timestamp_ns=START_NS + second * 10**9)
                note = sequence.topic_create("note", {}, String)
                note.push(ontology_obj=String(data=f"of {name}"), message_timestamp_ns=START_NS)
    return folder


def found(store: Path, *args: object) -> dict[str, Any]:
    done = run(*args, "--json", "--store", store)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def names(document: dict[str, Any]) -> list[str]:
    return [item["sequence"] + topic["name"] for item in document["items"] for topic in item["topics"]]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("floating64.data > 3", ["run-c/tank/level"]),
        ("3 <= floating64.data", ["run-b/tank/level", "run-c/tank/level"]),
        ("sequence.user_metadata.site == 'south'", ["run-b/note", "run-b/tank/level"]),
        ("'note' in topic.name and sequence.name != 'run-b'", ["run-a/note", "run-c/note"]),
        ("string.data == 'of run-b' or floating64.data > 3", ["run-b/note", "run-c/tank/level"]),
        (
            "topic.user_metadata.unit == 'm' and not floating64.data > 3 and sequence.name in ['run-c']",
            ["run-c/tank/level"],
        ),
    ],
)
def test_conditions_find_topics(store: Path, condition: str, expected: list[str]) -> None:
    assert names(found(store, condition)) == expected


def test_the_document(store: Path) -> None:
    condition = "floating64.data >= 2"
    document = found(
        store, condition, "--times", "--limit", 1, "--order-by", "sequence.name desc", "--explain"
    )
    assert document["place"] == str(store)
    assert document["items"] == [
        {
            "sequence": "run-c",
            "topics": [
                {
                    "name": "/tank/level",
                    "timestamp_ns_first": START_NS,
                    "timestamp_ns_last": START_NS + 2 * 10**9,
                }
            ],
        }
    ]
    assert document["explain"]["rows_scanned"] > 0
    ordered = ["--limit", 1, "--order-by", "sequence.name desc"]
    following = found(store, condition, *ordered, "--cursor", document["cursor"])
    assert names(following) == ["run-b/tank/level"]
    assert following["items"][0]["topics"][0]["timestamp_ns_first"] is None


def test_what_people_read(store: Path) -> None:
    shown = run("floating64.data > 3", "--times", "--explain", "--store", store).stdout
    assert [line.split() for line in shown.splitlines()[:2]] == [
        ["sequence", "topic", "first", "match", "last", "match"],
        ["run-c", "/tank/level", "2023-11-14T22:13:22.000000000Z", "2023-11-14T22:13:22.000000000Z"],
    ]
    assert re.search(r"^chunks: \d+ candidates, \d+ pruned by statistics, \d+ read$", shown, re.MULTILINE)
    assert "more: --cursor " in run("floating64.data > -1", "--limit", 1, "--store", store).stdout
    assert run("floating64.data > 99", "--store", store).stdout == f"nothing found in {store}\n"


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["floating64.data"], "is not a comparison"),
        (["floating64.data > level"], "is not a value"),
        (["a.b > 1", "--order-by", "topic.name"], "cannot order by"),
        (["a.b > 1", "--order-by", "sequence.age"], "has no field 'age'"),
        (["a.b > 1", "--limit", "0"], "not in the range"),
    ],
)
def test_wrong_usage_exits_with_2(store: Path, args: list[str], reason: str) -> None:
    done = run(*args, "--store", store)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (
            "floating46.data > 3",
            "no topic has the class `floating46` of `floating46.data`; did you mean 'floating",
        ),
        ("floating64.value > 3", "there is no column `value`; there are "),
        ("string.data == 'x' and floating64.dat > 3", "there is no column `dat`"),
        ("sequence.name == 'run-d'", "no sequence is named `run-d`; did you mean 'run-"),
        ("sequence.name == 'run-x' or floating64.data > 99", "no sequence is named `run-x`"),
        ("nosuch.field == 1 and not sequence.name == 'run-a'", "no topic has the class `nosuch`"),
    ],
)
def test_a_name_that_does_not_exist_is_an_error(store: Path, condition: str, reason: str) -> None:
    done = run(condition, "--store", store)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"mosaico: nothing found in {store}: ")
    assert reason in done.stderr


@pytest.mark.parametrize(
    "condition",
    [
        "floating64.data > 99",
        "string.data == 'nothing'",
        "sequence.name == 'run-a' and floating64.data > 99",
        "sequence.user_metadata.nosuch == 1",
    ],
)
def test_that_nothing_matches_is_none(store: Path, condition: str) -> None:
    done = run(condition, "--store", store)
    assert (done.returncode, done.stdout) == (0, f"nothing found in {store}\n")
