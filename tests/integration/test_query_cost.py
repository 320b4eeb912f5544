"""Cost of requests in the catalog: a constant number of statements, each served by an index."""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness.daemon import Daemon

from mosaicolabs import (
    IMU,
    Message,
    MosaicoClient,
    QueryOntologyCatalog,
    QuerySequence,
    QueryTopic,
    SequenceHandler,
    Vector3d,
)

pytestmark = pytest.mark.catalog

STATEMENT = re.compile(r'db\.statement\S*="((?:[^"\\]|\\.)*)"|summary\S*="((?:[^"\\]|\\.)*)"')
TABLE = re.compile(r'\b(?:FROM|JOIN)\s+"?(\w+)"?\s+(?:AS\s+)?"?(\w+)"?')
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
LARGE = ("topic", "chunk", "chunk_column", "notification", "event")


def record(client: MosaicoClient, name: str, topics: int) -> None:
    with client.sequence_create(name, {"driver": "alice"}) as sequence:
        for number in range(topics):
            writer = sequence.topic_create(f"/imu{number}", {"rate": 1}, IMU)
            assert writer is not None
            imu = IMU(acceleration=Vector3d(x=float(number), y=0.0, z=0.0))
            writer.push(Message(timestamp_ns=number, data=imu))


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv("RUST_LOG", "warn,sqlx::query=debug")
    with Daemon(tmp_path / "store") as daemon:
        yield daemon


def settled(daemon: Daemon) -> int:
    """The length of the log, once the background has been silent for a while."""
    length = -1
    while length != len(daemon.log.read_text()):
        length = len(daemon.log.read_text())
        time.sleep(0.4)
    return length


def statements(daemon: Daemon, call: Callable[[], object]) -> list[str]:
    """The SQL that the daemon's log tells of `call`, without what the background does meanwhile."""
    before = settled(daemon)
    call()
    lines = ESCAPES.sub("", daemon.log.read_text()[before:]).splitlines()
    found = [max(first, second, key=len) for line in lines for first, second in STATEMENT.findall(line)[-1:]]
    texts = [json.loads(f'"{sql}"').strip() for sql in found]
    # A new connection of the pool sets itself up.
    return [sql for sql in texts if not sql.startswith("PRAGMA")]


QUESTIONS: dict[str, Callable[[MosaicoClient], object]] = {
    "names": lambda client: client.query(QuerySequence().with_name_match("run")),
    "metadata": lambda client: client.query(QuerySequence().with_user_metadata("driver", eq="alice")),
    "tags": lambda client: client.query(QueryTopic().with_ontology_tag("imu")),
    "values": lambda client: client.query(QueryOntologyCatalog(IMU.Q.acceleration.x.geq(0.0))),
    "list": lambda client: client.list_sequences(),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_number_of_statements_does_not_grow_with_the_answer(daemon: Daemon, question: str) -> None:
    with daemon.connect() as client:
        record(client, "run0", 1)
        few = statements(daemon, lambda: QUESTIONS[question](client))
        for number in range(1, 12):
            record(client, f"run{number}", 3)
        many = statements(daemon, lambda: QUESTIONS[question](client))
    assert few, "the log tells statements"
    # 33 topics more; the background may say something in between.
    assert len(many) < len(few) + 3, "\n".join(many)


@pytest.mark.sqlite
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_statement_reads_a_large_table_from_end_to_end(daemon: Daemon, question: str) -> None:
    with daemon.connect() as client:
        record(client, "run", 3)
        asked = statements(daemon, lambda: QUESTIONS[question](client))
    assert asked
    with closing(sqlite3.connect(daemon.folder / "catalog.db")) as catalog:
        for sql in asked:
            check_plan(catalog, sql)


@pytest.mark.sqlite
def test_a_handler_reads_no_large_table_from_end_to_end(daemon: Daemon) -> None:
    with daemon.connect() as client:
        record(client, "run", 2)
        handlers: list[SequenceHandler | None] = []
        asked = statements(daemon, lambda: handlers.append(client.sequence_handler("run")))
        assert handlers[0] is not None
    assert asked
    with closing(sqlite3.connect(daemon.folder / "catalog.db")) as catalog:
        for sql in asked:
            check_plan(catalog, sql)


def check_plan(catalog: sqlite3.Connection, sql: str) -> None:
    numbered = [int(number) for number in re.findall(r"\?(\d+)", sql)]
    parameters = ["[]"] * max(numbered, default=sql.count("?"))
    tables = {alias: table for table, alias in TABLE.findall(sql)}
    for *_, step in catalog.execute(f"EXPLAIN QUERY PLAN {sql}", parameters):
        scanned = re.fullmatch(r"SCAN (\w+)", step)
        if scanned:
            assert tables.get(scanned[1], scanned[1]) not in LARGE, f"{step}: {sql}"
