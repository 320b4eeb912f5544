"""Signed links to sequences over HTTP: created by clients and commands, read with urllib and pyarrow."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from harness.daemon import Daemon, run_mosaicod
from harness.record import record_numbers, sequence_of, within

from mosaicolabs import MosaicoClient, SequenceLink
from mosaicolabs.exceptions import FailedPreconditionError, InvalidInputError, NotFoundError

MOSAICO = Path(sys.executable).with_name("mosaico")
NAME = "fleet-a-1"


def mosaicod(*arguments: object) -> Any:
    done = run_mosaicod(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def create_key(store: Path, scope: str) -> str:
    token: str = mosaicod("api-key", "create", "--scope", scope, "--local-store", store)["token"]
    return token


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    with MosaicoClient.embedded(folder) as client:
        topics: dict[str, Iterable[tuple[int, int]]] = {
            "deep/t": [(time_ns, time_ns % 7) for time_ns in range(20_000)],
            "u": [(5, 5)],
        }
        record_numbers(client, NAME, topics)
    return folder


@pytest.fixture
def daemon(store: Path) -> Iterator[Daemon]:
    with Daemon(store, "--anonymous", "none", "--http-port", "0") as running:
        yield running


def read(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def status(url: str) -> int:
    return read(url)[0]


def test_a_link_reads_what_flight_reads(store: Path, daemon: Daemon) -> None:
    with daemon.connect(api_key=create_key(store, "fleet-a-*:read")) as client:
        link = client.sequence_link(NAME)
        assert link.url.startswith(f"{daemon.monitor}/api/v1/sequences/{NAME}?link=")
        assert "link=" not in repr(link), "a link is a secret"
        page = json.loads(read(link.url)[1])
        assert [topic["name"] for topic in page["topics"]] == ["deep/t", "u"]
        assert page["topics"][0]["rows"] == 20_000
        data = f"{daemon.monitor}{page['topics'][0]['data']}?{link.url.split('?')[1]}"
        flight = sequence_of(client, NAME).get_topic_handler("deep/t").to_arrow()
        with urllib.request.urlopen(data, timeout=20) as answer:
            table = pa.ipc.open_stream(answer).read_all()
        assert table.column("timestamp_ns").to_pylist() == flight.column("timestamp_ns").to_pylist()
        assert table.column("data").to_pylist() == flight.column("data").to_pylist()
        limited = sequence_of(client, NAME).link(
            60, start_timestamp_ns=100, end_timestamp_ns=200, topics=["/deep/t"]
        )
        part = data.split("?")[0] + "?" + limited.url.split("?")[1]
        assert pa.ipc.open_stream(read(part)[1]).read_all().column("timestamp_ns").to_pylist() == list(
            range(100, 200)
        )
        assert status(part + "&from=99") == 403
        assert status(part.replace("deep%2Ft", "u")) == 403
        with pytest.raises(NotFoundError):
            client.sequence_link("fleet-a-2")
        with pytest.raises(InvalidInputError, match="366 days"):
            client.sequence_link(NAME, 0)
        of_one = client.sequence_link(NAME, topics="u", start_timestamp_ns="+1s")
        assert [topic["name"] for topic in json.loads(read(of_one.url)[1])["topics"]] == ["u"]
        with pytest.raises(InvalidInputError, match="did you mean '/deep/t'"):
            client.sequence_link(NAME, topics="deep/x")


def test_links_need_a_key(store: Path) -> None:
    with Daemon(store, "--http-port", "0") as daemon, daemon.connect() as client:
        with pytest.raises(FailedPreconditionError, match="API key"):
            client.sequence_link(NAME)
        assert daemon.ask(f"/api/v1/sequences/{NAME}")[0] == 200, "everybody may read here"
    with MosaicoClient.embedded(store) as client, pytest.raises(FailedPreconditionError):
        client.sequence_link(NAME)


def test_commands_create_and_revoke_links(store: Path, daemon: Daemon, tmp_path: Path) -> None:
    token = create_key(store, "fleet-a-*:read")
    key_file = tmp_path / "key"
    key_file.write_text(token)
    target = ["--host", daemon.host, "--port", str(daemon.port), "--api-key-file", str(key_file)]
    command = [str(MOSAICO), "link", NAME, "--expires-in", "2h", "--topic", "u", "--json", *target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    of_client = SequenceLink(**json.loads(done.stdout))
    assert status(of_client.url) == 200
    wrong = subprocess.run([*command, "--expires-in", "2 hours"], capture_output=True, text=True, timeout=30)
    assert wrong.returncode == 1
    assert "2 hours" in wrong.stderr

    links = ("--local-store", store, "--http-url", daemon.monitor)
    of_key = mosaicod("link", "create", NAME, "--key", token.rsplit("_", 1)[1], *links)["url"]
    of_store = mosaicod("link", "create", NAME, "--expires-in", "7d", "--from", "5", "--to", "6", *links)[
        "url"
    ]
    assert [status(url) for url in (of_key, of_store)] == [200, 200]
    bare = run_mosaicod("link", "create", NAME, "--local-store", store).stdout.strip()
    assert bare.startswith(f"/api/v1/sequences/{NAME}?link=")
    assert status(f"{daemon.monitor}{bare}") == 200
    foreign = run_mosaicod(
        "link", "create", "other", "--key", token.rsplit("_", 1)[1], "--local-store", store
    )
    assert foreign.returncode == 1
    assert "may not read" in foreign.stderr

    mosaicod("api-key", "revoke", token.rsplit("_", 1)[1], "--local-store", store)
    assert within(10, lambda: status(of_key) == 403)
    assert status(of_client.url) == 403
    assert status(of_store) == 200
    mosaicod("link", "revoke-all", "--local-store", store)
    assert within(10, lambda: status(of_store) == 403)
    secret = of_store.split("link=")[1]
    assert secret not in daemon.log.read_text()
