"""Attacks a daemon in every known way, and prints what held. `make torture` writes the table of the docs.

    python tests/torture [--seconds 1500] [--seed 1] [--only kill_daemon ...] [--write docs/reliability.md]
    python tests/torture --only random_frames random_bodies --inputs 10000000

All attacks together take about `--seconds`. The exit code is 1 if an acknowledged row is lost, or anything
else happened that must not happen. An attack that is not possible on this machine is left out, with the
reason; where `CI` is set that is an error too.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "integration")]

import pyarrow as pa
from attack import Attack, Budget, Result, UnavailableError
from bombs import compressed_bombs
from clocks import jump_clock
from disks import be_read_only, cut_power, fill_disk
from failover import fail_over
from flips import flip_stored_bytes
from floods import random_bodies, random_frames
from hosts import cut_hosts
from kills import kill_clients, kill_daemon, kill_maintenance, maintain_beside_recording, pause_daemon

from mosaicolabs.exceptions import MosaicoError

ATTACKS: tuple[Attack, ...] = (
    kill_daemon,
    kill_clients,
    kill_maintenance,
    maintain_beside_recording,
    pause_daemon,
    cut_power,
    fill_disk,
    be_read_only,
    jump_clock,
    flip_stored_bytes,
    random_frames,
    random_bodies,
    compressed_bombs,
    cut_hosts,
    fail_over,
)
SECONDS = 1500
LEAST_SECONDS = 1.5
"""Of each attack, however late it is."""
BLOWS = 0.7
"""The part of its time in which an attack strikes; the rest is for the start and the comparison."""
UNEXPECTED = (
    AssertionError,
    OSError,
    RuntimeError,
    subprocess.SubprocessError,
    MosaicoError,
    pa.ArrowException,
)
"""How an attack fails whose daemon does not start, hangs, or refuses what it must not refuse."""
BEGIN, END = "<!-- torture: begin -->", "<!-- torture: end -->"


def name_of(attack: Attack) -> str:
    return str(getattr(attack, "__name__", attack))


def run(attack: Attack, budget: Budget, seed: int) -> Result:
    """One attack in a folder of its own, which is removed."""
    with tempfile.TemporaryDirectory(prefix=f"torture-{name_of(attack)}-") as folder:
        try:
            return attack(Path(folder), budget, random.Random(seed))
        except UNEXPECTED as error:
            return Result(name_of(attack), "", faults=[f"{type(error).__name__}: {error}"[:500]])


def table(results: list[Result]) -> str:
    rows = [
        "| Attack | Size | Acknowledged rows compared | Lost | Result |",
        "| --- | --- | --- | --- | --- |",
    ]
    for found in results:
        verdict = "held" if found.held else "; ".join(found.faults[:3]) or "rows lost"
        rows.append(f"| {found.attack} | {found.size} | {found.compared:,} | {found.lost:,} | {verdict} |")
    return "\n".join(rows)


def write(page: Path, text: str) -> None:
    """Replaces the table between its marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Attacks a daemon in every way that is known.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time of all attacks (default: 1500)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="of the dice")
    parser.add_argument("--only", nargs="+", choices=[name_of(attack) for attack in ATTACKS])
    parser.add_argument("--inputs", type=int, help="of each attack with random inputs, instead of its time")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table into this page")
    given = parser.parse_args()
    print(f"seed {given.seed}", file=sys.stderr)
    attacks = [attack for attack in ATTACKS if not given.only or name_of(attack) in given.only]
    results, missing = [], 0
    end = time.monotonic() + given.seconds
    for number, attack in enumerate(attacks):
        begin = time.monotonic()
        # Starts and comparisons count too: the later attacks share what is left.
        share = max(LEAST_SECONDS, (end - begin) / (len(attacks) - number))
        try:
            results.append(run(attack, Budget(share * BLOWS, given.inputs), given.seed))
        except UnavailableError as reason:
            missing += 1
            print(f"{name_of(attack)}: not possible here: {reason}", file=sys.stderr)
            continue
        took = time.monotonic() - begin
        print(f"{name_of(attack)}: {took:.0f} s, {'held' if results[-1].held else 'FELL'}", file=sys.stderr)
    print(table(results))
    if given.write:
        write(given.write, table(results))
    failed = not all(result.held for result in results) or (missing and os.environ.get("CI"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
