"""G15: starting with a large catalog, and rebuilding it from the store."""

import json
import sqlite3
import statistics
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import _catalog
from _harness import Options, Row, alternate, short
from _services import daemon


def rows(options: Options) -> list[Row]:
    count = options.sized(10_000)
    with TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        store, empty = folder / "store", folder / "empty"
        _catalog.fill(options, store, count)
        rebuild = alternate(
            {
                "ours": partial(_seconds, partial(_rebuild, options.mosaicod, store, count)),
                "other": partial(_seconds, partial(_scan, store, folder / "other.db", count)),
            },
            options,
        )
        start = {
            side: statistics.median(_start(options.mosaicod, place) for _ in range(options.repetitions))
            for side, place in {"ours": store, "other": empty}.items()
        }
    size = f"{short(count)} sequences"
    return [
        Row(
            goal="G15",
            case="rebuild of the catalog",
            size=size,
            unit="s",
            ours=rebuild["ours"],
            embedded=None,
            other=rebuild["other"],
            other_way="json, sqlite3",
            most=count / 2000,
        ),
        Row(
            goal="G15",
            case="start of the daemon",
            size=size,
            unit="s",
            ours=start["ours"],
            embedded=None,
            other=start["other"],
            other_way="the same, empty store",
            most=0.3,
        ),
    ]


def _seconds(job: Callable[[], None]) -> float:
    start = perf_counter()
    job()
    return perf_counter() - start


def _rebuild(mosaicod: Path, store: Path, count: int) -> None:
    command = [mosaicod, "rebuild", "--local-store", store, "--json"]
    done = subprocess.run(command, capture_output=True, check=True)
    found = json.loads(done.stdout)
    if found["topics"] != count or found["problems"]:
        raise RuntimeError(f"rebuilt {found}")


def _scan(store: Path, file: Path, count: int) -> None:
    """The least that a catalog needs: every commit record, with its chunks, in one table."""
    file.unlink(missing_ok=True)
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE topic (id TEXT PRIMARY KEY, path TEXT, key TEXT, rest TEXT)")
        found = 0
        for path in (store / "seq").glob("*/topic/*/commit.json"):
            record = json.loads(path.read_text())
            topic = record["topic"]
            row = (topic["id"], topic["path"], topic["key"], json.dumps(record["chunks"]))
            connection.execute("INSERT INTO topic VALUES (?, ?, ?, ?)", row)
            found += 1
    if found != count:
        raise RuntimeError(f"{found} of {count} topics")


def _start(mosaicod: Path, store: Path) -> float:
    start = perf_counter()
    with daemon(mosaicod, store):
        return perf_counter() - start
