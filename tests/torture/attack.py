"""What attacks share: results, writers that count what was acknowledged, the comparison afterwards."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from harness.daemon import Daemon

from mosaicolabs import MosaicoClient
from mosaicolabs.exceptions import MosaicoError

START_SECONDS = 60
END_SECONDS = 120
WRITER = Path(__file__).with_name("writer.py")


class UnavailableError(Exception):
    """The attack needs something that this machine lacks, or does not permit; the text says what."""


@dataclass
class Result:
    """What an attack did, and what it found."""

    attack: str
    size: str
    """The number of blows, in words."""
    compared: int = 0
    """Acknowledged rows that were read and compared afterwards."""
    lost: int = 0
    """Acknowledged rows that were missing, doubled or different."""
    faults: list[str] = field(default_factory=list)
    """Everything else that must not happen: a panic, an internal error, a hang, memory beyond its limit."""

    @property
    def held(self) -> bool:
        return not self.lost and not self.faults


@dataclass(frozen=True)
class Budget:
    """How long an attack lasts."""

    seconds: float
    inputs: int | None = None
    """Of attacks with random inputs: their number, instead of the time."""

    def until(self) -> float:
        """The end of an attack that begins now, by the monotonic clock."""
        return time.monotonic() + self.seconds

    def left(self, until: float, done: int) -> bool:
        """Whether an attack with random inputs continues."""
        return time.monotonic() < until if self.inputs is None else done < self.inputs


class Attack(Protocol):
    """One kind of attack."""

    def __call__(self, folder: Path, budget: Budget, chance: random.Random) -> Result: ...


def faults_in_log(daemon: Daemon) -> list[str]:
    """Panics and internal errors in the log output of a daemon."""
    lines = daemon.log.read_text(errors="replace").splitlines()
    marks = ("panicked at", "code=internal")
    return [line[:300] for line in lines if any(mark in line for mark in marks)][:5]


def within(seconds: float, what: str, check: Callable[[], bool]) -> None:
    """Returns as soon as `check` is true."""
    until = time.monotonic() + seconds
    while not check():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


# -- writers ---------------------------------------------------------------------------------------


def progress_of(folder: Path, sequence: str) -> int:
    """The rows of a sequence that its writer knew to be durable."""
    file = folder / f"{sequence}.acknowledged"
    return int(file.read_text() or 0) if file.exists() else 0


@dataclass
class Recording:
    """A sequence and the process that records it."""

    process: subprocess.Popen[bytes]
    log: Path

    def fault(self) -> str | None:
        """How the writer ended, unless it reached its end."""
        if self.process.returncode == 0:
            return None
        text = self.log.read_text(errors="replace").strip().splitlines()
        return f"a writer ended with {self.process.returncode}: {' '.join(text[-1:])[:300]}"


@contextmanager
def writers(
    addresses: list[str], folder: Path, count: int, chance: random.Random, timeout_s: float = 60
) -> Iterator[dict[str, Recording]]:
    """Processes that record one sequence each; at the end of the block they finalize it and end.

    The names of the sequences begin with that of the folder.
    """
    started: dict[str, Recording] = {}
    try:
        for number in range(count):
            name = f"{folder.name}-{number}"
            command = [sys.executable, str(WRITER), *addresses, "--sequence", name, "--folder", str(folder)]
            command += ["--seed", str(chance.randrange(1 << 30)), "--timeout", str(timeout_s)]
            log = folder / f"{name}.writer.log"
            with log.open("w") as errors:
                started[name] = Recording(subprocess.Popen(command, stderr=errors), log)
        yield started
    finally:
        (folder / "stop").touch()
        until = time.monotonic() + END_SECONDS
        for recording in started.values():
            try:
                recording.process.wait(max(0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                recording.process.kill()
                recording.process.wait()


def address_of(daemon: Daemon) -> list[str]:
    """Where a daemon listens."""
    return [f"{daemon.host}:{daemon.port}"]


def wait_for_rows(folder: Path, recordings: dict[str, Recording], beyond: int = 0) -> None:
    """Returns when each writer has more acknowledged rows than that."""

    def is_recording() -> bool:
        for recording in recordings.values():
            if recording.process.poll() is not None:
                raise RuntimeError(recording.fault() or "a writer ended early")
        return all(progress_of(folder, sequence) > beyond for sequence in recordings)

    within(START_SECONDS, "each writer has acknowledged rows", is_recording)


def compare(client: MosaicoClient, folder: Path, sequences: Iterable[str], result: Result) -> None:
    """Each sequence has its rows in order, once each, at least as far as they were acknowledged."""
    for sequence in sequences:
        acknowledged = progress_of(folder, sequence)
        result.compared += acknowledged
        try:
            handler = client.topic_handler(sequence, "t")
            found = None if handler is None else handler.to_arrow()["data"].to_numpy()
        except MosaicoError as error:
            result.faults.append(f"{sequence} cannot be read: {error}"[:300])
            found = None
        if found is None:
            result.lost += acknowledged
            continue
        wrong = np.flatnonzero(found != np.arange(len(found)))
        good = int(wrong[0]) if len(wrong) else len(found)
        result.lost += max(0, acknowledged - good)
        if len(wrong):
            result.faults.append(f"{sequence}: row {good} of {len(found)} has the value {found[good]}")


def compare_finished(
    client: MosaicoClient, folder: Path, recordings: dict[str, Recording], result: Result
) -> None:
    """As `compare`; each writer has reached its end too, so each sequence is complete."""
    result.faults += filter(None, (recording.fault() for recording in recordings.values()))
    compare(client, folder, recordings, result)
    for name in recordings:
        handler = client.sequence_handler(name)
        if handler is None or not handler.is_locked:
            result.faults.append(f"{name} is not finalized")
