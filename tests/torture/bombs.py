"""Small messages that stand for much: compressed messages of gRPC, compressed bodies of Arrow."""

import gzip
import json
import random
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
from attack import Budget, Result
from floods import act, besieged
from harness.daemon import Daemon
from harness.h2 import RawPeer, message

BOMB_BYTES = 128 << 20
"""What one message becomes; the daemon accepts larger ones that are not compressed."""
METHODS = ("DoPut", "DoGet", "DoAction", "GetFlightInfo", "ListFlights")


def compressed_bombs(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """Messages that become large when they are decompressed: the daemon decompresses none of them."""
    result, counts = Result("compressed bombs", ""), {"gRPC": 0, "Arrow": 0}
    zeros = bytes(BOMB_BYTES)
    packed = gzip.compress(zeros, 1)
    schema = pa.schema([pa.field("timestamp_ns", pa.int64(), nullable=False), pa.field("v", pa.binary())])
    batch = pa.record_batch([pa.array([1], pa.int64()), pa.array([zeros], pa.binary())], schema=schema)
    with besieged(folder, result) as daemon:
        wire = flight.connect(f"grpc://{daemon.host}:{daemon.port}")
        key = act(wire, "sequence_create", {"name": "s", "user_metadata": {}})["key"]
        until = budget.until()
        while time.monotonic() < until:
            if chance.random() < 0.7:
                counts["gRPC"] += 1
                _send_compressed_message(daemon, packed, chance)
            else:
                counts["Arrow"] += 1
                if not _is_refused(wire, key, batch, chance):
                    result.faults.append("an upload with compressed bodies was accepted")
    result.size = ", ".join(f"{count:,} of {kind}" for kind, count in counts.items())
    return result


def _send_compressed_message(daemon: Daemon, packed: bytes, chance: random.Random) -> None:
    with suppress(OSError):
        peer = RawPeer(daemon.port)
        peer.pump(0.01)
        encoding = chance.choice(("gzip", "deflate", "zstd", "identity,gzip"))
        peer.call(1, chance.choice(METHODS), {"grpc-encoding": encoding})
        compressed = b"\x01" + message(packed)[1:]
        peer.send(1, compressed, last=chance.random() < 0.5, seconds=0.05)
        peer.pump(0.02)
        peer.close()


def _is_refused(wire: flight.FlightClient, key: str, batch: pa.RecordBatch, chance: random.Random) -> bool:
    name = f"s/t{chance.getrandbits(40)}"
    topic = {"name": name, "sequence_key": key, "serialization_format": "default", "ontology_tag": "x"}
    opened = act(wire, "topic_create", topic | {"user_metadata": {}})
    descriptor = flight.FlightDescriptor.for_command(
        json.dumps({"resource_locator": name, "key": opened["key"]}).encode()
    )
    codec = pa.ipc.IpcWriteOptions(compression=chance.choice(("lz4", "zstd")))
    writer, reader = wire.do_put(descriptor, batch.schema, flight.FlightCallOptions(write_options=codec))
    try:
        writer.write_batch(batch)
        writer.done_writing()
        while reader.read() is not None:
            pass
        writer.close()
    except (pa.ArrowException, OSError):
        return True
    return False
