"""Python scripts in child processes, with which tests communicate line by line."""

import select
import signal
import subprocess
import sys
import time
from typing import Any

import psutil

ANSWER_SECONDS = 40


def finish(code: str, *arguments: object, **options: Any) -> str:
    """Runs a script to its successful end and returns what it printed."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


class Script:
    """A running script; killed at the end of the `with` block."""

    def __init__(self, code: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.pid = self._process.pid

    def hear(self) -> str:
        """Its next line."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], ANSWER_SECONDS)
        assert readable, f"the script said nothing for {ANSWER_SECONDS} s"
        line = self._process.stdout.readline()
        assert line, f"the script ended with code {self._process.wait(ANSWER_SECONDS)}"
        return line.strip()

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")

    def silent_for(self, seconds: float) -> bool:
        """Whether it says nothing and lives on."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], seconds)
        return not readable and self._process.poll() is None

    def interrupt(self) -> float:
        """Ctrl-C; returns the seconds until its next line."""
        start = time.monotonic()
        self._process.send_signal(signal.SIGINT)
        self.hear()
        return time.monotonic() - start

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(ANSWER_SECONDS)

    def memory_bytes(self) -> int:
        return psutil.Process(self.pid).memory_info().rss

    def __enter__(self) -> "Script":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
