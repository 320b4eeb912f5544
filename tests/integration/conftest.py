"""Clients and daemons. `client` is embedded, `remote` uses a `daemon`, `either` is each in turn."""

import itertools
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mosaicolabs import MosaicoClient

sys.path.insert(0, str(Path(__file__).parent))

from harness.daemon import Daemon
from harness.minio import Minio

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


@pytest.fixture(params=["embedded", "daemon"])
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
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A MinIO for all tests on buckets."""
    folder = tmp_path_factory.mktemp("minio") / "data"
    folder.mkdir()
    with Minio(folder) as minio:
        yield minio


@pytest.fixture
def bucket(minio: Minio, new_name: Callable[[], str]) -> str:
    """The name of an empty bucket."""
    return minio.make_bucket(new_name()[-40:].strip("-").lower())
