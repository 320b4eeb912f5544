"""Clocks that jump: the wall clock of the daemon, by libfaketime, in both directions and by years."""

import os
import random
import shutil
import sys
import time
from pathlib import Path

from attack import (
    Budget,
    Result,
    UnavailableError,
    address_of,
    compare_finished,
    faults_in_log,
    wait_for_rows,
    writers,
)
from harness.daemon import Daemon
from harness.service import MissingServiceError, run_installer

PACKAGE = "libfaketime"
WRITERS = 4
OPTIONS = ("--writer-timeout", "60", "--orphan-grace", "1", "--chunk-bytes", "200000")
"""What expires does so within seconds, by a clock that does not jump."""
LONGEST_JUMP_S = 10 * 365 * 24 * 3600


def _library() -> Path:
    """libfaketime for programs with threads, installed where it is missing and that is possible."""

    def find() -> Path | None:
        return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

    if (found := find()) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {PACKAGE}", file=sys.stderr, flush=True)
        try:
            run_installer("apt-get", "update")
            run_installer("apt-get", "install", "-y", "--no-install-recommends", PACKAGE)
        except MissingServiceError as error:
            raise UnavailableError(str(error)) from error
        found = find()
    if found is None:
        raise UnavailableError(f"a clock that jumps needs the package {PACKAGE}")
    return found


class JumpingClock:
    """The wall clock of a daemon. Its monotonic clock is that of the machine, as in a real jump."""

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: int) -> None:
        """Moves the clock to this distance from the true time."""
        new = self._offset.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._offset)


def jump_clock(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """The clock jumps while writers record and garbage is collected; sometimes across a restart."""
    result, jumps = Result("the clock jumps by up to ten years", ""), 0
    clock = JumpingClock(folder)
    daemon = Daemon(folder / "store", *OPTIONS, environment=clock.environment)
    with daemon:
        with writers(address_of(daemon), folder, WRITERS, chance) as recordings:
            wait_for_rows(folder, recordings)
            until = budget.until()
            while time.monotonic() < until:
                clock.set(chance.randint(-LONGEST_JUMP_S, LONGEST_JUMP_S))
                jumps += 1
                time.sleep(chance.uniform(0, 1.5))
                if chance.random() < 0.2:
                    daemon.kill()
                    daemon.restart()
        with daemon.connect() as client:
            compare_finished(client, folder, recordings, result)
        result.faults += faults_in_log(daemon)
    result.size = f"{jumps:,} jumps, {WRITERS} writers"
    return result
