"""The place that a program uses: options, variables, saved contexts, the default folder."""

from pathlib import Path

import pytest

from mosaicolabs import MosaicoClient
from mosaicolabs.comm.contexts import Context, Contexts, contexts_file
from mosaicolabs.comm.target import Target, folder_of
from mosaicolabs.exceptions import ConnectionFailedError, InvalidInputError


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CONTEXT", "HOST", "PORT", "STORE", "TLS", "API_KEY"):
        monkeypatch.delenv(f"MOSAICO_{name}", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def save(name: str, *, current: bool = False) -> None:
    contexts = Contexts()
    contexts.all[name] = Context(f"{name}.example.org", 7000)
    contexts.current = name if current else contexts.current
    contexts.save()


def test_the_default_is_a_folder_of_the_user(tmp_path: Path) -> None:
    assert Target.from_env() == Target(store=tmp_path / ".mosaico/store")


def test_variables_are_tried_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    save("lab")
    save("field", current=True)
    assert Target.from_env().place == "field.example.org:7000"
    monkeypatch.setenv("MOSAICO_STORE", "/data")
    assert Target.from_env().place == "/data"
    monkeypatch.setenv("MOSAICO_PORT", "7001")
    assert Target.from_env().place == "localhost:7001"
    monkeypatch.setenv("MOSAICO_HOST", "one,two:7002")
    assert Target.from_env().place == "one:7001,two:7002"
    monkeypatch.setenv("MOSAICO_CONTEXT", "lab")
    assert Target.from_env().context == "lab"


def test_options_complete_each_other_with_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSAICO_HOST", "one")
    assert Target.of_daemon(None, 7003).place == "one:7003"
    monkeypatch.setenv("MOSAICO_PORT", "7004")
    assert Target.of_daemon("two", None).place == "two:7004"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("MOSAICO_PORT", "67 26", "MOSAICO_PORT is `67 26`, which is not a port"),
        ("MOSAICO_PORT", "65536", "not a port between 1 and 65535"),
        ("MOSAICO_CONTEXT", "home", "no context `home`"),
        ("MOSAICO_STORE", "gs://robots", r"a bucket; serve it: mosaicod run --store gs://robots"),
    ],
)
def test_wrong_variables_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInputError, match=message):
        Target.from_env()


def test_contexts_are_where_settings_of_users_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save("lab")
    assert contexts_file() == tmp_path / ".config/mosaico/contexts.json"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert Contexts().all == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("s3://robots/x", "mosaicod run --store s3://robots/x --state-dir DIR"),
        ("grpc://robots:6726", r'MosaicoClient.connect\("grpc://robots:6726"\)'),
        ("grpcs://robots", "mosaico --host grpcs://robots"),
        ("ftp://robots/x", "give a path, or a URL with file://"),
        ("file://host/data", "give a path, or a URL with file://"),
        ("", "is empty"),
    ],
)
def test_embedded_refuses_what_is_no_folder(tmp_path: Path, given: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        MosaicoClient.embedded(given)
    assert list(tmp_path.iterdir()) == []


def test_folders_of_users(tmp_path: Path) -> None:
    assert folder_of("~/robots", "path") == tmp_path / "robots"
    assert folder_of(Path("robots"), "path") == Path("robots")
    assert folder_of("file:///robots%20one", "path") == Path("/robots one")


@pytest.mark.parametrize("given", ["grpc://localhost:9", "localhost:9", "grpc+tcp://localhost:9/"])
def test_connect_takes_an_address_as_one_text(given: str) -> None:
    with pytest.raises(ConnectionFailedError, match="'localhost:9'"):
        MosaicoClient.connect(given, timeout=1)


def test_connect_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mosaicolabs.comm.mosaico_client._native.Client", Refusing)
    with pytest.raises(ConnectionRefusedError, match=r"\[\('localhost', 6726\)\]"):
        MosaicoClient.connect()
    monkeypatch.setenv("MOSAICO_HOST", "robots")
    with pytest.raises(ConnectionRefusedError, match=r"\[\('robots', 6726\)\]"):
        MosaicoClient.from_env()
    with pytest.raises(ConnectionRefusedError, match=r"\[\('other', 6726\)\]"):
        MosaicoClient.from_env("other")


class Refusing:
    @staticmethod
    def connect(addresses: object, *_: object, **__: object) -> None:
        raise ConnectionRefusedError(addresses)


def test_from_env_uses_the_folder_of_the_command_line(tmp_path: Path) -> None:
    with MosaicoClient.from_env() as client:
        client.sequence_create("run").__enter__().__exit__(None, None, None)
    assert (tmp_path / ".mosaico/store/store.json").is_file()
