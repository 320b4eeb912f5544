"""One flipped bit at every byte of a small store: what is read is right, or it is an error that says so.

Each start of a daemon tests many flips: the store has many copies of two sequences, one finalized and one
whose rows are in the write-ahead log, and each copy gets one flip. So all bytes of a sequence are tried
within minutes. The bytes of files that all sequences share are tried one for each start, in the time left.
"""

import contextlib
import random
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from attack import Budget, Result, faults_in_log
from harness.daemon import Daemon

from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy, TopicWriter
from mosaicolabs.exceptions import InternalError, MosaicoError

ROWS = 200
ROWS_IN_WAL = 50
COPIES = range(10, 251)
"""Of each of the two sequences: few where the attack is short, since the store has to be written first."""
COPIES_PER_SECOND = 2
KINDS = {"done": ROWS, "open": ROWS_IN_WAL}
ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
SHARE = 0.75
"""The part of the time, at most, for the files of sequences."""


@dataclass(frozen=True)
class Flip:
    """A bit of a file of one sequence."""

    sequence: str
    file: Path
    at: int
    bit: int

    def apply(self, store: Path) -> None:
        with (store / self.file).open("r+b") as file:
            file.seek(self.at)
            byte = file.read(1)[0]
            file.seek(self.at)
            file.write(bytes([byte ^ 1 << self.bit]))

    def __str__(self) -> str:
        return f"{ID.sub('*', str(self.file))} at byte {self.at}, bit {self.bit}"


