"""Several addresses of one store, of which one accepts connections and does not serve."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.daemon import Daemon
from harness.proxy import Proxy
from harness.record import number, record_numbers, replay, topic_of

from mosaicolabs import Integer64, MosaicoClient

pytestmark = pytest.mark.alone

PROMPT_S = 2.0
"""A call that waits for nobody, on a busy machine."""


@pytest.fixture
def proxy(daemon: Daemon) -> Iterator[Proxy]:
    with Proxy(daemon.port) as proxy:
        yield proxy


def connect(*ports: int, answer_timeout_s: float = 3.0) -> MosaicoClient:
    hosts = [f"127.0.0.1:{port}" for port in ports]
    return MosaicoClient.connect(hosts, 1, timeout=4, answer_timeout_s=answer_timeout_s)


def test_an_address_that_does_not_answer_is_waited_for_once(daemon: Daemon, proxy: Proxy) -> None:
    with daemon.connect() as client:
        record_numbers(client, "s", {f"t{topic}": [(at, at) for at in range(10)] for topic in range(20)})
    proxy.stall()
    begun = time.monotonic()
    with connect(proxy.port, daemon.port) as client:
        assert time.monotonic() - begun < 4, "its share of the timeout"
        for _ in range(10):
            begun = time.monotonic()
            assert len(replay(client, "s")) == 200
            assert time.monotonic() - begun < PROMPT_S


def test_an_address_that_resets_connections_is_left(daemon: Daemon, proxy: Proxy) -> None:
    proxy.refuse()
    with connect(proxy.port, daemon.port) as client:
        assert client.list_sequences() == []


@pytest.mark.parametrize("how", ["stall", "refuse", "cut"])
def test_a_recording_resumes_over_another_address(daemon: Daemon, proxy: Proxy, how: str) -> None:
    with connect(proxy.port, daemon.port) as client, client.sequence_create("s") as sequence:
        topics = [sequence.topic_create(f"t{topic}", {}, Integer64) for topic in range(4)]
        for at in range(50):
            for topic in topics:
                topic.push(number(at, at))
        for topic in topics:
            topic.flush()
        getattr(proxy, how)()
        begun = time.monotonic()
        for at in range(50, 100):
            for topic in topics:
                topic.push(number(at, at))
        for topic in topics:
            topic.flush()
        assert time.monotonic() - begun < 20
        assert client.list_sequences() == ["s"], "calls use the other address, too"
    with daemon.connect() as client:
        for topic in range(4):
            found = [message.data.data for message in topic_of(client, "s", f"t{topic}").get_data_streamer()]
            assert found == list(range(100))


def test_open_clients_and_new_ones_leave_a_hanging_daemon(tmp_path: Path) -> None:
    """SIGSTOP: the system still accepts connections. The second daemon has another store, but answers."""
    with Daemon(tmp_path / "one") as hanging, Daemon(tmp_path / "two") as other:
        with other.connect() as client:
            record_numbers(client, "two", {"t": [(1, 1)]})
        with connect(hanging.port, other.port) as client:
            assert client.list_sequences() == []
            hanging.pause()
            begun = time.monotonic()
            assert client.list_sequences() == ["two"]
            assert time.monotonic() - begun < 8
            begun = time.monotonic()
            assert client.list_sequences() == ["two"]
            with connect(hanging.port, other.port) as new:
                assert new.list_sequences() == ["two"]
            assert time.monotonic() - begun < 6


def test_many_threads_find_out_together(daemon: Daemon, proxy: Proxy) -> None:
    with connect(proxy.port, daemon.port, answer_timeout_s=600) as client:
        client.list_sequences()
        proxy.stall()
        times: list[float] = []

        def ask() -> None:
            begun = time.monotonic()
            client.list_sequences()
            times.append(time.monotonic() - begun)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(times) == 8
        assert max(times) < 25, "a check of the daemon, not its answer, is waited for"
