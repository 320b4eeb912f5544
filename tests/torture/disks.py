"""Disks that fail: power cuts, a full disk, a file system that becomes read-only."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attack import Budget, Result, address_of, compare, faults_in_log, wait_for_rows, writers
from filesystem import MIB, FileSystem
from harness.daemon import Daemon
from kills import OPTIONS

DISK_MIB = 256
WRITERS = 3
AFTER_FAILURE_S = 2
"""How long writers may try to go on while the disk fails."""
FILLED_S = 0.5


def cut_power(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """The power fails while writers record: what was not synced is gone."""

    def blow(disk: FileSystem, daemon: Daemon) -> None:
        # Linux may report a sync that is in progress at this moment as successful, although its data is
        # lost. A program without power reports nothing.
        daemon.pause()
        disk.cut_power()
        daemon.kill()
        disk.repair()
        daemon.restart()

    return _in_rounds("power cuts while it records", "power cuts", folder, budget, chance, blow)


def be_read_only(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """The kernel makes the file system read-only; the daemon serves what it has until the repair."""

    def blow(disk: FileSystem, daemon: Daemon) -> None:
        # Linux reports a sync that is in progress at this moment as successful, and loses its data.
        daemon.pause()
        disk.be_read_only()
        daemon.send(signal.SIGCONT)
        with daemon.connect() as client:
            assert client.list_sequences(), "it still answers"
        daemon.kill()
        disk.repair()
        daemon.restart()

    return _in_rounds("the file system becomes read-only", "times", folder, budget, chance, blow)


def fill_disk(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """Another program fills the disk while writers record, and deletes its file a moment later."""

    def blow(disk: FileSystem, daemon: Daemon) -> None:
        with _filler(disk.mount_point):
            time.sleep(chance.uniform(0, FILLED_S))
            with daemon.connect() as client:
                assert client.list_sequences(), "it still answers"

    return _in_rounds("the disk is full while it records", "times", folder, budget, chance, blow)


@contextmanager
def _filler(folder: Path) -> Iterator[None]:
    """A file that takes all the space."""
    file = folder / "of-another-program"
    try:
        with file.open("wb", buffering=0) as filler, suppress(OSError):
            for piece in (MIB, 4096, 1):
                with suppress(OSError):
                    while True:
                        filler.write(bytes(piece))
        yield
    finally:
        file.unlink()


def _in_rounds(
    attack: str,
    unit: str,
    folder: Path,
    budget: Budget,
    chance: random.Random,
    blow: Callable[[FileSystem, Daemon], None],
) -> Result:
    """Each round: writers record, the blow, and a comparison; writers may end with an error."""
    result, rounds = Result(attack, ""), 0
    with FileSystem(folder, DISK_MIB) as disk, Daemon(disk.mount_point / "store", *OPTIONS) as daemon:
        # A log output on the broken disk would be lost.
        daemon.log = folder / "daemon.log"
        daemon.kill()
        daemon.restart()
        until = budget.until()
        while time.monotonic() < until or not rounds:
            place = folder / f"round-{rounds}"
            place.mkdir()
            with writers(address_of(daemon), place, WRITERS, chance, AFTER_FAILURE_S) as recordings:
                wait_for_rows(place, recordings)
                time.sleep(chance.uniform(0, 0.5))
                blow(disk, daemon)
            with daemon.connect() as client:
                compare(client, place, recordings, result)
            rounds += 1
        result.faults += faults_in_log(daemon)
        daemon.kill()
    result.size = f"{rounds:,} {unit}, {WRITERS} writers each"
    return result
