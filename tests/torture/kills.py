"""kill -9, of daemons, of clients, and of maintenance; and pauses."""

import random
import signal
import subprocess
import time
from pathlib import Path

from attack import (
    Budget,
    Result,
    address_of,
    compare,
    compare_finished,
    faults_in_log,
    progress_of,
    wait_for_rows,
    writers,
)
from harness.daemon import MOSAICOD, Daemon, run_mosaicod

WRITERS = 4
OPTIONS = ("--writer-timeout", "0", "--chunk-bytes", "200000")
"""Small chunks, so that each blow meets some in the making."""
MAINTAINED_ROWS = 50_000
OFFLINE = (["rebuild"], ["compact"], ["gc", "--orphan-grace", "0"], ["check", "--repair"])
ONLINE = (["rebuild"], ["check"], ["gc", "--orphan-grace", "0"], ["stats"], ["compact"])


def kill_daemon(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """The daemon is killed at random moments while writers record; each of them resumes."""
    result, kills = Result("the daemon is killed while it records", ""), 0
    with Daemon(folder / "store", *OPTIONS) as daemon:
        with writers(address_of(daemon), folder, WRITERS, chance) as recordings:
            wait_for_rows(folder, recordings)
            until = budget.until()
            while time.monotonic() < until:
                time.sleep(chance.uniform(0, 0.8))
                daemon.kill()
                daemon.restart()
                kills += 1
        with daemon.connect() as client:
            compare_finished(client, folder, recordings, result)
        result.faults += faults_in_log(daemon)
    result.size = f"{kills:,} kills, {WRITERS} writers"
    return result


def kill_clients(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """Writers are killed; what they knew to be acknowledged is readable."""
    result, kills = Result("clients are killed while they record", ""), 0
    with Daemon(folder / "store", *OPTIONS) as daemon:
        until = budget.until()
        while time.monotonic() < until:
            place = folder / f"round-{kills}"
            place.mkdir()
            with writers(address_of(daemon), place, 2, chance) as recordings:
                wait_for_rows(place, recordings)
                time.sleep(chance.uniform(0, 0.5))
                for recording in recordings.values():
                    recording.process.kill()
                    recording.process.wait()
                    kills += 1
            with daemon.connect() as client:
                compare(client, place, recordings, result)
                for name in recordings:
                    client.sequence_delete(name)
        result.faults += faults_in_log(daemon)
    result.size = f"{kills:,} kills"
    return result


def kill_maintenance(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """`rebuild`, `compact`, `gc` and `check --repair` are killed; the store stays whole."""
    result, store, kills = Result("maintenance is killed", ""), folder / "store", 0
    with Daemon(store, *OPTIONS) as daemon:
        with writers(address_of(daemon), folder, WRITERS, chance) as recordings:
            wait_for_rows(folder, recordings, MAINTAINED_ROWS)
        daemon.stop(signal.SIGTERM)
        for command in OFFLINE:
            done = run_mosaicod(*command, "--local-store", store)
            if done.returncode != 0:
                result.faults.append(f"`{' '.join(command)}`: {done.stderr[-200:]}")
        until = budget.until()
        while time.monotonic() < until:
            kills += _begin_and_kill(store, chance.choice(OFFLINE), chance.uniform(0, 0.1))
        daemon.restart()
        with daemon.connect() as client:
            compare_finished(client, folder, recordings, result)
        result.faults += faults_in_log(daemon)
    result.size = f"{kills:,} kills"
    return result


def _begin_and_kill(store: Path, command: list[str], after_s: float) -> int:
    """Starts a command and kills it; 1, or 0 if it had ended by then."""
    process = subprocess.Popen(
        [str(MOSAICOD), *command, "--local-store", str(store)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return int(process.returncode == -signal.SIGKILL)


def maintain_beside_recording(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """Commands beside a daemon that records: it rebuilds its catalog itself, and refuses all others."""
    result, store = Result("maintenance beside a recording", ""), folder / "store"
    kills, runs, refused = 0, 0, 0
    # It collects garbage all the time.
    with Daemon(store, *OPTIONS, "--orphan-grace", "0") as daemon:
        with writers(address_of(daemon), folder, WRITERS, chance) as recordings:
            wait_for_rows(folder, recordings)
            until = budget.until()
            while time.monotonic() < until:
                command = chance.choice(ONLINE)
                if chance.random() < 0.5:
                    kills += _begin_and_kill(store, command, chance.uniform(0, 0.2))
                    continue
                done = run_mosaicod(*command, "--local-store", store)
                runs, refused = runs + 1, refused + (done.returncode != 0)
                is_right = done.returncode == 0 if command == ["rebuild"] else "in use" in done.stderr
                if not is_right:
                    result.faults.append(f"`{' '.join(command)}`: {done.returncode} {done.stderr[-200:]}")
            end = max(progress_of(folder, name) for name in recordings)
            wait_for_rows(folder, recordings, end)
        with daemon.connect() as client:
            compare_finished(client, folder, recordings, result)
        result.faults += faults_in_log(daemon)
    result.size = f"{runs:,} commands, {refused:,} of them refused, {kills:,} killed"
    return result


def pause_daemon(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """The daemon stands still for a while (SIGSTOP), as under a debugger or on a frozen machine."""
    result, pauses = Result("the daemon is paused while it records", ""), 0
    with Daemon(folder / "store", *OPTIONS) as daemon:
        with writers(address_of(daemon), folder, WRITERS, chance) as recordings:
            wait_for_rows(folder, recordings)
            until = budget.until()
            while time.monotonic() < until:
                daemon.pause()
                time.sleep(chance.uniform(0, 2))
                daemon.send(signal.SIGCONT)
                pauses += 1
                time.sleep(chance.uniform(0, 0.5))
        with daemon.connect() as client:
            compare_finished(client, folder, recordings, result)
        result.faults += faults_in_log(daemon)
    result.size = f"{pauses:,} pauses, {WRITERS} writers"
    return result