def flip_stored_bytes(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """Every byte of a sequence, then those of the files that all share, as long as there is time."""
    result = Result("one bit of a stored file is flipped", "")
    intact, single = folder / "intact", folder / "single"
    number = int(budget.seconds * COPIES_PER_SECOND)
    copies = _fill(intact, min(max(number, COPIES.start), COPIES[-1]))
    _fill(single, 1)
    until = budget.until()
    bytes_of_sequences = sum(_size(intact, found) for kind in copies.values() for found in kind[:1])
    tried = refused = 0
    for flips in _rounds(intact, copies, chance):
        if time.monotonic() > until - (1 - SHARE) * budget.seconds:
            break
        refused += _try(intact, folder / "round", flips, result)
        tried += len(flips)
    shared = [(file, at) for file in _shared(single) for at in range((single / file).stat().st_size)]
    chance.shuffle(shared)
    starts = 0
    for file, at in shared:
        if time.monotonic() > until:
            break
        refused += _try(single, folder / "round", [Flip("", file, at, chance.randrange(8))], result)
        starts += 1
    result.size = (
        f"{tried:,} of {bytes_of_sequences:,} bytes of sequences, {starts:,} of {len(shared):,} of shared "
        f"files, {refused:,} answered with errors"
    )
    return result


def _fill(store: Path, copies: int) -> dict[str, list[list[Path]]]:
    """Finalized sequences, and ones whose rows are in the WAL. Returns the files of each copy."""
    with Daemon(store) as daemon:
        with daemon.connect() as client:
            for number in range(copies):
                with client.sequence_create(f"done-{number:03}", {"site": "north"}) as sequence:
                    _push(sequence.topic_create("t", {"unit": "m"}, Integer64), ROWS)
            with contextlib.ExitStack() as open_ones:
                topics = []
                for number in range(copies):
                    open_one = client.sequence_create(
                        f"open-{number:03}", {}, on_error=OnErrorPolicy.Report, reconnect_timeout_s=0
                    )
                    open_ones.enter_context(contextlib.suppress(MosaicoError))
                    sequence = open_ones.enter_context(open_one)
                    topics.append(sequence.topic_create("t", {}, Integer64))
                    _push(topics[-1], ROWS_IN_WAL)
                for topic in topics:
                    topic.flush()
                daemon.kill()
                for topic in topics:
                    with contextlib.suppress(MosaicoError):
                        _push(topic, 1)
        with contextlib.suppress(MosaicoError):
            client.close()
    for file in store.glob("catalog.db*"):
        file.unlink()
    found: dict[str, list[list[Path]]] = {kind: [] for kind in KINDS}
    for record in sorted(store.glob("seq/*/sequence.json")):
        name = re.search(rb'"name":"(done|open)-', record.read_bytes())
        assert name is not None, record
        found[name[1].decode()].append(_files_of(store, record.parent))
    assert all(len(kind) == copies for kind in found.values()), found
    return found


def _files_of(store: Path, sequence: Path) -> list[Path]:
    """The files of a sequence, in an order that is the same for all copies."""
    topics = [topic.name for topic in sequence.glob("topic/*")]
    files = [file for file in sequence.rglob("*") if file.is_file()]
    files += [file for file in store.rglob("*.wal") if file.parent.name in topics]
    files = [file.relative_to(store) for file in files]
    return sorted(files, key=lambda file: ID.sub("*", str(file)))


def _size(store: Path, files: list[Path]) -> int:
    return sum((store / file).stat().st_size for file in files)


def _shared(store: Path) -> list[Path]:
    """The files that belong to no sequence and decide something."""
    names = [file.relative_to(store) for file in sorted(store.rglob("*")) if file.is_file()]
    skipped = ("catalog.db", "owner", "lock", "mosaicod.lock")
    return [name for name in names if not name.name.startswith(skipped) and not ID.search(str(name.parent))]


def _rounds(store: Path, copies: dict[str, list[list[Path]]], chance: random.Random) -> Iterator[list[Flip]]:
    """Every byte of both kinds of sequences once, each round at most one in each copy."""
    of_kinds = []
    for files_of_copies in copies.values():
        places = [
            (number, at)
            for number, file in enumerate(files_of_copies[0])
            for at in range((store / file).stat().st_size)
        ]
        chance.shuffle(places)
        size = len(files_of_copies)
        of_kinds.append([places[first : first + size] for first in range(0, len(places), size)])
    for number in range(max(map(len, of_kinds))):
        flips = []
        for kind, of_kind in zip(copies, of_kinds, strict=True):
            places = of_kind[number] if number < len(of_kind) else []
            for copy, ((file, at), files) in enumerate(zip(places, copies[kind], strict=False)):
                # Sizes differ by a digit of a number.
                last = (store / files[file]).stat().st_size - 1
                flips.append(Flip(f"{kind}-{copy:03}", files[file], min(at, last), chance.randrange(8)))
        yield flips


def _try(intact: Path, store: Path, flips: list[Flip], result: Result) -> int:
    """Applies flips to a copy of a store, compares all rows. Returns how many are answered with errors."""
    shutil.copytree(intact, store)
    for flip in flips:
        flip.apply(store)
    daemon = Daemon(store)
    try:
        daemon.start()
    except AssertionError:
        # A start may be refused, in words; the files stay as they are.
        text = daemon.log.read_text()
        if "panicked" in text or not text.strip():
            result.faults.append(f"{', '.join(map(str, flips[:3]))}: the start fails with `{text[-200:]}`")
        shutil.rmtree(store)
        if len(flips) == 1:
            return 1
        # Which flip is it? The others are to be tried too.
        half = len(flips) // 2
        return sum(_try(intact, store, part, result) for part in (flips[:half], flips[half:]))
    try:
        with daemon.connect() as client:
            names = client.list_sequences()
            flipped = {flip.sequence: flip for flip in flips}
            failed = 0
            for kind in KINDS:
                for number in range(len(list(intact.glob("seq/*"))) // len(KINDS)):
                    name = f"{kind}-{number:03}"
                    flip = flipped.get(name) or flipped.get("")
                    place = str(flip) if flip else f"{name}, which is intact"
                    is_error = _read(client, name, names, KINDS[kind], place, result)
                    if is_error and flip is None:
                        result.faults.append(f"{place}: its rows are not answered")
                    failed += is_error
    finally:
        result.faults += [f"{flips[0]} and others: {line}" for line in faults_in_log(daemon)]
        daemon.kill()
        daemon.log.unlink()
        shutil.rmtree(store)
    return min(failed, len(flips))


def _push(topic: TopicWriter, rows: int) -> None:
    topic.push_columns({"data": np.arange(rows)}, timestamp_ns=np.arange(rows))


def _read(client: MosaicoClient, name: str, names: list[str], rows: int, place: str, result: Result) -> bool:
    """Compares the rows of one sequence. Returns whether it was an error."""
    if name not in names:
        return True
    try:
        handler = client.topic_handler(name, "t")
        found = None if handler is None else handler.to_arrow()["data"].to_numpy()
    except InternalError as error:
        result.faults.append(f"{place}: {error}"[:300])
        return False
    except MosaicoError:
        return True
    if found is None:
        return True
    # A damaged frame of the WAL is quarantined and reported; the rows around it are served.
    wrong = ~np.isin(found, np.arange(rows)) | (np.diff(found, prepend=-1) <= 0)
    if name.startswith("done") and len(found) < rows:
        result.lost += rows - len(found)
        result.faults.append(f"{place}: {len(found)} of {rows} rows without an error")
    if wrong.any():
        result.lost += int(wrong.sum())
        result.faults.append(f"{place}: wrong values {found[wrong][:3]}")
    result.compared += len(found)
    return False
