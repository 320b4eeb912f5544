"""What attacks share: results, writers that count what was acknowledged, the comparison afterwards."""

import multiprocessing
import random
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import numpy as np
from harness.daemon import Daemon

from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy
from mosaicolabs.exceptions import MosaicoError

START_SECONDS = 60


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


class Attack(Protocol):
    """One kind of attack; `run` ends after about `seconds`."""

    def __call__(self, folder: Path, seconds: float, chance: random.Random) -> Result: ...


def faults_in_log(daemon: Daemon) -> list[str]:
    """Panics and internal errors in the log output of a daemon."""
    lines = daemon.log.read_text(errors="replace").splitlines()
    marks = ("panicked at", "code=internal")
    return [line[:300] for line in lines if any(mark in line for mark in marks)][:5]


# -- writers ---------------------------------------------------------------------------------------


def progress_of(folder: Path, sequence: str) -> int:
    """The rows of a sequence that its writer knew to be durable."""
    file = folder / f"{sequence}.acknowledged"
    return int(file.read_text() or 0) if file.exists() else 0


def record(port: int, folder: str, sequence: str, seed: int, stop: str, patience_s: float) -> None:
    """Records row n with value n until the file `stop` exists; notes what is acknowledged. For a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    chance, row, progress = random.Random(seed), 0, Path(folder, f"{sequence}.acknowledged")
    with (
        MosaicoClient.connect("127.0.0.1", port) as client,
        client.sequence_create(
            sequence, {"seed": seed}, on_error=OnErrorPolicy.Report, reconnect_timeout_s=patience_s
        ) as writer,
    ):
        topic = writer.topic_create("t", {}, Integer64)
        while not Path(stop).exists():
            values = np.arange(row, row + chance.randrange(1, 3000))
            topic.push_columns({"data": values}, timestamp_ns=values)
            row += len(values)
            if chance.random() < 0.5:
                topic.flush()
                # One write of a few bytes at one place: a reader never sees half of it.
                progress.write_text(f"{row:<20}")
            time.sleep(chance.uniform(0, 0.02))
    progress.write_text(f"{row:<20}")


@contextmanager
def writers(
    daemon: Daemon, folder: Path, count: int, chance: random.Random, patience_s: float = 60
) -> Iterator[dict[str, BaseProcess]]:
    """Processes that record one sequence each; told to finish at the end of the block."""
    stop = folder / "stop"
    context = multiprocessing.get_context("spawn")
    started = {}
    for number in range(count):
        name = f"run-{number}"
        arguments = (daemon.port, str(folder), name, chance.randrange(1 << 30), str(stop), patience_s)
        started[name] = context.Process(target=record, args=arguments, daemon=True)
    try:
        for process in started.values():
            process.start()
        yield started
    finally:
        stop.touch()
        for process in started.values():
            process.join(START_SECONDS)
            if process.exitcode is None:
                process.kill()


def wait_for_rows(folder: Path, sequences: Iterable[str]) -> None:
    """Returns when each writer has an acknowledged row."""
    deadline = time.monotonic() + START_SECONDS
    while not all(progress_of(folder, sequence) for sequence in sequences):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the writers did not begin within {START_SECONDS} s")
        time.sleep(0.05)


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
        right = np.flatnonzero(found != np.arange(len(found)))
        good = int(right[0]) if len(right) else len(found)
        result.lost += max(0, acknowledged - good)
        if len(right):
            result.faults.append(f"{sequence}: row {good} of {len(found)} has the value {found[good]}")
