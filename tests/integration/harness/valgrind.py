"""Counts the instructions of calls with valgrind.

Unlike times, they do not depend on what else the machine does.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness.service import MissingServiceError, run_installer

COUNTED = "builtin_any"
"""The function in CPython whose calls are counted, each on its own: a script calls `any`."""

LEAST = 100_000
"""Calls below this many instructions are those of libraries, such as while they are imported."""


def install() -> None:
    """Installs valgrind where it is missing and it may."""
    if shutil.which("valgrind"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise MissingServiceError("there is no valgrind; install the package valgrind")
    run_installer("apt-get", "update")
    run_installer(
        "apt-get", "install", "-y", "--no-install-recommends", "valgrind", DEBIAN_FRONTEND="noninteractive"
    )


def count_instructions(folder: Path, script: str) -> list[int]:
    """The instructions of each long call of `any` in a script, in order; without those of other threads."""
    install()
    out = folder / "callgrind.out"
    subprocess.run(
        [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={out}",
            f"--toggle-collect={COUNTED}",
            f"--dump-after={COUNTED}",
            sys.executable,
            "-c",
            script,
        ],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        check=True,
        capture_output=True,
        text=True,
    )
    dumps = sorted(folder.glob("callgrind.out.*"), key=lambda path: int(path.suffix[1:]))
    return [total for dump in dumps if (total := _total(dump)) >= LEAST]


def _total(dump: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", dump.read_text(), re.MULTILINE)
    assert found, f"{dump} has no total"
    return int(found[1])
