"""The two servers of the benchmarks: `mosaicod`, and a bare Flight server that keeps what it got."""

import multiprocessing
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.flight as flight
from _harness import Options

from mosaicolabs import MosaicoClient

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Daemon:
    port: int
    pid: int

    def connect(self) -> MosaicoClient:
        return MosaicoClient.connect(HOST, self.port, timeout=30)


@contextmanager
def daemon(mosaicod: Path, store: Path) -> Iterator[Daemon]:
    """A daemon of its own process on a free port, ended with the block."""
    command = [mosaicod, "run", "--host", HOST, "--port", "0", "--local-store", store]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        announced = process.stdout.readline()
        address = re.search(r"grpc://[^ ,]*:([0-9]+)", announced)
        if address is None:
            raise RuntimeError(f"{mosaicod} did not announce its address but {announced!r}")
        yield Daemon(int(address[1]), process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


@contextmanager
def clients(options: Options) -> Iterator[dict[str, MosaicoClient]]:
    """A client of a daemon process and an embedded one, each on an empty store."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=options.folder)))
        running = stack.enter_context(daemon(options.mosaicod, folder / "daemon"))
        yield {
            "daemon": stack.enter_context(running.connect()),
            "embedded": stack.enter_context(MosaicoClient.embedded(folder / "embedded")),
        }


class _KeepLast(flight.FlightServerBase):  # type: ignore[misc]
    table = pa.table({})

    def do_put(self, context, descriptor, reader, writer) -> None:  # type: ignore[no-untyped-def]
        self.table = reader.read_all()

    def do_get(self, context, ticket) -> flight.RecordBatchStream:  # type: ignore[no-untyped-def]
        return flight.RecordBatchStream(self.table)


def _serve(ready: Connection) -> None:
    server = _KeepLast(f"grpc://{HOST}:0")
    ready.send(server.port)
    server.serve()


@contextmanager
def bare_flight() -> Iterator[flight.FlightClient]:
    """A client of a pyarrow Flight server of its own process that keeps the last table put."""
    ready, port = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(port,))
    process.start()
    try:
        if not ready.poll(60):
            raise RuntimeError("the bare Flight server did not start within 60 s")
        with flight.connect(f"grpc://{HOST}:{ready.recv()}") as client:
            yield client
    finally:
        process.terminate()
        process.join()
