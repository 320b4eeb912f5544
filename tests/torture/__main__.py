"""Attacks a daemon in every known way, and prints what held. `make torture` writes the table of the docs.

    python tests/torture [--seconds 60] [--seed 1] [--only kill_daemon ...] [--write docs/reliability.md]

Each attack runs for about `--seconds`. The exit code is 1 if an acknowledged row is lost, or anything else
happened that must not happen.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "integration")]

from attack import Attack, Result
from flips import flip_stored_bytes
from floods import random_bodies, random_frames
from kills import kill_clients, kill_daemon, kill_maintenance, pause_daemon

ATTACKS: tuple[Attack, ...] = (
    kill_daemon,
    kill_clients,
    kill_maintenance,
    pause_daemon,
    flip_stored_bytes,
    random_frames,
    random_bodies,
)
BEGIN, END = "<!-- torture: begin -->", "<!-- torture: end -->"


def name_of(attack: Attack) -> str:
    return str(getattr(attack, "__name__", attack))


def run(attack: Attack, seconds: float, seed: int) -> Result:
    """One attack in a folder of its own, which is removed."""
    with tempfile.TemporaryDirectory(prefix=f"torture-{name_of(attack)}-") as folder:
        return attack(Path(folder), seconds, random.Random(seed))


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
    parser.add_argument("--seconds", type=float, default=60, help="time of each attack (default: 60)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="of the dice")
    parser.add_argument("--only", nargs="+", choices=[name_of(attack) for attack in ATTACKS])
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the table into this page")
    given = parser.parse_args()
    print(f"seed {given.seed}", file=sys.stderr)
    results = []
    for attack in ATTACKS:
        if given.only and name_of(attack) not in given.only:
            continue
        begin = time.monotonic()
        results.append(run(attack, given.seconds, given.seed))
        took = time.monotonic() - begin
        print(f"{name_of(attack)}: {took:.0f} s, {'held' if results[-1].held else 'FELL'}", file=sys.stderr)
    print(table(results))
    if given.write:
        write(given.write, table(results))
    return 0 if all(result.held for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
