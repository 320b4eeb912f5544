"""G12, G13: finding sequences in a large catalog."""

import json
import sqlite3
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import _catalog
import pyarrow.dataset as ds
from _harness import Options, Row, short
from _services import daemon

from mosaicolabs import IMU, MosaicoClient, QueryOntologyCatalog, QuerySequence
from mosaicolabs.models.platform import Sequence

CALLS = 40
SAMPLE = 20


def rows(options: Options) -> list[Row]:
    count = options.sized(10_000)
    with TemporaryDirectory(dir=options.folder) as folder:
        store = Path(folder, "store")
        _catalog.fill(options, store, count)
        with daemon(options.mosaicod, store) as running, running.connect() as client:
            return _measure(options, client, store, count)


def _measure(options: Options, client: MosaicoClient, store: Path, count: int) -> list[Row]:
    documents = _documents(count)
    expected = sum(number % 97 == 5 for number in range(count))
    of_template = sum(number % _catalog.TEMPLATES == 7 for number in range(count))

    def row(goal: str, case: str, ours: Job, other: Job, other_way: str, most: float, calls: int = 3) -> Row:
        return Row(
            goal=goal,
            case=case,
            size=f"{short(count)} sequences",
            unit="ms, p50",
            ours=_median_ms(ours, 1 if options.quick else CALLS),
            embedded=None,
            other=_median_ms(other, 1 if options.quick else calls),
            other_way=other_way,
            most=most,
        )

    metadata = QuerySequence(Sequence.Q.user_metadata["driver.name"].eq("driver-5"))
    by_bounds = QueryOntologyCatalog(IMU.Q.acceleration.x.between(6.95, 7.45))
    by_rows = QueryOntologyCatalog(IMU.Q.acceleration.x.eq(7.0))
    numbers = cycle(range(count))  # clients keep handlers: another sequence each time
    scan = partial(_scan_documents, documents, expected)
    files = partial(_scan_files, store / "seq")
    return [
        row("G12", "sequence handler", partial(_handler, client, numbers), scan, "sqlite3, scan", 0.5),
        row("G12", "list of all names", partial(_names, client, count), scan, "sqlite3, scan", 50),
        row(
            *("G13", "query on metadata"),
            *(partial(_query, client, metadata, expected), scan, "sqlite3, scan", 10),
        ),
        row(
            *("G13", "query on values, by statistics"),
            *(partial(_query, client, by_bounds, of_template), files, "pyarrow, 1/20 of files", 100, 1),
        ),
        row(
            *("G13", "query on values, by rows"),
            *(partial(_query, client, by_rows, 0), files, "pyarrow, 1/20 of files", 100, 1),
        ),
    ]


Job = Callable[[], None]


def _median_ms(job: Job, calls: int) -> float:
    seconds = []
    for _ in range(calls):
        start = perf_counter()
        job()
        seconds.append(perf_counter() - start)
    return statistics.median(seconds) * 1000


def _query(client: MosaicoClient, query: QuerySequence | QueryOntologyCatalog, expected: int) -> None:
    _checked("query", len(client.query(query)), expected)


def _handler(client: MosaicoClient, numbers: Iterator[int]) -> None:
    handler = client.sequence_handler(_catalog.name(next(numbers)))
    assert handler is not None
    _checked("handler", len(handler.topics), 1)


def _names(client: MosaicoClient, count: int) -> None:
    _checked("list", len(client.list_sequences()), count)


def _documents(count: int) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE documents (name TEXT, metadata TEXT)")
    documents = ((_catalog.name(n), json.dumps(_catalog.metadata(n))) for n in range(count))
    connection.executemany("INSERT INTO documents VALUES (?, ?)", documents)
    return connection


def _scan_documents(connection: sqlite3.Connection, expected: int) -> None:
    statement = "SELECT name FROM documents WHERE json_extract(metadata, '$.driver.name') = 'driver-5'"
    _checked("sqlite3", len(connection.execute(statement).fetchall()), expected)


def _scan_files(folder: Path) -> None:
    chunks = sorted(str(file) for file in folder.rglob("*.parquet"))
    field = ds.field("acceleration", "x")
    inside = (field >= 6.95) & (field <= 7.45)
    for fragment in ds.dataset(chunks[::SAMPLE], format="parquet").get_fragments():
        fragment.head(1, filter=inside, columns=["timestamp_ns"])


def _checked(way: str, found: int, expected: int) -> None:
    if found != expected:
        raise RuntimeError(f"{way} found {found} of {expected}")
