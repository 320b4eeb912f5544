"""Clients and daemons. `client` is embedded, `remote` uses a `daemon`, `either` is each in turn."""

import itertools
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mosaicolabs import MosaicoClient

sys.path.insert(0, str(Path(__file__).parent))

from harness.daemon import Daemon
from harness.minio import Minio, OwnMinio
from harness.postgres import OwnPostgres, Postgres
from harness.service import MissingServiceError, find_unused_port

_numbers = itertools.count()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[MosaicoClient]:
    """A client with a daemon of its own inside this process, on a fresh folder `tmp_path/store`."""
    with MosaicoClient.embedded(tmp_path / "store") as client:
        yield client


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A `mosaicod` of this test's own, which it may kill; folder `tmp_path/store`."""
    with Daemon(tmp_path / "store") as daemon:
        yield daemon


@pytest.fixture
def remote(daemon: Daemon) -> Iterator[MosaicoClient]:
    """A client of `daemon`."""
    with daemon.connect() as client:
        yield client


@pytest.fixture(scope="session")
def standing_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One `mosaicod` for all tests that do not harm it."""
    with Daemon(tmp_path_factory.mktemp("standing") / "store") as daemon:
        yield daemon


@pytest.fixture(scope="session")
def standing_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosaicoClient]:
    """One embedded client for all tests that do not harm it."""
    with MosaicoClient.embedded(tmp_path_factory.mktemp("standing") / "store") as client:
        yield client


@pytest.fixture(params=[pytest.param("embedded", marks=pytest.mark.sqlite), "daemon"])
def either(request: pytest.FixtureRequest) -> Iterator[MosaicoClient]:
    """The same test in process and over the network; other tests' sequences are in the catalog too."""
    if request.param == "embedded":
        yield request.getfixturevalue("standing_store")
        return
    with request.getfixturevalue("standing_daemon").connect() as client:
        yield client


@pytest.fixture
def name(new_name: Callable[[], str]) -> str:
    """A sequence name that no other test uses."""
    return new_name()


@pytest.fixture
def new_name(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes sequence names that no other test uses."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")
    return lambda: f"{stem}-{next(_numbers)}"


@pytest.fixture
def unused_port() -> int:
    """A port of this machine that nobody listens on."""
    return find_unused_port()


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A MinIO for all tests on buckets: the one of `tests/with_services`, or one of this run."""
    if running := Minio.running():
        yield running
        return
    with _skipped_without_service(), OwnMinio(tmp_path_factory.mktemp("minio")) as minio:
        yield minio


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres for all tests that need one: the one of `tests/with_services`, or one of this run."""
    if running := Postgres.running():
        yield running
        return
    with _skipped_without_service(), OwnPostgres() as postgres:
        yield postgres


@pytest.fixture
def own_postgres() -> Iterator[OwnPostgres]:
    """A Postgres of this test's own, which it may stop."""
    with _skipped_without_service(), OwnPostgres() as postgres:
        yield postgres


@contextmanager
def _skipped_without_service() -> Iterator[None]:
    """Skips a test whose service is missing; in CI a skipped test is an error."""
    try:
        yield
    except MissingServiceError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def bucket(minio: Minio, new_name: Callable[[], str]) -> str:
    """The name of an empty bucket; other runs may use the same MinIO."""
    return minio.make_bucket(f"{new_name()[-40:].strip('-').lower()}-{uuid.uuid4().hex[:8]}")
