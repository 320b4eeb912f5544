"""Memory of client and daemon is bounded by configuration, whatever the size of topic, message or result."""

import random
import signal
from collections.abc import Iterator

import psutil
import pyarrow.flight as flight
import pytest
from harness.daemon import Daemon
from harness.record import record_numbers, replay, topic_of
from harness.script import Script

from mosaicolabs import CompressedImage, ImageFormat, Message, MosaicoClient

pytestmark = pytest.mark.alone

MB = 1_000_000
TOPICS, ROWS, ROW_BYTES = 64, 80, 100_000
TOTAL = TOPICS * ROWS * ROW_BYTES

GROWTH = """
import os, sys, psutil
from mosaicolabs import CompressedImage, ImageFormat, MosaicoClient

me = psutil.Process()
client = MosaicoClient.connect("127.0.0.1", int(sys.argv[1]))
client.list_sequences()
before = me.memory_info().rss
peak = 0

def look():
    global peak
    peak = max(peak, me.memory_info().rss - before)
"""

WRITE = (
    GROWTH
    + """
name, topics, rows, size = sys.argv[2], *map(int, sys.argv[3:])
with client.sequence_create(name) as sequence:
    writers = [sequence.topic_create(f"t{i:02}", {}, CompressedImage) for i in range(topics)]
    for row in range(rows):
        for writer in writers:
            picture = CompressedImage(data=os.urandom(size), format=ImageFormat.JPEG)
            writer.push(ontology_obj=picture, message_timestamp_ns=row)
        look()
look()
print(peak, flush=True)
"""
)

READ = (
    GROWTH
    + """
count = 0
for topic, message in client.sequence_handler(sys.argv[2]).get_data_streamer():
    count += 1
    if count % 50 == 0:
        look()
print(count, peak, flush=True)
"""
)


def write(daemon: Daemon, name: str) -> int:
    """Records half a gigabyte in another process; returns the bytes that it grew by."""
    with Script(WRITE, daemon.port, name, TOPICS, ROWS, ROW_BYTES) as script:
        return int(script.hear())


IMUS = """
import sys
from mosaicolabs import IMU, MosaicoClient, Vector3d
client = MosaicoClient.connect("127.0.0.1", int(sys.argv[1]))
with client.sequence_create("imus") as sequence:
    writers = [sequence.topic_create(f"t{i:02}", {}, IMU) for i in range(64)]
    for row in range(int(sys.argv[2])):
        x = row * 1e-3
        turn = Vector3d(x=x / 7, y=x / 11, z=x / 13)
        sample = IMU(acceleration=Vector3d(x=x, y=-x, z=9.81), angular_velocity=turn)
        for writer in writers:
            writer.push(ontology_obj=sample, message_timestamp_ns=row)
print("done", flush=True)
"""


def test_a_merged_reader_of_many_rows(daemon: Daemon) -> None:
    rows = 20_000
    with Script(IMUS, daemon.port, rows) as script:
        assert script.hear() == "done"
    daemon.reset_peak()
    before = daemon.memory_bytes()
    count, growth = read(daemon, "imus")
    assert count == rows * TOPICS
    # A quarter of a gigabyte, so pieces that are too large show.
    assert growth < 200 * MB, f"the client grew by {growth / MB:.0f} MB"
    # No decoder per column stays with a stream that waits.
    daemon_growth = daemon.peak_bytes() - before
    assert daemon_growth < 160 * MB, f"the daemon grew by {daemon_growth / MB:.0f} MB"


def read(daemon: Daemon, name: str) -> tuple[int, int]:
    """Replays it in another process; returns the messages, and the bytes that it grew by."""
    with Script(READ, daemon.port, name) as script:
        count, growth = map(int, script.hear().split())
        return count, growth


