"""Request IDs: in the log of the daemon, in its answers, and in the exceptions of clients."""

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow.flight as flight
import pytest
from harness.daemon import Daemon
from harness.mosaico02 import Mosaico02
from harness.record import number, record_numbers, sequence_of

from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy
from mosaicolabs.exceptions import MosaicoError

HEADER = "x-request-id"


def log_of(daemon: Daemon) -> list[dict[str, Any]]:
    return [json.loads(line) for line in daemon.log.read_text().splitlines()]


@pytest.fixture
def talking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A daemon that logs every call, as JSON."""
    monkeypatch.setenv("RUST_LOG", "mosaico_server=debug")
    with Daemon(tmp_path / "store", "--log-format", "json") as daemon:
        yield daemon


class _Headers(flight.ClientMiddleware):
    def __init__(self, sent: dict[str, str], received: dict[str, list[str]]) -> None:
        super().__init__()
        self._sent, self._received = sent, received

    def sending_headers(self) -> dict[str, str]:
        return self._sent

    def received_headers(self, headers: dict[str, list[str]]) -> None:
        self._received.update(headers)


class _Factory(flight.ClientMiddlewareFactory):
    def __init__(self, **sent: str) -> None:
        super().__init__()
        self.sent = {name.replace("_", "-"): value for name, value in sent.items()}
        self.received: dict[str, list[str]] = {}

    def start_call(self, info: object) -> _Headers:
        return _Headers(self.sent, self.received)


def test_an_exception_leads_to_the_lines_of_the_log(talking: Daemon) -> None:
    with talking.connect() as client:
        record_numbers(client, "s", {"t": [(1, 1)]})
        with pytest.raises(MosaicoError) as raised:
            client.sequence_delete("s")
    error = raised.value
    assert error.request_id is not None
    assert len(error.request_id) == 26
    assert str(error) == f"{error.message} (request {error.request_id})"
    assert pickle.loads(pickle.dumps(error)).request_id == error.request_id
    (line,) = [line for line in log_of(talking) if line.get("span", {}).get("request") == error.request_id]
    assert line["span"] == {
        "name": "call",
        "request": error.request_id,
        "method": "DoAction",
        "action": "sequence_delete",
    }
    assert (line["level"], line["code"]) == ("INFO", "FAILED_PRECONDITION")
    assert line["seconds"] >= 0


def test_failed_streams_have_request_ids(talking: Daemon) -> None:
    with talking.connect() as client, talking.connect() as other:
        writer = client.sequence_create("s", on_error=OnErrorPolicy.Report)
        with pytest.raises(MosaicoError, match="was deleted") as raised, writer as sequence:
            topic = sequence.topic_create("t", {}, Integer64)
            topic.push(number(1, 1))
            topic.flush()
            other.sequence_delete("s")
            topic.push(number(2, 2))
            topic.flush()
    assert raised.value.code == "deleted"
    spans = [line["span"] for line in log_of(talking) if line.get("code") == "CANCELLED"]
    (put,) = [span for span in spans if span["method"] == "DoPut"]
    assert put["request"] == raised.value.request_id


def test_every_call_is_logged_once_with_its_request_id(talking: Daemon) -> None:
    with talking.connect() as client:
        record_numbers(client, "s", {"t": [(1, 1)]})
        assert client.list_sequences() == ["s"]
    done = [line["span"] for line in log_of(talking) if line.get("message") == "done"]
    names = [span["request"] for span in done]
    assert len(names) == len(set(names))
    assert {"DoPut", "DoAction", "ListFlights"} <= {span["method"] for span in done}
    assert {"sequence_create", "topic_create", "sequence_finalize"} <= {span.get("action") for span in done}


@pytest.mark.parametrize(("sent", "taken"), [("trace-7", True), ("two words", False), ("x" * 129, False)])
def test_caller_may_set_the_request_id(standing_daemon: Daemon, sent: str, taken: bool) -> None:
    factory = _Factory(x_request_id=sent)
    address = f"grpc://{standing_daemon.host}:{standing_daemon.port}"
    with flight.FlightClient(address, middleware=[factory]) as client:
        list(client.list_flights())
    (name,) = factory.received[HEADER]
    assert (name == sent) == taken
    assert taken or len(name) == 26


def test_embedded_daemon_has_no_request_ids(client: MosaicoClient, tmp_path: Path) -> None:
    with pytest.raises(MosaicoError) as raised:
        client.sequence_delete("nothing")
    assert raised.value.request_id is None
    assert str(raised.value) == raised.value.message


def test_mosaico_02_server_has_no_request_ids() -> None:
    with Mosaico02() as server, MosaicoClient.connect("127.0.0.1", server.port) as client:
        with pytest.raises(MosaicoError) as raised:
            client.sequence_delete("nothing")
        assert raised.value.request_id is None


def test_call_that_does_not_reach_the_daemon_has_a_request_id(daemon: Daemon) -> None:
    with daemon.connect() as client:
        daemon.kill()
        names = set()
        for _ in range(2):
            with pytest.raises(MosaicoError) as raised:
                client.list_sequences()
            assert raised.value.request_id is not None, raised.value
            names.add(raised.value.request_id)
        assert len(names) == 2


def test_call_during_which_the_daemon_dies_has_a_request_id(talking: Daemon) -> None:
    with talking.connect() as client, pytest.raises(MosaicoError, match="while ending"):
        with client.sequence_create("s", reconnect_timeout_s=0) as sequence:
            topic = sequence.topic_create("t", {}, Integer64)
            topic.push(number(1, 1))
            topic.flush()
            live = iter(sequence_of(client, "s").get_data_streamer(follow=True))
            next(live)
            talking.kill()
            with pytest.raises(MosaicoError) as raised:
                next(live)
            assert raised.value.request_id is not None
            assert len(raised.value.request_id) == 26


def test_text_is_the_default(daemon: Daemon, remote: MosaicoClient) -> None:
    with pytest.raises(MosaicoError):
        remote.sequence_delete("nothing")
    assert daemon.log.read_text() == ""
