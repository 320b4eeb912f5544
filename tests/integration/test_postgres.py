"""The database of the catalog becomes unreachable and returns: calls report it, and work resumes."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.daemon import Daemon, run_mosaicod
from harness.postgres import OwnPostgres
from harness.record import number, record_numbers, replay, sequence_of

from mosaicolabs import Integer64
from mosaicolabs.exceptions import ConnectionFailedError


@pytest.fixture
def served(tmp_path: Path, own_postgres: OwnPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.delenv("MOSAICO_TEST_CATALOG", raising=False)
    with Daemon(tmp_path / "store", "--http-port", "0", "--database", own_postgres.url) as daemon:
        yield daemon


def test_unreachable_database_is_a_retryable_error(served: Daemon, own_postgres: OwnPostgres) -> None:
    with served.connect() as client:
        record_numbers(client, "before", {"t": [(1, 1)]})
        own_postgres.stop()
        with pytest.raises(ConnectionFailedError, match="catalog") as raised:
            client.list_sequences()
        assert raised.value.code == "store_unavailable"
        assert raised.value.retryable
        status, text = served.ask("/readyz")
        assert status == 503
        assert [reason.split(":")[0] for reason in json.loads(text)["reasons"]] == ["catalog"]
        own_postgres.start()
        assert client.list_sequences() == ["before"]
        assert replay(client, "before") == [("/t", 1, 1)]
        assert served.ask("/readyz")[0] == 200


@pytest.mark.parametrize("command", ["run", "rebuild"])
def test_database_without_free_connections_fails_immediately(
    tmp_path: Path, unused_port: int, command: str
) -> None:
    (tmp_path / "store" / "seq").mkdir(parents=True)
    url = f"postgres://user:hidden@127.0.0.1:{unused_port}/mosaico"
    ended = run_mosaicod(command, "--local-store", tmp_path / "store", "--database", url)
    assert ended.returncode == 1
    # A pool goes on for half a minute, and then says that it waited.
    assert "refused" in ended.stderr
    assert f"the database at 127.0.0.1:{unused_port} cannot be used" in ended.stderr
    assert "is it running" in ended.stderr
    assert "hidden" not in ended.stderr


def test_recording_survives_a_restart_of_the_database(served: Daemon, own_postgres: OwnPostgres) -> None:
    with served.connect() as client:
        with client.sequence_create("s") as sequence:
            topic = sequence.topic_create("t", {}, Integer64)
            topic.push(number(1, 1))
            topic.flush()
            own_postgres.stop()
            topic.push(number(2, 2))
            topic.flush()  # durable rows need the log, not the catalog
            back = threading.Timer(1.0, own_postgres.start)
            back.start()
        back.join()
        assert sequence_of(client, "s").is_locked
        assert replay(client, "s") == [("/t", 1, 1), ("/t", 2, 2)]
    # What was redone meanwhile is the same after a start.
    served.kill()
    served.restart()
    with served.connect() as client:
        assert replay(client, "s") == [("/t", 1, 1), ("/t", 2, 2)]
