"""A process that records row n with value n until a file exists, and notes how many rows are acknowledged."""

import argparse
import random
import signal
import time
from pathlib import Path

import numpy as np

from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy


def note(progress: Path, rows: int) -> None:
    """One write of a few bytes at one place: a reader never sees half of it."""
    progress.write_text(f"{rows:<20}")


def record(addresses: list[str], sequence: str, folder: Path, seed: int, timeout_s: float) -> None:
    """Records until `folder/stop` exists."""
    chance, row, progress = random.Random(seed), 0, folder / f"{sequence}.acknowledged"
    with (
        MosaicoClient.connect(addresses, 1) as client,
        client.sequence_create(
            sequence, {"seed": seed}, on_error=OnErrorPolicy.Report, reconnect_timeout_s=timeout_s
        ) as writer,
    ):
        topic = writer.topic_create("t", {}, Integer64)
        while not (folder / "stop").exists():
            values = np.arange(row, row + chance.randrange(1, 3000))
            topic.push_columns({"data": values}, timestamp_ns=values)
            row += len(values)
            if chance.random() < 0.5:
                topic.flush()
                note(progress, row)
            time.sleep(chance.uniform(0, 0.02))
    note(progress, row)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("addresses", nargs="+", metavar="HOST:PORT")
    parser.add_argument("--sequence", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--timeout", type=float, required=True, help="seconds for which it tries to reconnect"
    )
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    record(given.addresses, given.sequence, given.folder, given.seed, given.timeout)
