"""One flipped bit at every byte of a small store: what is read is right, or it is an error that says so."""

import contextlib
import random
import shutil
import time
from pathlib import Path

import numpy as np
from attack import Budget, Result, faults_in_log
from harness.daemon import Daemon

from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy, TopicWriter
from mosaicolabs.exceptions import InternalError, MosaicoError

ROWS = 200
ROWS_IN_WAL = 50


def flip_stored_bytes(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """Files of the store and of the WAL, in random order until the time is over."""
    result = Result("one bit of a stored file is flipped", "")
    intact = folder / "intact"
    _fill(intact)
    places = [
        (file.relative_to(intact), at)
        for file in sorted(intact.rglob("*"))
        if file.is_file() and not file.name.startswith(("catalog.db", "owner", "lock"))
        for at in range(file.stat().st_size)
    ]
    chance.shuffle(places)
    until, flips, refused = budget.until(), 0, 0
    for number, (name, at) in enumerate(places):
        if time.monotonic() > until:
            break
        store = folder / f"flip-{number}"
        shutil.copytree(intact, store)
        file = store / name
        damaged = bytearray(file.read_bytes())
        damaged[at] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        refused += _read(store, f"{name} at byte {at}", result)
        flips += 1
        shutil.rmtree(store)
    result.size = f"{flips:,} of {len(places):,} bytes, {refused:,} answered with errors"
    return result


def _fill(store: Path) -> None:
    """A finalized sequence, and one whose rows are in the WAL."""
    with Daemon(store) as daemon:
        with daemon.connect() as client:
            with client.sequence_create("done", {"site": "north"}) as sequence:
                _push(sequence.topic_create("t", {"unit": "m"}, Integer64), ROWS)
            open_ = client.sequence_create("open", {}, on_error=OnErrorPolicy.Report, reconnect_timeout_s=0)
            with contextlib.suppress(MosaicoError), open_ as sequence:
                topic = sequence.topic_create("t", {}, Integer64)
                _push(topic, ROWS_IN_WAL)
                topic.flush()
                daemon.kill()
                _push(topic, 1)
    for file in store.glob("catalog.db*"):
        file.unlink()


def _push(topic: TopicWriter, rows: int) -> None:
    topic.push_columns({"data": np.arange(rows)}, timestamp_ns=np.arange(rows))


def _read(store: Path, place: str, result: Result) -> bool:
    """Compares all rows. Returns whether anything was an error."""
    failed = False
    daemon = Daemon(store)
    try:
        daemon.start()
    except AssertionError:
        # A start may be refused, in words; the files stay as they are.
        text = daemon.log.read_text()
        if "panicked" in text or not text.strip():
            result.faults.append(f"{place}: the start fails with `{text[-200:]}`")
        return True
    try:
        with daemon.connect() as client:
            for name, rows in (("done", ROWS), ("open", ROWS_IN_WAL)):
                try:
                    found = _rows(client, name)
                except InternalError as error:
                    result.faults.append(f"{place}: {error}"[:300])
                    continue
                except MosaicoError:
                    failed = True
                    continue
                if found is None:
                    failed = True
                    continue
                # A damaged frame of the WAL is quarantined and reported; the rows around it are served.
                wrong = ~np.isin(found, np.arange(rows)) | (np.diff(found, prepend=-1) <= 0)
                if name == "done" and len(found) < rows:
                    result.lost += rows - len(found)
                    result.faults.append(f"{place}: {len(found)} of {rows} rows without an error")
                if wrong.any():
                    result.lost += int(wrong.sum())
                    result.faults.append(f"{place}: wrong values {found[wrong][:3]}")
                result.compared += len(found)
    finally:
        result.faults += [f"{place}: {line}" for line in faults_in_log(daemon)]
        daemon.kill()
        daemon.log.unlink()
    return failed


def _rows(client: MosaicoClient, sequence: str) -> np.ndarray | None:
    handler = client.topic_handler(sequence, "t")
    return None if handler is None else handler.to_arrow()["data"].to_numpy()
