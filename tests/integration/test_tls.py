"""TLS from the command line to the rows, with the real daemon; API keys on the wire."""

import json
import os
import ssl
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.flight as flight
import pytest
from harness.daemon import Daemon, run_mosaicod
from harness.record import number, record_numbers, replay, within

from mosaicolabs import Integer64, MosaicoClient
from mosaicolabs.exceptions import (
    ConnectionFailedError,
    FailedPreconditionError,
    InvalidInputError,
    MosaicoError,
)

KEY = "msco_vrfeceju4lqivysxgaseefa3tsxs0vrl_1b676530"


class Files:
    """The files that `mosaicod tls-init` creates."""

    def __init__(self, folder: Path) -> None:
        made = run_mosaicod("tls-init", folder)
        assert made.returncode == 0, made.stderr
        self.printed = made.stdout
        self.ca = folder / "ca.pem"
        self.server, self.server_key = folder / "server.pem", folder / "server-key.pem"
        self.client, self.client_key = folder / "client.pem", folder / "client-key.pem"

    @property
    def of_daemon(self) -> tuple[str, ...]:
        return ("--tls-cert", str(self.server), "--tls-key", str(self.server_key))

    @property
    def of_client(self) -> dict[str, Any]:
        return {"tls_cert_path": self.ca, "client_cert_path": self.client, "client_key_path": self.client_key}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls") / "files")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Those of another CA."""
    return Files(tmp_path_factory.mktemp("tls") / "other")


