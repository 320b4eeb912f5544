"""`mosaico ls`, `info` and `rm` on several sequences; where options stand; completion."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness.script import finish

from mosaicolabs import MosaicoClient
from mosaicolabs.models.data import Floating64

START_NS = 1_700_000_000_000_000_000
OPEN = """
import os, sys
from mosaicolabs import Floating64, Message, MosaicoClient
client = MosaicoClient.embedded(sys.argv[1])
for name in sys.argv[2:]:
    sequence = client.sequence_create(name).__enter__()
    topic = sequence.topic_create("t", {}, Floating64)
    topic.push(Message(timestamp_ns=1, data=Floating64(data=1.0)))
    topic.flush()
os._exit(0)
"""


def run(*args: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mosaicolabs", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def said(*args: object, **environment: str) -> str:
    done = run(*args, **environment)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def listed(store: Path, *args: object) -> list[str]:
    return [row["name"] for row in json.loads(said("ls", "--store", store, "--json", *args))["sequences"]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finalized sequences of 1, 2 and 3 messages, and an empty one."""
    folder = tmp_path_factory.mktemp("store")
    with MosaicoClient.embedded(folder) as client:
        for count, (name, site) in enumerate([("run-c", "north"), ("run-a", "south"), ("other", "north")], 1):
            with client.sequence_create(name, {"site": site, "crew": {"size": count}}) as sequence:
                for topic in range(4 - count):
                    level = sequence.topic_create(f"level/{topic}", {}, Floating64)
                    for at in range(count):
                        level.push(
                            ontology_obj=Floating64(data=float(at)),
                            message_timestamp_ns=START_NS + at * 61 * 10**9,
                        )
        with client.sequence_create("nothing"):
            pass
    return folder


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ["nothing", "other", "run-a", "run-c"]),
        (["run-*"], ["run-a", "run-c"]),
        (["run-*", "other", "!run-c"], ["other", "run-a"]),
        (["!run-*"], ["nothing", "other"]),
        (["--reverse", "--limit", "2"], ["run-c", "run-a"]),
        (["--sort", "topics"], ["nothing", "other", "run-a", "run-c"]),
        (["--sort", "span", "--reverse"], ["other", "run-a", "run-c", "nothing"]),
        (["--sort", "created"], ["run-c", "run-a", "other", "nothing"]),
        (["--sort", "size", "--limit", "1"], ["nothing"]),
        (["--where", 'sequence.user_metadata.site == "north"'], ["other", "run-c"]),
        (["--where", "floating64.data > 0", "run-*"], ["run-a"]),
        (["--where", "floating64.data > 99"], []),
    ],
)
def test_ls_selects_and_orders(store: Path, args: list[str], expected: list[str]) -> None:
    assert listed(store, *args) == expected


def test_ls_reports_what_it_leaves_out(store: Path) -> None:
    document = json.loads(said("ls", "--store", store, "--json", "--limit", 1))
    assert (document["total"], len(document["sequences"])) == (4, 1)
    assert (
        said("ls", "--store", store, "--limit", 1)
        .splitlines()[-1]
        .startswith(f"1 of 4 sequences in {store}, ")
    )
    last = said("ls", "--store", store, "--where", "floating64.data > 99")
    assert last == f"no sequences in {store}\n"


def test_ls_prints_chosen_columns(store: Path) -> None:
    columns = "sequence,span,metadata.site,metadata.crew.size,start"
    lines = said("ls", "run-*", "other", "--store", store, "--columns", columns).splitlines()
    assert [line.split("  ") for line in lines[:2]] == [
        ["sequence", "      span", "metadata.site", "metadata.crew.size", "start"],
        ["other", "   ", "2 min 02 s", "north", "        3", "                 2023-11-14 22:13:20"],
    ] or lines[1].split() == ["other", "2", "min", "02", "s", "north", "3", "2023-11-14", "22:13:20"]
    assert all(line == line.rstrip() for line in lines)
    refused = run("ls", "--store", store, "--columns", "sequence,age")
    assert refused.returncode == 2
    assert "no column `age`; there are sequence, topics" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["ls", "runs-*"], "no sequence matches `runs-*` in {}; did you mean 'run-"),
        (["info", "runa"], "no sequence `runa` in {}; did you mean 'run-a'"),
        (
            ["rm", "zzz"],
            "no sequence `zzz` in {}; it has: nothing, other, run-a, run-c (`mosaico ls --store {}`)",
        ),
        (["cat", "run-b"], "no sequence `run-b` in {}; did you mean 'run-"),
    ],
)
def test_unknown_names_get_suggestions(store: Path, args: list[str], hint: str) -> None:
    done = run(*args, "--store", store)
    assert (done.returncode, done.stdout) == (1, "")
    assert hint.replace("{}", str(store)) in done.stderr


def test_lists_end_with_their_place(store: Path) -> None:
    for command in (["ls"], ["events"], ["query", "floating64.data > 0"]):
        last = said(*command, "--store", store).splitlines()[-1]
        assert f" in {store}" in last, command


