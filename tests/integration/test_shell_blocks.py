"""Every command in the shell blocks of the README and of the documents runs, after the page's Python blocks.

Pages are read from the top: a daemon that one line starts serves the lines below it, until it is interrupted
at the end.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.bags import header, write_bag
from harness.documents import DOCUMENTS, ROOT, blocks, run
from harness.script import ANSWER_SECONDS, finish

BIN = Path(sys.executable).parent
PAGES = ["README.md", "CONTRIBUTING.md", "benches/README.md", *DOCUMENTS]

ELSEWHERE = {
    r"make [\w-]+": "builds everything; that make knows the target is tested below",
    r"cargo test .*": "builds the workspace",
    r"PROPTEST_CASES=\d+ cargo test .*": "builds the workspace, and takes long",
    r"\.venv/bin/python -m pytest .*": "would run tests inside of a test",
    r"python benches/run\.py .*": "measures for minutes; test_benches.py runs it",
    r"mosaicod run --s(tore s3:|tate-dir |hared ).*|export MOSAICO_STORE_.*": "needs a bucket",
    r"mosaicod import (?!logs ).*": "needs another store, see test_import.py",
    r"mosaicod tls-init .*|mosaicod run .*--tls-cert .*": "writes files; see test_tls.py",
    r".*robots\.example\.org.*|mosaico .*\blab\b.*": "needs another machine; see test_tls.py",
    r"pip install .*": "installs packages",
    r"mosaicod api-key update .*": "names a key that another line printed; see test_api_keys.py",
    r"mosaico ingest \w+\.(csv|parquet) .*": "needs tables; see test_ingest_table.py",
    r"py-spy .*|perf .*": "needs a profiler and its rights",
}
"""Lines that do not run here, and why."""

SHORTER = {"mosaico demo": "mosaico demo --seconds 2"}
"""Lines that would take long, and what runs instead."""

BEFORE = {"docs/ros.md": ["mosaicod run --local-store served"]}
"""Daemons that a page takes for granted."""

PRINTED = {
    "mosaico ls --host": "broken",
    "mosaico info mh01": "/imu0",
    "mosaico cat mh01": "acceleration",
    "mosaico cat bench-1 --store recordings --to +": "/arm/imu",
    "mosaico cat bench-1 --store recordings --topics": "acceleration.z",
    "mosaico query 'imu.acceleration.x > 0.99": "bench-",
    "mosaico query 'imu.acceleration.x > 20": "run-0",
    'mosaico query \'"front" in topic.name': "run-0",
    "mosaico events": "sequence_created",
}
"""What lines that begin like this print, besides ending well."""

OPEN_RECORDING = """
import os, sys
from mosaicolabs import Boolean, Message, MosaicoClient
client = MosaicoClient.embedded(sys.argv[1])
sequence = client.sequence_create("broken").__enter__()
sequence.topic_create("t", {}, Boolean).push(Message(timestamp_ns=1, data=Boolean(data=True)))
os._exit(0)
"""


def lines(document: str) -> list[str]:
    joined = [block.replace("\\\n", " ") for block in blocks(document, "sh")]
    return [line for block in joined for line in block.splitlines() if line.strip()]


def is_elsewhere(line: str) -> bool:
    words = " ".join(shlex.split(line, comments=True)).removesuffix(" &")
    return any(re.fullmatch(pattern, words) for pattern in ELSEWHERE)


WITH_COMMANDS = [name for name in PAGES if not all(map(is_elsewhere, lines(name)))]


class Shell:
    """Runs commands in a folder whose `recordings` are the store where none is named."""

    def __init__(self, folder: Path, port: int, stand_ins: dict[str, str]) -> None:
        self._folder, self._port = folder, str(port)
        self._stand_ins = {**stand_ins, "6726": self._port}
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "MOSAICO_STORE": str(folder / "recordings"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        self._daemons: list[subprocess.Popen[str]] = []

    def words(self, line: str) -> list[str]:
        """The words of a line, on a free port where it would be the usual one."""
        words = [self._stand_ins.get(word, word) for word in shlex.split(line, comments=True)]
        words = [word.replace("localhost:6727", f"localhost:{int(self._port) + 1}") for word in words]
        talks = words[:2] == ["mosaicod", "run"] or "--host" in words
        return [*words, "--port", self._port] if talks and "--port" not in words else words

    def run(self, line: str) -> str:
        """Runs a line to its end, one that goes on until it is interrupted."""
        line = next((short for start, short in SHORTER.items() if line.startswith(start)), line)
        words = self.words(line)
        environment = dict(self._environment)
        serves = words[:2] == ["mosaicod", "run"]
        if words[0] == "mosaicod":
            del environment["MOSAICO_STORE"]  # it names its folder
        process = subprocess.Popen(
            words,
            cwd=self._folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if serves:
            self._daemons.append(process)
            assert process.stdout is not None
            first = process.stdout.readline()
            assert f":{self._port}" in first, f"{line}\n{first}{process.stderr and process.stderr.read()}"
            return first
        first = ""
        if "--follow" in words:
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=ANSWER_SECONDS)
        assert process.returncode == (130 if "--follow" in words else 0), f"{line}\n{out}\n{err}"
        return first + out

    def close(self) -> None:
        for daemon in self._daemons:
            daemon.send_signal(signal.SIGINT)
            _, err = daemon.communicate(timeout=ANSWER_SECONDS)
            assert daemon.returncode == 0, err


@pytest.mark.parametrize("document", WITH_COMMANDS)
def test_commands_of_a_document_run(document: str, tmp_path: Path, unused_port: int, shared: Path) -> None:
    if blocks(document):
        run("\n".join(blocks(document)), tmp_path)
    finish(OPEN_RECORDING, tmp_path / "recordings")
    frames = {"height": 2, "width": 2, "encoding": "mono8", "step": 2, "data": bytes(4), "header": header(1)}
    images = [(f"/cam{n}", "sensor_msgs/msg/Image", 1, frames) for n in range(2)]
    shutil.copy(write_bag(tmp_path / "ros2", "mcap", images), tmp_path / "flight.mcap")
    shell = Shell(tmp_path, unused_port, {"PATH": str(shared / "data" / "euroc_micro"), "DIR": "served"})
    try:
        for line in [*BEFORE.get(document, []), *lines(document)]:
            if is_elsewhere(line):
                continue
            out = shell.run(line)
            for start, printed in PRINTED.items():
                assert not line.startswith(start) or printed in out, f"{line}\n{out}"
    finally:
        shell.close()


def test_nothing_is_listed_for_no_line() -> None:
    said = [line for document in PAGES for line in lines(document)]
    words = [" ".join(shlex.split(line, comments=True)).removesuffix(" &") for line in said]
    for pattern in ELSEWHERE:
        assert any(re.fullmatch(pattern, line) for line in words), f"no line is like {pattern!r} any more"
    for start in (*SHORTER, *PRINTED):
        assert any(line.startswith(start) for line in said), f"no line begins with {start!r} any more"


def test_make_knows_its_targets() -> None:
    text = "\n".join((ROOT / document).read_text() for document in PAGES)
    targets = set(re.findall(r"^make ([\w-]+)|`make ([\w-]+)`", text, re.MULTILINE))
    names = {first or second for first, second in targets}
    assert {"demo", "test", "bench", "docs"} <= names
    done = subprocess.run(
        ["make", "--dry-run", *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