@pytest.fixture(scope="module")
def busy_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has recorded a sequence `many` of 64 topics, half a gigabyte, and its like before."""
    with Daemon(tmp_path_factory.mktemp("memory") / "store") as daemon:
        write(daemon, "before")  # the allocator of the daemon reaches its working size
        write(daemon, "many")
        yield daemon


def test_writing_64_topics(busy_daemon: Daemon) -> None:
    before = busy_daemon.memory_bytes()
    growth = write(busy_daemon, "again")
    with busy_daemon.connect() as client:
        rows = [topic_of(client, "again", f"t{i:02}").rows_number for i in range(TOPICS)]
    assert rows == [ROWS] * TOPICS
    assert growth < TOTAL / 2, f"the client grew by {growth / MB:.0f} MB"
    daemon_growth = busy_daemon.memory_bytes() - before
    assert daemon_growth < TOTAL / 3, f"the daemon grew by another {daemon_growth / MB:.0f} MB"


def test_reading_64_topics(busy_daemon: Daemon) -> None:
    read(busy_daemon, "many")
    before = busy_daemon.memory_bytes()
    count, growth = read(busy_daemon, "many")
    assert count == TOPICS * ROWS
    # The read-ahead of all, and per topic the batch it hands out and what HTTP/2 has in flight.
    assert growth < TOTAL * 0.8, f"the client grew by {growth / MB:.0f} MB"
    daemon_growth = busy_daemon.memory_bytes() - before
    assert daemon_growth < TOTAL / 3, f"the daemon grew by another {daemon_growth / MB:.0f} MB"


SLOW = (
    GROWTH
    + """
with client.sequence_create("slow") as sequence:
    writer = sequence.topic_create("t", {}, CompressedImage)
    print("ready", flush=True)
    sys.stdin.readline()
    for row in range(300):
        picture = CompressedImage(data=os.urandom(1_000_000), format=ImageFormat.JPEG)
        writer.push(ontology_obj=picture, message_timestamp_ns=row)
        look()
print(peak, flush=True)
"""
)


def test_writing_to_a_stalled_daemon(daemon: Daemon, remote: MosaicoClient) -> None:
    with Script(SLOW, daemon.port) as script:
        assert script.hear() == "ready"
        before = script.memory_bytes()
        daemon.pause()
        script.say("go")
        assert script.silent_for(3), "push accepts 300 MB that nobody takes"
        growth = script.memory_bytes() - before
        daemon.send(signal.SIGCONT)
        peak = int(script.hear())
    assert growth < 100 * MB, f"the client grew by {growth / MB:.0f} MB while it waited"
    assert peak < 150 * MB, f"the client grew by {peak / MB:.0f} MB"
    assert topic_of(remote, "slow", "t").rows_number == 300


def test_readers_that_stop_reading(busy_daemon: Daemon) -> None:
    daemon = busy_daemon
    with daemon.connect() as client, flight.connect(f"grpc://{daemon.host}:{daemon.port}") as idle:
        with client.sequence_create("wide") as sequence:
            topic = sequence.topic_create("t", {}, CompressedImage)
            for i in range(100):
                data = CompressedImage(data=noise(i), format=ImageFormat.JPEG)
                topic.push(Message(timestamp_ns=i, data=data))
        before = daemon.memory_bytes()
        descriptor = flight.FlightDescriptor.for_command(b'{"resource_locator": "wide/t"}')
        ticket = idle.get_flight_info(descriptor).endpoints[0].ticket
        readers = [idle.do_get(ticket) for _ in range(8)]
        assert all(reader.read_chunk().data.num_rows > 0 for reader in readers)
        psutil.cpu_percent(interval=2)
        record_numbers(client, "meanwhile", {"t": [(1, 1)]})
        assert replay(client, "meanwhile") == [("/t", 1, 1)]
        assert sum(1 for _ in topic_of(client, "wide", "t").get_data_streamer()) == 100
        growth = daemon.memory_bytes() - before
        for reader in readers:
            reader.cancel()
    assert growth < 250 * MB, f"the daemon grew by {growth / MB:.0f} MB"


def noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(MB)