def test_info_of_many(store: Path) -> None:
    documents = [
        json.loads(line) for line in said("info", "run-*", "other", "--store", store, "--json").splitlines()
    ]
    assert [document["name"] for document in documents] == ["other", "run-a", "run-c"]
    assert [len(document["topics"]) for document in documents] == [1, 2, 3]
    shown = said("info", "run-*", "--store", store)
    assert shown.count(str(store)) == 2
    assert "\n\nsequence  " in shown


def test_rm_of_many(tmp_path: Path, store: Path) -> None:
    finish(OPEN, tmp_path, "run-1", "run-2", "other")
    would = said("rm", "run-*", "--store", tmp_path, "--dry-run")
    assert would.count("would delete run-") == 2
    assert said("rm", "--older-than", "1h", "--store", tmp_path) == f"nothing to delete in {tmp_path}\n"
    assert listed(tmp_path) == ["other", "run-1", "run-2"]
    assert said("rm", "run-1", "run-2", "--store", tmp_path).count("deleted run-") == 2
    assert listed(tmp_path) == ["other"]
    rows = said("rm", "--where", "floating64.data > 0", "--store", tmp_path, "--json")
    assert json.loads(rows)["deleted"] is True
    assert listed(tmp_path) == []
    assert run("rm", "--store", tmp_path).returncode == 2


def test_rm_deletes_what_it_can(tmp_path: Path) -> None:
    with MosaicoClient.embedded(tmp_path) as client, client.sequence_create("run-0"):
        pass
    finish(OPEN, tmp_path, "run-1")
    done = run("rm", "run-*", "--store", tmp_path)
    assert done.returncode == 1
    assert "deleted run-1" in done.stdout
    assert "run-0 is not deleted: " in done.stderr
    assert listed(tmp_path) == ["run-0"]


def test_options_may_precede_the_command(store: Path, tmp_path: Path) -> None:
    assert said("--store", store, "--json", "ls") == said("ls", "--store", store, "--json")
    both = run("--host", "localhost", "ls", "--store", store)
    assert both.returncode == 2
    assert "give either --store" in both.stderr
    assert str(tmp_path / "b") in run("--store", tmp_path / "a", "ls", "--store", tmp_path / "b").stderr


def test_unknown_commands_get_a_suggestion() -> None:
    assert "no such command `lst`. Did you mean `ls`?" in run("lst").stderr
    assert "There are ingest, ls" in run("xyz").stderr


@pytest.mark.parametrize("command", [["ls"], ["cat", "run-c", "--json"], ["info", "*"]])
def test_a_reader_that_leaves_is_no_failure(store: Path, command: list[str]) -> None:
    line = f"set -o pipefail; {sys.executable} -m mosaicolabs {' '.join(command)} --store {store} | true"
    done = subprocess.run(["bash", "-fc", line], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_of_80_columns(store: Path) -> None:
    """Lines fit, words are whole, and the header is bold."""
    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "mosaicolabs", "ls", "--store", str(store)]
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=terminal, env=environment) as process:
        os.close(terminal)
        text = b""
        while part := _read(main):
            text += part
        assert process.wait(60) == 0
    lines = text.decode().splitlines()
    assert lines[0].startswith("\x1b[1msequence")
    assert all(len(line) <= 80 for line in lines[1:-1])


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # its other end is closed
        return b""


def complete(words: str, **environment: str) -> list[str]:
    *before, _ = words.split(" ")
    given = {"_MOSAICO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(before))}
    return [line.partition(",")[2] for line in said(**given, **environment).splitlines() if line]


def test_completion_of_names(store: Path) -> None:
    place = {"MOSAICO_STORE": str(store)}
    assert complete("mosaico info run-", **place) == ["run-a", "run-c"]
    assert complete(f"mosaico --store {store} rm o") == ["other"]
    assert complete("mosaico cat run-a --topics /lev", **place) == ["/level/0", "/level/1"]
    assert complete("mosaico ev") == ["events"]
    assert complete("mosaico cat x", MOSAICO_STORE="s3://robots") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    script = said("completion", shell)
    assert "_MOSAICO_COMPLETE" in script
    assert "mosaico" in script


def test_summaries_are_those_of_the_commands() -> None:
    """The group lists them without importing the commands."""
    from mosaicolabs.cli import _main

    context: Any = None
    for name, (_, summary) in _main._COMMANDS.items():
        command = _main.mosaico.get_command(context, name)
        assert command is not None
        text = command.get_short_help_str(200).rstrip(".")
        assert text.split()[0] == summary.split()[0], name


@pytest.mark.parametrize("command", [[], ["ls"], ["info"], ["rm"], ["context", "ls"], ["completion"]])
def test_help_imports_no_client(command: list[str]) -> None:
    code = (
        f"import sys\nsys.argv = ['mosaico', *{command}, '--help']\nfrom mosaicolabs.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(*sys.modules)"
    )
    modules = set(finish(code).split())
    assert "mosaicolabs.cli._main" in modules
    assert modules & {"numpy", "pyarrow", "pydantic", "rich", "mosaicolabs._native"} == set()
