"""A real Postgres, so that daemons share a catalogue as they do elsewhere."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "with_postgres"


class SharedPostgres:
    """That of `tests/with_postgres`, if it runs these tests; else one for the `with` block."""

    def __init__(self) -> None:
        self.url = os.environ.get("MOSAICO_TEST_POSTGRES", "")
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "SharedPostgres":
        if self.url:
            return self
        # It serves until its command ends, which waits for the end of its input.
        command = [str(SCRIPT), "sh", "-c", 'echo "$MOSAICO_TEST_POSTGRES"; exec cat']
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            _, text = self._process.communicate()
            assert self._process.returncode == 0, text
            pytest.skip(text.strip())
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()