@pytest.fixture(scope="module")
def secured(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with TLS on both ports."""
    store = tmp_path_factory.mktemp("secured") / "store"
    with Daemon(store, *files.of_daemon, "--http-port", "0") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def mutual(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that needs client certificates."""
    store = tmp_path_factory.mktemp("mutual") / "store"
    arguments = (*files.of_daemon, "--tls-client-ca", str(files.ca), "--http-port", "0")
    with Daemon(store, *arguments) as daemon:
        yield daemon


def mosaico(*arguments: object, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MOSAICO_")}
    command = [sys.executable, "-m", "mosaicolabs.cli", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**clean, "HOME": str(home), **environment},
    )


def test_tls_init_creates_private_keys_and_overwrites_nothing(files: Files) -> None:
    assert "--tls-cert" in files.printed
    assert "--tls-ca" in files.printed
    for key in (files.server_key, files.client_key, files.ca.with_name("ca-key.pem")):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = files.server_key.read_bytes()
    again = run_mosaicod("tls-init", files.ca.parent)
    assert again.returncode == 1
    assert "not overwritten" in again.stderr
    assert files.server_key.read_bytes() == before


def test_tls_init_takes_several_hosts(tmp_path: Path) -> None:
    made = run_mosaicod("tls-init", tmp_path / "tls", "--host", "one.example.org", "--host", "10.0.0.7")
    assert "one.example.org, 10.0.0.7, localhost" in made.stdout


def test_rows_are_recorded_and_read_with_tls(secured: Daemon, files: Files) -> None:
    with secured.connect(tls_cert_path=files.ca) as client:
        record_numbers(client, "run", {"a": [(at, at) for at in range(5000)]})
        assert replay(client, "run") == [("/a", at, at) for at in range(5000)]
    address = f"grpcs://localhost:{secured.port}"
    with MosaicoClient.connect(address, 6726, tls_cert_path=str(files.ca)) as client:
        assert "run" in client.list_sequences()


def test_a_foreign_flight_client_reads_with_tls(secured: Daemon, files: Files) -> None:
    with secured.connect(tls_cert_path=files.ca) as client:
        record_numbers(client, "foreign", {"a": [(1, 1), (2, 2)]})
    address = f"grpc+tls://localhost:{secured.port}"
    with flight.connect(address, tls_root_certs=files.ca.read_bytes()) as wire:
        command = json.dumps({"resource_locator": "foreign/a"}).encode()
        info = wire.get_flight_info(flight.FlightDescriptor.for_command(command))
        assert wire.do_get(info.endpoints[0].ticket).read_all().num_rows == 2


def test_monitors_use_tls(mutual: Daemon, files: Files) -> None:
    assert mutual.monitor is not None
    assert mutual.monitor.startswith("https://")
    trusting = ssl.create_default_context(cafile=str(files.ca))
    # They need no certificate of their own.
    with urllib.request.urlopen(mutual.monitor + "/healthz", timeout=10, context=trusting) as answer:
        assert answer.read() == b"ok\n"
    plain = mutual.monitor.replace("https://", "http://")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(plain + "/healthz", timeout=10)
    assert refused.value.code == 400
    assert b"https://" in refused.value.read()


def test_client_certificates(mutual: Daemon, files: Files, other: Files) -> None:
    with mutual.connect(**files.of_client) as client:
        assert client.list_sequences() == []
    with pytest.raises(ConnectionFailedError, match=r"requires a client certificate.*client_cert_path"):
        mutual.connect(tls_cert_path=files.ca)
    stranger = {**other.of_client, "tls_cert_path": files.ca}
    with pytest.raises(ConnectionFailedError, match="refused the client certificate"):
        mutual.connect(**stranger)
    identity = {"cert_chain": files.client.read_bytes(), "private_key": files.client_key.read_bytes()}
    address = f"grpc+tls://localhost:{mutual.port}"
    with flight.connect(address, tls_root_certs=files.ca.read_bytes(), **identity) as wire:
        assert list(wire.list_flights()) == []


def test_an_unknown_ca_is_named(secured: Daemon, other: Files) -> None:
    with pytest.raises(ConnectionFailedError, match=r"not signed by a trusted CA.*tls_cert_path") as raised:
        secured.connect(tls_cert_path=other.ca)
    assert "mosaicod run" not in str(raised.value)
    with pytest.raises(ConnectionError, match="not signed by a trusted CA"):
        secured.connect(enable_tls=True)


def test_the_kinds_of_ports_are_named(
    secured: Daemon, standing_daemon: Daemon, files: Files, tmp_path: Path
) -> None:
    with pytest.raises(ConnectionFailedError, match=r"needs TLS.*enable_tls"):
        secured.connect()
    with pytest.raises(ConnectionFailedError, match=r"does not use TLS.*grpc://"):
        standing_daemon.connect(tls_cert_path=files.ca)
    with (
        flight.connect(f"grpc://localhost:{secured.port}") as wire,
        pytest.raises(flight.FlightUnavailableError, match="needs TLS"),
    ):
        list(wire.list_flights())
    assert within(5, lambda: "refused 127.0.0.1" in secured.log.read_text())
    assert within(5, lambda: "it uses TLS, but this port does not" in standing_daemon.log.read_text())


def test_wrong_settings_are_refused(secured: Daemon, files: Files, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing.pem"):
        secured.connect(tls_cert_path=tmp_path / "missing.pem")
    with pytest.raises(ValueError, match="tls_cert_path is empty"):
        secured.connect(tls_cert_path="")
    with pytest.raises(InvalidInputError, match=r"server-key.pem.*no certificate"):
        secured.connect(tls_cert_path=files.server_key)
    with pytest.raises(InvalidInputError, match="belong together"):
        secured.connect(client_cert_path=files.client)
    with pytest.raises(InvalidInputError, match="not the key of the certificate"):
        secured.connect(client_cert_path=files.client, client_key_path=files.server_key)
    with pytest.raises(InvalidInputError, match="without TLS, but TLS is switched on"):
        MosaicoClient.connect("grpc://localhost", secured.port, enable_tls=True)


def test_the_daemon_refuses_wrong_files(files: Files, tmp_path: Path) -> None:
    def refusal(*arguments: object, **environment: str) -> str:
        ended = run_mosaicod("run", "--local-store", tmp_path / "s", "--port", 0, *arguments, **environment)
        assert ended.returncode == 1
        return ended.stderr

    assert "belong together" in refusal("--tls-cert", files.server)
    assert "tls-init" in refusal("--tls")
    assert "tls-init" in refusal(MOSAICOD_TLS_ENABLED="true")
    assert "missing.pem" in refusal("--tls-cert", tmp_path / "missing.pem", "--tls-key", files.server_key)
    mismatch = refusal("--tls-cert", files.server, "--tls-key", files.client_key)
    assert "client-key.pem" in mismatch
    assert "not the key of the certificate" in mismatch


def test_the_variables_of_mosaico_switch_tls_on(files: Files, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon._environment = {
        "MOSAICOD_TLS_ENABLED": "true",
        "MOSAICOD_TLS_CERT_FILE": str(files.server),
        "MOSAICOD_TLS_PRIVATE_KEY_FILE": str(files.server_key),
    }
    with daemon, daemon.connect(tls_cert_path=files.ca) as client:
        assert client.list_sequences() == []


def test_a_new_certificate_is_used_without_a_restart(files: Files, other: Files, tmp_path: Path) -> None:
    used = Files(tmp_path / "used")
    with Daemon(tmp_path / "store", *used.of_daemon) as daemon:
        with daemon.connect(tls_cert_path=used.ca) as client:
            with client.sequence_create("run") as sequence:
                topic = sequence.topic_create("a", {}, Integer64)
                topic.push(number(1, 1))
                topic.flush()
                used.server_key.write_bytes(other.server_key.read_bytes())
                used.server.write_bytes(other.server.read_bytes())

                def is_new() -> bool:
                    try:
                        daemon.connect(tls_cert_path=other.ca).close()
                    except ConnectionFailedError:
                        return False
                    return True

                assert within(5, is_new)
                topic.push(number(2, 2))
            assert replay(client, "run") == [("/a", 1, 1), ("/a", 2, 2)]
        used.server.write_text("no certificate")
        assert within(5, lambda: "stays in use" in daemon.log.read_text())
        assert "server.pem" in daemon.log.read_text()
        daemon.connect(tls_cert_path=other.ca).close()


def test_a_recording_resumes_with_tls(files: Files, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store", *files.of_daemon)
    with daemon, daemon.connect(tls_cert_path=files.ca) as client:
        with client.sequence_create("run") as sequence:
            topic = sequence.topic_create("a", {}, Integer64)
            topic.push(number(1, 1))
            topic.flush()
            daemon.kill()
            topic.push(number(2, 2))
            daemon.restart()
        assert replay(client, "run") == [("/a", 1, 1), ("/a", 2, 2)]


def test_the_environment_configures_a_client(
    mutual: Daemon, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOSAICO_TLS_CERT_FILE", str(files.ca))
    monkeypatch.setenv("MOSAICO_TLS_CLIENT_CERT_FILE", str(files.client))
    monkeypatch.setenv("MOSAICO_TLS_CLIENT_KEY_FILE", str(files.client_key))
    with MosaicoClient.from_env(mutual.host, mutual.port) as client:
        assert client.list_sequences() == []
    monkeypatch.setenv("MOSAICO_TLS", "perhaps")
    with pytest.raises(InvalidInputError, match="MOSAICO_TLS is `perhaps`"):
        MosaicoClient.from_env(mutual.host, mutual.port)


def test_a_rebuild_reaches_a_daemon_with_tls(mutual: Daemon, files: Files) -> None:
    rebuilt = run_mosaicod("rebuild", *mutual._arguments[: mutual._arguments.index("--tls-client-ca")])
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "sequences now" in rebuilt.stdout


# -- API keys ------------------------------------------------------------------------------------


class _Keys(flight.ServerMiddlewareFactory):
    def __init__(self, keys: list[object]) -> None:
        super().__init__()
        self._keys = keys

    def start_call(self, info: flight.CallInfo, headers: dict[str, Any]) -> None:
        self._keys.append(headers.get("mosaico-api-key-token", [None])[0])


class Foreign(flight.FlightServerBase):
    """A Flight server of another make, with TLS, that notes the API keys of its calls."""

    def __init__(self, files: Files) -> None:
        self.keys: list[object] = []
        pair = (files.server.read_bytes(), files.server_key.read_bytes())
        super().__init__(
            "grpc+tls://127.0.0.1:0", tls_certificates=[pair], middleware={"keys": _Keys(self.keys)}
        )

    def list_flights(self, context: Any, criteria: bytes) -> Iterator[flight.FlightInfo]:
        return iter(())


def test_each_call_carries_the_key(files: Files) -> None:
    with Foreign(files) as server:
        with MosaicoClient.connect("localhost", server.port, tls_cert_path=files.ca, api_key=KEY) as client:
            client.list_sequences()
        assert server.keys == [KEY, KEY]
        server.keys.clear()
        MosaicoClient.connect("localhost", server.port, tls_cert_path=files.ca, api_key="").close()
        assert server.keys == [None]


def test_a_key_is_not_sent_in_plain_text(monkeypatch: pytest.MonkeyPatch, daemon: Daemon) -> None:
    with pytest.raises(FailedPreconditionError, match=r"not sent to `192.0.2.1` without TLS") as raised:
        MosaicoClient.connect("192.0.2.1", 6726, timeout=1, api_key=KEY)
    assert KEY not in str(raised.value)
    # This machine is no network.
    key = created_key(daemon)
    with daemon.connect(api_key=key) as client:
        assert key not in repr(client)
        assert client.list_sequences() == []
    monkeypatch.setenv("MOSAICO_ALLOW_PLAIN_TEXT_KEY", "1")
    with pytest.raises(MosaicoError) as tried:
        MosaicoClient.connect("192.0.2.1", 6726, timeout=1, api_key=KEY)
    assert not isinstance(tried.value, FailedPreconditionError)


def created_key(daemon: Daemon) -> str:
    """An API key that the daemon knows."""
    created = run_mosaicod(
        "api-key", "create", "--permissions", "read", "--local-store", daemon.store, "--json"
    )
    assert created.returncode == 0, created.stderr
    token: str = json.loads(created.stdout)["token"]
    return token


@pytest.mark.parametrize("key", ["secret1", "msco_secret1", "msco_secret1_zzzzzzzz", f"{KEY}x", f"{KEY}\n"])
def test_a_malformed_key_is_refused_and_not_shown(key: str, daemon: Daemon) -> None:
    with pytest.raises(ValueError, match="form msco_") as raised:
        daemon.connect(api_key=key)
    assert "secret1" not in str(raised.value)
    assert KEY not in str(raised.value)


# -- the command line ----------------------------------------------------------------------------


def test_commands_use_tls_by_options_and_variables(mutual: Daemon, files: Files, tmp_path: Path) -> None:
    place = ("--host", mutual.host, "--port", mutual.port)
    options = ("--tls-ca", files.ca, "--client-cert", files.client, "--client-key", files.client_key)
    assert mosaico("ls", *place, *options, home=tmp_path).returncode == 0
    variables = {
        "MOSAICO_TLS_CERT_FILE": str(files.ca),
        "MOSAICO_TLS_CLIENT_CERT_FILE": str(files.client),
        "MOSAICO_TLS_CLIENT_KEY_FILE": str(files.client_key),
    }
    assert mosaico("ls", *place, home=tmp_path, **variables).returncode == 0
    refused = mosaico("ls", *place, "--tls-ca", files.ca, home=tmp_path)
    assert refused.returncode == 1
    assert "--client-cert" in refused.stderr
    assert mosaico("ls", "--store", tmp_path, "--tls", home=tmp_path).returncode == 2
    assert mosaico("ls", "--tls", home=tmp_path).returncode == 2


def test_contexts_are_saved_for_the_user_alone(mutual: Daemon, files: Files, tmp_path: Path) -> None:
    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return mosaico(*arguments, home=tmp_path, **environment)

    token = created_key(mutual)
    key = tmp_path / "key"
    key.write_text(f"{token}\n")
    options = ("--tls-ca", files.ca, "--client-cert", files.client, "--client-key", files.client_key)
    place = ("--host", mutual.host, "--port", mutual.port)
    added = run("context", "add", "lab", *place, *options, "--api-key-file", key)
    assert added.returncode == 0, added.stderr
    saved = tmp_path / ".config/mosaico/contexts.json"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    listed = run("context", "ls", "--json")
    assert json.loads(listed.stdout)["contexts"] == [
        {
            "name": "lab",
            "current": False,
            "host": mutual.host,
            "port": mutual.port,
            "tls": True,
            "client_certificate": True,
            "api_key": True,
        }
    ]
    assert token not in listed.stdout + run("context", "ls").stdout

    for chosen in (
        run("ls", "--context", "lab", "--json"),
        run("ls", "--json", MOSAICO_CONTEXT="lab"),
    ):
        assert chosen.returncode == 0, chosen.stderr
        assert json.loads(chosen.stdout)["place"] == f"{mutual.host}:{mutual.port}"
    assert "no store at" in run("ls").stderr
    assert run("context", "use", "lab").returncode == 0
    assert run("ls").returncode == 0
    assert run("context", "use", "--none").returncode == 0
    assert "no store at" in run("ls").stderr
    unknown = run("ls", "--context", "home")
    assert unknown.returncode == 2
    assert "known: lab" in unknown.stderr
    assert run("ls", "--context", "lab", "--store", tmp_path).returncode == 2
    assert run("context", "rm", "lab").returncode == 0
    assert json.loads(run("context", "ls", "--json").stdout) == {"contexts": []}
    saved.write_text(f"{{ {token}")
    broken = run("context", "ls")
    assert broken.returncode == 1
    assert token not in broken.stderr
