"""Peers that are not polite: random frames of HTTP/2, requests of random bytes, mutated messages."""

import json
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight
from attack import Budget, Result, faults_in_log
from harness.daemon import Daemon

MEMORY_BYTES = 256 << 20
"""What hostile peers may make the daemon hold beyond its idle memory."""
DELAY_S = 1.0
"""The longest answer that another client may see; machines in use answer late without an attack, too."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ACTIONS = ("sequence_create", "topic_create", "query", "event_list", "sequence_system_info", "layer_create")


@contextmanager
def besieged(folder: Path, result: Result) -> Iterator[Daemon]:
    """A daemon that another client uses meanwhile; memory, answers and log are checked at the end."""
    with Daemon(folder / "store") as daemon:
        ended, slowest = threading.Event(), [0.0]

        def use() -> None:
            with daemon.connect() as client:
                while not ended.wait(0.05):
                    begin = time.monotonic()
                    client.list_sequences()
                    slowest[0] = max(slowest[0], time.monotonic() - begin)

        user = threading.Thread(target=use)
        idle = daemon.memory_bytes()
        user.start()
        daemon.reset_peak()
        try:
            yield daemon
        finally:
            ended.set()
            user.join()
            if daemon.process.poll() is not None:
                result.faults.append(f"the daemon ended with {daemon.process.returncode}")
            else:
                if daemon.peak_bytes() - idle > MEMORY_BYTES:
                    result.faults.append(f"memory rose to {daemon.peak_bytes() >> 20} MiB")
                if slowest[0] > DELAY_S:
                    result.faults.append(f"another client waited {slowest[0]:.2f} s for a list")
            result.faults += faults_in_log(daemon)


def random_frames(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """Connections that send frames of random kinds, flags, streams and lengths after the preface, or none."""
    result, frames, connections = Result("random frames of HTTP/2", ""), 0, 0
    with besieged(folder, result) as daemon:
        until = budget.until()
        while budget.left(until, frames):
            connections += 1
            with suppress(OSError), socket.create_connection((daemon.host, daemon.port), 5) as peer:
                peer.settimeout(1)
                if chance.random() < 0.95:
                    peer.sendall(PREFACE + _frame(4, 0, 0, b""))
                for _ in range(chance.randrange(200)):
                    kind = chance.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, chance.randrange(256)))
                    stream = chance.choice((0, 1, 1, 3, 5, chance.getrandbits(31)))
                    payload = chance.randbytes(chance.choice((0, 4, 5, 6, 8, chance.randrange(2000))))
                    peer.sendall(_frame(kind, chance.getrandbits(8), stream, payload))
                    frames += 1
    result.size = f"{frames:,} frames, {connections:,} connections"
    return result


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def random_bodies(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """Requests of every kind with bodies that are random, or almost right."""
    result, requests = Result("random and mutated requests", ""), 0
    with besieged(folder, result) as daemon:
        peer = flight.connect(f"grpc://{daemon.host}:{daemon.port}")
        key = act(peer, "sequence_create", {"name": "s", "user_metadata": {}})["key"]
        until = budget.until()
        while budget.left(until, requests):
            attempt = chance.choice((_action, _descriptor, _ticket, _put))
            requests += 1
            try:
                attempt(peer, chance, key)
            except flight.FlightInternalError as error:
                result.faults.append(str(error)[:300])
            except (pa.ArrowException, OSError, ValueError):
                pass
    result.size = f"{requests:,} requests"
    return result


def act(peer: flight.FlightClient, action: str, body: object) -> dict[str, str]:
    (answer,) = peer.do_action(flight.Action(action, json.dumps(body).encode()))
    response: dict[str, str] = json.loads(answer.body.to_pybytes()).get("response", {})
    return response


def _document(chance: random.Random, depth: int = 0) -> object:
    plain: tuple[Callable[[], object], ...] = (
        lambda: None,
        lambda: chance.random() < 0.5,
        lambda: chance.choice((0, -1, 2**63, -(2**64), 1e308, float(chance.getrandbits(64)))),
        lambda: chance.randbytes(chance.randrange(12)).decode("latin-1"),
        lambda: chance.choice(("s", "s/t", "/", "..", "s/../t", "a" * 5000)),
    )
    if depth > 5 or chance.random() < 0.5:
        return chance.choice(plain)()
    if chance.random() < 0.5:
        return [_document(chance, depth + 1) for _ in range(chance.randrange(5))]
    names = (
        "name",
        "user_metadata",
        "sequence_key",
        "$or",
        "$and",
        "sequence",
        "ontology",
        "topic",
        "limit",
        "x",
    )
    return {chance.choice(names): _document(chance, depth + 1) for _ in range(chance.randrange(5))}


def _mutated(chance: random.Random, whole: bytes) -> bytes:
    damaged = bytearray(whole)
    for _ in range(chance.randrange(4)):
        if damaged:
            damaged[chance.randrange(len(damaged))] = chance.getrandbits(8)
    return bytes(damaged[: chance.randrange(len(damaged) + 1)] if chance.random() < 0.2 else damaged)


def _action(peer: flight.FlightClient, chance: random.Random, key: str) -> None:
    document = {"name": chance.choice(("s", "r", "s/t")), "sequence_key": key, "user_metadata": {}}
    document |= (
        {"extra": _document(chance)} if chance.random() < 0.5 else {"user_metadata": _document(chance)}
    )
    body = json.dumps(document if chance.random() < 0.5 else _document(chance)).encode()
    list(peer.do_action(flight.Action(chance.choice(ACTIONS), _mutated(chance, body))))


def _descriptor(peer: flight.FlightClient, chance: random.Random, _: str) -> None:
    command = json.dumps({"resource_locator": "s", "extra": _document(chance)}).encode()
    peer.get_flight_info(flight.FlightDescriptor.for_command(_mutated(chance, command)))


def _ticket(peer: flight.FlightClient, chance: random.Random, _: str) -> None:
    whole = b"\x03s/t" + chance.randbytes(chance.randrange(40))
    peer.do_get(flight.Ticket(_mutated(chance, whole)), flight.FlightCallOptions(timeout=5)).read_all()


def _put(peer: flight.FlightClient, chance: random.Random, key: str) -> None:
    name = f"s/t{chance.getrandbits(40)}"
    topic = {"name": name, "sequence_key": key, "serialization_format": "default", "ontology_tag": "x"}
    opened = act(peer, "topic_create", topic | {"user_metadata": {}})
    command = json.dumps({"resource_locator": name, "key": opened["key"]}).encode()
    types = (pa.int64(), pa.string(), pa.list_(pa.int8()), pa.dictionary(pa.int8(), pa.string()), pa.null())
    schema = pa.schema([("timestamp_ns", pa.int64()), ("v", chance.choice(types))])
    descriptor = flight.FlightDescriptor.for_command(
        _mutated(chance, command) if chance.random() < 0.2 else command
    )
    writer, _ = peer.do_put(descriptor, schema, flight.FlightCallOptions(timeout=5))
    with suppress(pa.ArrowException):
        values = pa.nulls(3, schema.field(1).type)
        writer.write_batch(pa.record_batch([pa.array([3, 1, None], pa.int64()), values], schema=schema))
    writer.close()
