"""kill -9, of daemons, of clients, and of maintenance."""

import random
import signal
import subprocess
import time
from pathlib import Path

from attack import Result, compare, faults_in_log, wait_for_rows, writers
from harness.daemon import MOSAICOD, Daemon

WRITERS = 4
OPTIONS = ("--writer-timeout", "0", "--chunk-bytes", "200000")


def kill_daemon(folder: Path, seconds: float, chance: random.Random) -> Result:
    """The daemon is killed at random moments while writers record; each of them resumes."""
    kills = 0
    with Daemon(folder / "store", *OPTIONS) as daemon:
        with writers(daemon, folder, WRITERS, chance) as recording:
            wait_for_rows(folder, recording)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(chance.uniform(0, 0.8))
                daemon.kill()
                daemon.restart()
                kills += 1
        result = Result("the daemon is killed while it records", f"{kills} kills, {WRITERS} writers")
        for name, process in recording.items():
            if process.exitcode != 0:
                result.faults.append(f"the writer of {name} ended with {process.exitcode}")
        with daemon.connect() as client:
            compare(client, folder, recording, result)
            # Each writer reached its end, so each sequence is complete.
            for name in recording:
                handler = client.sequence_handler(name)
                if handler is None or not handler.is_locked:
                    result.faults.append(f"{name} is not finalized")
        result.faults += faults_in_log(daemon)
    return result


def kill_clients(folder: Path, seconds: float, chance: random.Random) -> Result:
    """Writers are killed; what they knew to be acknowledged is readable."""
    result = Result("clients are killed while they record", "")
    kills = 0
    with Daemon(folder / "store", *OPTIONS) as daemon:
        until = time.monotonic() + seconds
        for round_ in range(10_000):
            if time.monotonic() > until:
                break
            place = folder / f"round-{round_}"
            place.mkdir()
            with writers(daemon, place, 2, chance) as recording:
                wait_for_rows(place, recording)
                time.sleep(chance.uniform(0, 0.5))
                for process in recording.values():
                    process.kill()
                    process.join()
                    kills += 1
            with daemon.connect() as client:
                compare(client, place, recording, result)
                for name in recording:
                    client.sequence_delete(name)
        result.faults += faults_in_log(daemon)
    result.size = f"{kills} kills"
    return result


def kill_maintenance(folder: Path, seconds: float, chance: random.Random) -> Result:
    """`rebuild`, `compact`, `gc` and `check --repair` are killed; the store stays whole."""
    result = Result("maintenance is killed", "")
    store, kills = folder / "store", 0
    with Daemon(store, *OPTIONS) as daemon:
        with writers(daemon, folder, WRITERS, chance) as recording:
            wait_for_rows(folder, recording)
            time.sleep(1)
        daemon.stop(signal.SIGTERM)
        commands = (["rebuild"], ["compact"], ["gc", "--orphan-grace", "0"], ["check", "--repair"])
        known = [command for command in commands if _runs(command, store)]
        if len(known) < len(commands):
            result.faults.append(f"only {known} of {commands} run")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            command = [str(MOSAICOD), *chance.choice(known), "--local-store", str(store)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
            process.wait()
            kills += 1
        daemon.restart()
        with daemon.connect() as client:
            compare(client, folder, recording, result)
        result.faults += faults_in_log(daemon)
    result.size = f"{kills} kills"
    return result


def _runs(command: list[str], store: Path) -> bool:
    done = subprocess.run(
        [str(MOSAICOD), *command, "--local-store", str(store)], capture_output=True, timeout=60, check=False
    )
    return done.returncode == 0


def pause_daemon(folder: Path, seconds: float, chance: random.Random) -> Result:
    """The daemon stands still for a while (SIGSTOP), as under a debugger or on a frozen machine."""
    pauses = 0
    with Daemon(folder / "store", *OPTIONS) as daemon:
        with writers(daemon, folder, WRITERS, chance) as recording:
            wait_for_rows(folder, recording)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                daemon.pause()
                time.sleep(chance.uniform(0, 2))
                daemon.send(signal.SIGCONT)
                pauses += 1
                time.sleep(chance.uniform(0, 0.5))
        result = Result("the daemon is paused while it records", f"{pauses} pauses, {WRITERS} writers")
        with daemon.connect() as client:
            compare(client, folder, recording, result)
        result.faults += faults_in_log(daemon)
        result.faults += [
            f"the writer of {name} ended with {process.exitcode}"
            for name, process in recording.items()
            if process.exitcode != 0
        ]
    return result
