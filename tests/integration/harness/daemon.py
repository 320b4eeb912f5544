"""The real `mosaicod` as a child process."""

import hashlib
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from mosaicolabs import MosaicoClient

MOSAICOD = Path(sys.executable).with_name("mosaicod")
START_SECONDS = 20


def run_mosaicod(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end; for starts that are refused."""
    command = [str(MOSAICOD), *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
        env={**os.environ, **environment},
    )


def _database(store: Path) -> list[str]:
    """Where the catalog of a store lies: in the running Postgres below `tests/with_postgres`."""
    if os.environ.get("MOSAICO_TEST_CATALOG") != "postgres":
        return []
    url = os.environ["MOSAICO_TEST_POSTGRES"]
    schema = f"test_{hashlib.sha256(bytes(store)).hexdigest()[:16]}"
    return ["--database", url, "--database-schema", schema]


class Daemon:
    """`mosaicod run` on a folder; killed at the end of the `with` block."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        descriptors: int | None = None,
        environment: Mapping[str, str] | None = None,
        wrap: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = 0
        self.monitor: str | None = None  # URL of the HTTP side, with --http-port
        self.log = folder.parent / f"{folder.name}.log"
        self.store = str(folder)
        self._arguments = ["--local-store", self.store, *arguments, *_database(folder)]
        self._environment = dict(environment or {})
        # The shell sets the limit of open files, and becomes the daemon.
        limit = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"]
        self._wrap = [*wrap, *(limit if descriptors else [])]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts it, on the port it had before if any, and waits for its ready line."""
        command = [*self._wrap, str(MOSAICOD), "run", "--port", str(self.port), *self._arguments]
        environment = {**os.environ, **self._environment}
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        try:
            self._read_places(self._ready_line())
        except BaseException:
            self.kill()
            raise

    def _read_places(self, line: str) -> None:
        places = r"grpc(?:\+tls)?://([\d.]+):(\d+)(?:, (https?://\S+))?"
        ready = re.fullmatch(rf"mosaicod \S+ listening on {places}, store (.+)\n", line)
        assert ready, f"ready line {line!r}, log: {self.log.read_text()}"
        assert ready[4] == self.store
        self.host, self.port, self.monitor = ready[1], int(ready[2]), ready[3]

    def _ready_line(self) -> str:
        stdout = self.process.stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], START_SECONDS)
        assert readable, f"mosaicod was not ready within {START_SECONDS} s; log: {self.log.read_text()}"
        return stdout.readline()

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the daemon was not started"
        return self._process

    def connect(self, **arguments: Any) -> MosaicoClient:
        return MosaicoClient.connect(self.host, self.port, **arguments)

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body of the answer to monitors."""
        assert self.monitor is not None, "it was started without --http-port"
        try:
            with urllib.request.urlopen(self.monitor + path, timeout=START_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def pause(self) -> None:
        """SIGSTOP; returns when all of its threads stand still, until SIGCONT."""
        self.send(signal.SIGSTOP)
        threads = Path(f"/proc/{self.process.pid}/task")
        deadline = time.monotonic() + START_SECONDS
        while not all("State:\tT" in (task / "status").read_text() for task in threads.iterdir()):
            assert time.monotonic() < deadline, "the daemon does not stop"
            time.sleep(0.005)

    def stop(self, number: signal.Signals) -> int:
        """Sends a signal, waits for the end, returns the exit code."""
        self.send(number)
        with self.process:
            return self.process.wait(START_SECONDS)

    def kill(self) -> None:
        """kill -9, as a power cut would end it."""
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        """Starts it again after `kill` or `stop`, on the same folder and port."""
        assert self.process.poll() is not None, "the daemon still runs"
        self.start()

    def memory_bytes(self) -> int:
        """Resident memory."""
        return psutil.Process(self.process.pid).memory_info().rss

    def reset_peak(self) -> None:
        """`peak_bytes` counts from here."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """The most resident memory since the start or the last reset."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found, "the kernel does not tell the peak of memory"
        return int(found[1]) * 1024

    def __enter__(self) -> "Daemon":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()


class BucketDaemon(Daemon):
    """`mosaicod run` on a bucket, or on a prefix of one; `folder` is its state folder.

    A bucket without a prefix is named by the settings that Mosaico's daemon has.
    """

    def __init__(
        self,
        folder: Path,
        bucket: str,
        port: int,
        keys: tuple[str, str],
        *arguments: str,
        host: str = "127.0.0.1",
        wrap: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, wrap=wrap)
        self.store = f"s3://{bucket}"
        # A server that takes the bucket over finds the catalog of the one before.
        self._arguments = ["--state-dir", str(folder), *arguments, *_database(Path(self.store))]
        self._environment = {
            "MOSAICO_STORE_ENDPOINT": f"http://{host}:{port}",
            "MOSAICO_STORE_ACCESS_KEY": keys[0],
            "MOSAICO_STORE_SECRET_KEY": keys[1],
        }
        self._environment["MOSAICO_STORE" if "/" in bucket else "MOSAICO_STORE_BUCKET"] = (
            self.store if "/" in bucket else bucket
        )
