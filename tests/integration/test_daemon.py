"""The daemon as seen by its operator: starts, refusals, signals."""

import signal
import socket
import time
from pathlib import Path

import pytest
from harness.daemon import Daemon, run_mosaicod
from harness.record import number, record_numbers, replay, sequence_of
from harness.script import finish

import mosaicolabs
from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy
from mosaicolabs.exceptions import ConnectionFailedError, FailedPreconditionError

pytestmark = pytest.mark.catalog


def refusal(*arguments: object) -> tuple[int, str]:
    """Exit code and the one line that explains it."""
    done = run_mosaicod(*arguments)
    assert done.stdout == ""
    assert done.returncode != 0
    assert "panicked" not in done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip()


def one_line(*arguments: object) -> str:
    code, text = refusal(*arguments)
    assert code == 1, text
    assert "\n" not in text
    return text


def test_version_and_help() -> None:
    assert run_mosaicod("--version").stdout.strip() == f"mosaicod {mosaicolabs.__version__}"
    for arguments in (["--help"], ["run", "--help"]):
        done = run_mosaicod(*arguments)
        assert done.returncode == 0
        assert "run" in done.stdout
    assert "--local-store" in run_mosaicod("run", "--help").stdout


def test_a_second_daemon_on_the_folder_is_refused(daemon: Daemon, remote: MosaicoClient) -> None:
    text = one_line("run", "--port", 0, "--local-store", daemon.folder)
    assert str(daemon.folder) in text
    assert remote.list_sequences() == []


def test_an_embedded_client_on_the_folder_of_a_daemon_is_refused(daemon: Daemon) -> None:
    with pytest.raises(FailedPreconditionError, match=str(daemon.folder)):
        MosaicoClient.embedded(daemon.folder)


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in one_line("run", "--port", port, "--local-store", tmp_path / "store")


def test_an_unwritable_store_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        assert str(folder) in one_line("run", "--port", 0, "--local-store", folder)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--no-such-flag"],
        ["run", "--port", "sixty"],
        ["run", "--port", "65536"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_bad_usage_is_refused(arguments: list[str]) -> None:
    code, text = refusal(*arguments)
    assert code == 2
    assert arguments[-1] in text


def test_an_unknown_kind_of_store_is_refused() -> None:
    assert "gopher" in refusal("run", "--port", "0", "--store", "gopher://bucket")[1]


@pytest.mark.parametrize("number_", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_signals_end_it_gracefully(daemon: Daemon, remote: MosaicoClient, number_: signal.Signals) -> None:
    record_numbers(remote, "kept", {"t": [(i, i) for i in range(1000)]})
    start = time.monotonic()
    assert daemon.stop(number_) == 0
    assert time.monotonic() - start < 10
    daemon.restart()
    with daemon.connect() as again:
        assert sequence_of(again, "kept").is_locked
        assert len(replay(again, "kept")) == 1000


def test_a_signal_during_a_recording(daemon: Daemon, remote: MosaicoClient) -> None:
    with (
        pytest.raises(ConnectionFailedError, match="s/t"),
        remote.sequence_create("s", on_error=OnErrorPolicy.Report, reconnect_timeout_s=0) as sequence,
    ):
        topic = sequence.topic_create("t", {}, Integer64)
        for i in range(500):
            topic.push(number(i, i))
        topic.flush()
        start = time.monotonic()
        assert daemon.stop(signal.SIGTERM) == 0
        assert time.monotonic() - start < 10
        topic.push(number(500, 500))
        topic.flush()
    daemon.restart()
    with daemon.connect() as again:
        assert not sequence_of(again, "s").is_locked
        assert replay(again, "s") == [("/t", i, i) for i in range(500)]


def test_a_client_finds_the_restarted_daemon(daemon: Daemon, remote: MosaicoClient) -> None:
    record_numbers(remote, "s", {"t": [(1, 1)]})
    daemon.kill()
    with pytest.raises(ConnectionError):
        remote.list_sequences()
    daemon.restart()
    assert remote.list_sequences() == ["s"]
    assert replay(remote, "s") == [("/t", 1, 1)]


# -- embedded ------------------------------------------------------------------------------------

OPEN_EMBEDDED = """
import sys
from mosaicolabs import MosaicoClient
from mosaicolabs.exceptions import FailedPreconditionError
try:
    MosaicoClient.embedded(sys.argv[1])
except FailedPreconditionError as error:
    print(error)
"""


def test_clients_of_one_process_share_the_folder(
    client: MosaicoClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "store")
    record_numbers(client, "s", {"t": [(1, 1)]})
    for spelling in ("store", f"{tmp_path}/store/", tmp_path / "x" / ".." / "store", link):
        (tmp_path / "x").mkdir(exist_ok=True)
        with MosaicoClient.embedded(spelling) as second:
            assert replay(second, "s") == [("/t", 1, 1)]
    second = MosaicoClient.embedded(tmp_path / "store")
    client.close()
    assert replay(second, "s") == [("/t", 1, 1)]
    second.close()
    with MosaicoClient.embedded(tmp_path / "store") as third:
        assert third.list_sequences() == ["s"]


def test_another_process_is_refused(client: MosaicoClient, tmp_path: Path) -> None:
    text = finish(OPEN_EMBEDDED, tmp_path / "store")
    assert str(tmp_path / "store") in text
    assert "\n" not in text
    client.close()
    assert finish(OPEN_EMBEDDED, tmp_path / "store") == ""


def test_path_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(mosaicolabs.exceptions.MosaicoError, match=str(file)):
        MosaicoClient.embedded(file)


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [("--sync-interval", "0.4"), ("--acknowledge", "written")])
def test_what_is_acknowledged_survives_kill_9_with_every_sync_policy(
    tmp_path: Path, settings: tuple[str, str]
) -> None:
    with Daemon(tmp_path / "store", *settings) as daemon, daemon.connect() as client:
        writer = client.sequence_create("s", on_error=OnErrorPolicy.Report, reconnect_timeout_s=0)
        with pytest.raises(ConnectionFailedError), writer as sequence:
            topic = sequence.topic_create("t", {}, Integer64)
            for i in range(3):
                topic.push(number(i, i))
                start = time.monotonic()
                topic.flush()
                waited = time.monotonic() - start
            assert (waited > 0.2) == (settings[0] == "--sync-interval")
            daemon.kill()
            topic.push(number(3, 3))
            topic.flush()
        daemon.restart()
        assert replay(client, "s") == [("/t", i, i) for i in range(3)]
