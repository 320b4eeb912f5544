"""API keys: the command that manages them, and the real daemon with pyarrow.flight and over HTTP."""

import json
import re
import stat
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from harness.daemon import Daemon, run_mosaicod
from harness.record import record_numbers, within

from mosaicolabs import MosaicoClient

TOKEN = re.compile(r"msco_[a-z0-9]{32}_[0-9a-f]{8}")
TIMEOUT_S = 10.0
LIMIT = ("--limit", "calls=16,bytes=64MiB")
CLOSED = ("--anonymous", "none")


def api_key(store: Path, *arguments: str) -> Any:
    done = run_mosaicod("api-key", *arguments, "--local-store", store, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def create(store: Path, *arguments: str) -> str:
    token: str = api_key(store, "create", *arguments)["token"]
    assert TOKEN.fullmatch(token)
    return token


def fingerprint(token: str) -> str:
    return token.rsplit("_", 1)[1]


def with_key(token: str, header: str = "mosaico-api-key-token") -> flight.FlightCallOptions:
    value = f"Bearer {token}" if header == "authorization" else token
    return flight.FlightCallOptions(headers=[(header.encode(), value.encode())])


def until(condition: Callable[[], bool]) -> None:
    assert within(TIMEOUT_S, condition)


def names(wire: flight.FlightClient, options: flight.FlightCallOptions | None = None) -> list[str]:
    return [info.descriptor.path[0].decode() for info in wire.list_flights(b"", options)]


def is_refused(wire: flight.FlightClient, token: str) -> bool:
    try:
        names(wire, with_key(token))
    except flight.FlightUnauthorizedError:
        return True
    return False


@contextmanager
def connected(daemon: Daemon) -> Iterator[flight.FlightClient]:
    with flight.connect(f"grpc://{daemon.host}:{daemon.port}") as wire:
        yield wire


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder with the recordings `fleet-a-1` and `fleet-b-1`."""
    folder = tmp_path / "store"
    with MosaicoClient.embedded(folder) as client:
        for name in ("fleet-a-1", "fleet-b-1"):
            record_numbers(client, name, {"t": [(1, 1), (2, 2)]})
    return folder


def test_the_life_of_a_key(tmp_path: Path) -> None:
    store = tmp_path / "new"
    token = create(store, "--permissions", "read|write", "-d", "robot 7", "--expires-in", "30d")
    status = api_key(store, "status", fingerprint(token))
    assert status["state"] == "valid"
    assert status["scopes"] == ["*:read|write"]
    assert status["description"] == "robot 7"
    assert status["expires"] > status["created"]
    assert status["last_used"] is None
    scoped = create(store, "--scope", "fleet-a-*:read,write", "--scope", "shared:read", *LIMIT)
    listed = api_key(store, "list")
    assert [key["fingerprint"] for key in listed] == [fingerprint(token), fingerprint(scoped)]
    assert [key["limits"] for key in listed] == [{}, {"calls": 16, "bytes": 64 << 20}]
    assert listed[1]["scopes"] == ["fleet-a-*:read|write", "shared:read"]
    assert all("token" not in key for key in listed)
    assert api_key(store, "revoke", fingerprint(token))["state"] == "revoked"
    assert api_key(store, "purge") == {"purged": [fingerprint(token)]}
    gone = run_mosaicod("api-key", "status", fingerprint(token), "--local-store", store)
    assert gone.returncode == 1
    assert fingerprint(token) in gone.stderr
    assert api_key(store, "purge", "--all") == {"purged": [fingerprint(scoped)]}
    assert api_key(store, "list") == []


def test_the_key_alone_is_on_standard_output_and_nowhere_else(tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = run_mosaicod("api-key", "create", "--permissions", "read", "--local-store", store)
    token = done.stdout.strip()
    assert TOKEN.fullmatch(token)
    assert token not in done.stderr
    assert fingerprint(token) in done.stderr
    secret = token.split("_")[1]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(secret.encode() in path.read_bytes() for path in files)
    assert token not in run_mosaicod("api-key", "list", "--local-store", store).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create"], "--permissions"),
        (["create", "--permissions", "manage"], "manage"),
        (["create", "--scope", "fleet-a-*"], "fleet-a-*:read,write"),
        (["create", "--scope", "a.b:read"], "a.b"),
        (["create", "--permissions", "read", "--expires-in", "1 month"], "1 month"),
        (["create", "--permissions", "read", "--expires-at", "2020-01-01T00:00:00Z"], "future"),
        (["create", "--permissions", "read", "--limit", "streams=3"], "streams"),
        (["status", "none"], "none"),
        (["revoke", "00000000"], "00000000"),
    ],
)
def test_what_is_refused_names_the_value(store: Path, arguments: list[str], words: str) -> None:
    done = run_mosaicod("api-key", *arguments, "--local-store", store)
    assert done.returncode in {1, 2}
    assert words in done.stderr
    assert not (store / "api-keys.json").exists()


def test_a_folder_without_a_store_has_no_keys(tmp_path: Path) -> None:
    done = run_mosaicod("api-key", "list", "--local-store", tmp_path / "none")
    assert done.returncode == 1
    assert "no store" in done.stderr


def test_keys_open_the_daemon_in_both_headers(store: Path) -> None:
    token = create(store, "--scope", "fleet-a-*:read")
    with Daemon(store, *CLOSED) as daemon, connected(daemon) as wire:
        for header in ("mosaico-api-key-token", "authorization"):
            assert names(wire, with_key(token, header)) == ["fleet-a-1"]
        with pytest.raises(flight.FlightUnauthorizedError, match="valid API key"):
            names(wire)
        with pytest.raises(flight.FlightUnauthorizedError, match="valid API key"):
            names(wire, with_key(token[:-1]))
        options = with_key(token)
        command = json.dumps({"resource_locator": "fleet-a-1"}).encode()
        info = wire.get_flight_info(flight.FlightDescriptor.for_command(command), options)
        table = wire.do_get(info.endpoints[0].ticket, options).read_all()
        assert table.num_rows == 2
        hidden = json.dumps({"resource_locator": "fleet-b-1"}).encode()
        with pytest.raises((KeyError, pa.ArrowKeyError, flight.FlightError), match="does not exist"):
            wire.get_flight_info(flight.FlightDescriptor.for_command(hidden), options)
        create_body = json.dumps({"name": "fleet-a-2", "user_metadata": {}}).encode()
        with pytest.raises(flight.FlightUnauthorizedError, match="no right to write"):
            list(wire.do_action(flight.Action("sequence_create", create_body), options))
        until(lambda: api_key(store, "status", fingerprint(token))["last_used"] is not None)


def test_changes_beside_a_running_daemon(store: Path) -> None:
    with Daemon(store, *CLOSED) as daemon, connected(daemon) as wire:
        token = create(store, "--permissions", "read")
        until(lambda: not is_refused(wire, token))
        assert names(wire, with_key(token)) == ["fleet-a-1", "fleet-b-1"]
        api_key(store, "revoke", fingerprint(token))
        begun = time.monotonic()
        until(lambda: is_refused(wire, token))
        assert time.monotonic() - begun < 2.0
        daemon.kill()
        daemon.restart()
        assert is_refused(wire, token), "revoked keys stay revoked"


def test_concurrent_commands_and_a_busy_daemon(store: Path) -> None:
    reader = create(store, "--permissions", "read")
    made: list[str] = []
    with Daemon(store, *CLOSED) as daemon, connected(daemon) as wire:
        workers = [
            threading.Thread(target=lambda: made.append(create(store, "--permissions", "read")))
            for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            assert names(wire, with_key(reader))
        for worker in workers:
            worker.join()
        assert len(made) == 4
        until(lambda: not any(is_refused(wire, token) for token in made))


def test_without_a_setting_loopback_is_open_and_other_addresses_are_not(store: Path) -> None:
    token = create(store, "--permissions", "read")
    with Daemon(store) as daemon, connected(daemon) as wire:
        assert names(wire) == ["fleet-a-1", "fleet-b-1"]
        assert "insecure" not in daemon.log.read_text()
    with Daemon(store, "--host", "0.0.0.0") as daemon, connected(daemon) as wire:
        with pytest.raises(flight.FlightUnauthorizedError):
            names(wire)
        assert names(wire, with_key(token))
        warnings = [line for line in daemon.log.read_text().splitlines() if "--insecure" in line]
        assert len(warnings) == 1
    daemon.log.unlink()
    with Daemon(store, "--host", "0.0.0.0", "--insecure", "--anonymous", "read") as daemon:
        with connected(daemon) as wire:
            assert names(wire)
        assert "--insecure" not in daemon.log.read_text()


def test_monitors(store: Path) -> None:
    token = create(store, "--permissions", "read")
    with Daemon(store, *CLOSED, "--http-port", "0", "--monitoring", "health") as daemon:
        assert daemon.ask("/healthz")[0] == 200
        assert daemon.ask("/metrics")[0] == 401
        request = urllib.request.Request(
            f"{daemon.monitor}/metrics", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            assert answer.status == 200


def test_maintenance_of_a_daemon_that_wants_keys(store: Path) -> None:
    create(store, "--permissions", "read")
    with Daemon(store, *CLOSED):
        done = run_mosaicod("rebuild", "--local-store", store, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["sequences"] == 2


def test_no_key_is_logged(store: Path) -> None:
    token = create(store, "--permissions", "read|delete")
    daemon = Daemon(store, *CLOSED, "--log-format", "json")
    daemon._environment["RUST_LOG"] = "trace,audit=debug"
    with daemon, connected(daemon) as wire:
        names(wire, with_key(token))
        names(wire, with_key(token, "authorization"))
        for call in ("sequence_delete", "sequence_create"):
            body = json.dumps({"name": "fleet-a-1", "user_metadata": {}}).encode()
            with pytest.raises((flight.FlightError, pa.ArrowException)):
                list(wire.do_action(flight.Action(call, body), with_key(token)))
        assert is_refused(wire, token.replace("msco", "msc0"))
        until(lambda: daemon.log.read_text().count('"target":"audit"') >= 5)
        log = daemon.log.read_text()
    assert token.split("_")[1] not in log
    audit = [json.loads(line) for line in log.splitlines() if '"target":"audit"' in line]
    deletion = next(line for line in audit if line.get("call") == "sequence_delete")
    assert deletion["who"] == f"key {fingerprint(token)}"
    assert deletion["subject"] == "fleet-a-1"
    assert deletion["from"].startswith("127.0.0.1:")
    assert deletion["level"] == "INFO"
    denied = next(line for line in audit if line.get("call") == "sequence_create")
    assert denied["result"] == "PERMISSION_DENIED"


def test_files_belong_to_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    create(folder, "--permissions", "read")
    with Daemon(folder) as daemon, daemon.connect() as client:
        record_numbers(client, "s", {"t": [(1, 1)]})
    others = [path for path in [folder, *folder.rglob("*")] if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert others == []


def test_a_key_for_a_certificate_has_no_secret(tmp_path: Path) -> None:
    store = tmp_path / "store"
    certificate = ("--certificate", "robot-7")
    created = api_key(store, "create", "--permissions", "read", *certificate)
    assert created["certificate"] == "robot-7"
    assert "token" not in created
    assert api_key(store, "status", created["fingerprint"])["certificate"] == "robot-7"
    again = run_mosaicod("api-key", "create", "--permissions", "read", *certificate, "--local-store", store)
    assert again.returncode == 1
    assert created["fingerprint"] in again.stderr
    assert api_key(store, "revoke", created["fingerprint"])["state"] == "revoked"
    api_key(store, "create", "--permissions", "read", *certificate)
