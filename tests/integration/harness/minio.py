"""A real MinIO, for tests against an S3 implementation."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.service import MissingServiceError, find_unused_port, run_installer

BINARY = Path(os.environ.get("MOSAICO_MINIO", Path.home() / ".cache" / "mosaicolabs" / "minio" / "minio"))
PACKAGE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
KEY, SECRET = "recorder", "a-secret-of-tests"
START_SECONDS = 60


def find() -> Path:
    """The program, if it is there."""
    if not BINARY.is_file():
        text = f"{BINARY} is missing; `make services` builds it with Go, MOSAICO_MINIO names another one"
        raise MissingServiceError(text)
    return BINARY


def install() -> None:
    """Builds the program where it is missing."""
    if BINARY.is_file():
        return
    if not shutil.which("go"):
        raise MissingServiceError(f"{BINARY} is missing and building it needs Go; install Go")
    print("building MinIO, which takes about three minutes", file=sys.stderr, flush=True)
    run_installer("go", "install", PACKAGE, GOBIN=str(BINARY.parent))


class Minio:
    """A MinIO that runs; each folder in its folder is a bucket."""

    def __init__(self, folder: Path, port: int, host: str = "127.0.0.1") -> None:
        self.folder, self.port, self.host = folder, port, host

    @classmethod
    def running(cls) -> "Minio | None":
        """The one that `tests/with_services` started."""
        port = os.environ.get("MOSAICO_TEST_MINIO_PORT")
        return cls(Path(os.environ["MOSAICO_TEST_MINIO_FOLDER"]), int(port)) if port else None

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to find it with `running`."""
        return {"MOSAICO_TEST_MINIO_PORT": str(self.port), "MOSAICO_TEST_MINIO_FOLDER": str(self.folder)}

    def make_bucket(self, name: str) -> str:
        (self.folder / name).mkdir()
        return name

    def objects(self, bucket: str) -> set[str]:
        """The names of all objects; MinIO keeps each as a folder with its description in it."""
        root = self.folder / bucket
        return {str(file.parent.relative_to(root)) for file in root.rglob("xl.meta")}


class OwnMinio(Minio):
    """`minio server` on a new folder `data` in `parent`; killed at the end of the `with` block."""

    def __init__(self, parent: Path, host: str = "127.0.0.1", wrap: Sequence[str] = ()) -> None:
        super().__init__(parent / "data", find_unused_port(), host)
        self._wrap = wrap
        self._log = parent / "minio.log"
        self._running = ExitStack()

    def __enter__(self) -> "OwnMinio":
        program = find()
        self.folder.mkdir()
        address = ["--address", f"{self.host}:{self.port}", "--console-address", "127.0.0.1:0"]
        environment = {**os.environ, "MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET}
        environment |= {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
        with ExitStack() as opened:
            log = opened.enter_context(self._log.open("w"))
            process = subprocess.Popen(
                [*self._wrap, program, "server", str(self.folder), *address],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            opened.enter_context(process)
            opened.callback(process.kill)
            self._wait(process)
            self._running = opened.pop_all()
        return self

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://{self.host}:{self.port}/minio/health/ready", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError(
            f"MinIO was not ready within {START_SECONDS} s, exit code {process.poll()}; "
            f"log: {self._log.read_text()}"
        )

    def __exit__(self, *_: object) -> None:
        self._running.close()
