"""A real MinIO, for tests against an S3 implementation."""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

BINARY = Path(os.environ.get("MOSAICO_MINIO", Path.home() / ".cache" / "mosaicolabs" / "minio" / "minio"))
KEY, SECRET = "recorder", "a-secret-of-tests"
START_SECONDS = 60


def require_minio() -> Path:
    """The program; without it tests are skipped, but not where CI could have built it."""
    if BINARY.is_file():
        return BINARY
    text = f"{BINARY} is missing; `make minio` builds it with Go, MOSAICO_MINIO names another one"
    if os.environ.get("CI") and shutil.which("go"):
        pytest.fail(text)
    pytest.skip(text)


class Minio:
    """`minio server` on a folder; each folder in it is a bucket. Killed at the end of the `with` block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self._log = (folder.parent / "minio.log").open("w")
        address = ["--address", f"127.0.0.1:{self.port}", "--console-address", "127.0.0.1:0"]
        environment = {**os.environ, "MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET}
        environment |= {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
        self._process = subprocess.Popen(
            [require_minio(), "server", str(folder), *address],
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/minio/health/ready", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        pytest.fail(f"MinIO was not ready within {START_SECONDS} s; log: {Path(self._log.name).read_text()}")

    def make_bucket(self, name: str) -> str:
        (self.folder / name).mkdir()
        return name

    def objects(self, bucket: str) -> set[str]:
        """The names of all objects; MinIO keeps each as a folder with its description in it."""
        root = self.folder / bucket
        return {str(file.parent.relative_to(root)) for file in root.rglob("xl.meta")}

    def __enter__(self) -> "Minio":
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()
        self._log.close()
