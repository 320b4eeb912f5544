"""A query ends when its client leaves, however much of it is left."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pyarrow.flight as flight
import pytest
from harness.daemon import Daemon
from harness.record import within

from mosaicolabs import Integer64

ROWS = 1_000_000

# Ranges around odd numbers: their bounds exclude no chunk, and no row, which is even, is in one of them.
RANGES = [
    {"$and": [{"integer64.data": {"$gt": n}}, {"integer64.data": {"$lt": n + 2}}]} for n in range(0, 8000, 2)
]


def used(daemon: Daemon) -> float:
    """The CPU time of the daemon so far, s."""
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_query_ends_with_its_client(daemon: Daemon) -> None:
    with daemon.connect() as client, client.sequence_create("run") as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        values = np.random.default_rng(1).integers(0, 8000, ROWS) * 2
        topic.push_columns(data=values, timestamp_ns=np.arange(ROWS))
    body = json.dumps({"ontology": {"$or": RANGES}}).encode()
    with flight.connect(f"grpc://127.0.0.1:{daemon.port}") as wire:
        started = used(daemon)
        with pytest.raises(flight.FlightTimedOutError):
            list(wire.do_action(flight.Action("query", body), flight.FlightCallOptions(timeout=1.0)))
        assert used(daemon) - started > 0.2, "the query was at work"
        left = used(daemon)
        assert within(5.0, lambda: is_idle(daemon))
        # The row group in progress alone would take several times as long.
        assert used(daemon) - left < 1.5


def is_idle(daemon: Daemon) -> bool:
    """Whether the daemon hardly works during the next second."""
    before = used(daemon)
    time.sleep(1.0)
    return used(daemon) - before < 0.1
