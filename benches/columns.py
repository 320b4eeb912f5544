"""G9: reading columns, beside a bare Flight get of the same columns."""

from functools import partial
from time import perf_counter

import pyarrow.flight as flight
from _data import ImuRows
from _harness import Options, Row, alternate, short
from _ours import push
from _services import bare_flight, clients

from mosaicolabs import IMU, MosaicoClient
from mosaicolabs.handlers import Batches

COLUMNS = ["acceleration.x", "acceleration.y", "acceleration.z"]
COLUMNS += ["angular_velocity.x", "angular_velocity.y", "angular_velocity.z"]
MERGED_COLUMNS = [f"imu.{column}" for column in COLUMNS]
ROW_BYTES = 56
ROWS_PER_BATCH = 18_000  # about 1 MB: the size at which bare Flight was fastest


def rows(options: Options) -> list[Row]:
    count = options.sized(200_000)
    data = ImuRows.make(count)
    batches = data.table().to_batches(max_chunksize=ROWS_PER_BATCH)
    with bare_flight() as bare, clients(options) as sides:
        writer, _ = bare.do_put(flight.FlightDescriptor.for_path("imu"), batches[0].schema)
        with writer:
            for batch in batches:
                writer.write_batch(batch)
        runs = {"get": partial(_get, bare, count)}
        for side, client in sides.items():
            push(client, "one", IMU, data.messages())
            push(client, "many", IMU, data.messages(), topics=16)
            runs[f"{side} one"] = partial(_topic, client, count)
            runs[f"{side} many"] = partial(_sequence, client, count)
        seconds = alternate(runs, options)
    rate = {name: count / taken / 1e6 for name, taken in seconds.items()}

    def row(case: str, run: str, least: float | None) -> Row:
        return Row(
            goal="G9",
            case=case,
            size=f"{short(count)} IMU, {ROW_BYTES} B",
            unit="M rows/s",
            ours=rate[f"daemon {run}"],
            embedded=rate[f"embedded {run}"],
            other=rate["get"],
            other_way="bare Flight get",
            least_ratio=least,
        )

    return [row("columns of 1 topic", "one", 0.6), row("columns of 16 topics merged", "many", None)]


def _get(client: flight.FlightClient, count: int) -> float:
    start = perf_counter()
    found = sum(chunk.data.num_rows for chunk in client.do_get(flight.Ticket(b"imu")))
    return _checked(start, found, count)


def _topic(client: MosaicoClient, count: int) -> float:
    handler = client.topic_handler("one", "topic_0")
    assert handler is not None
    start = perf_counter()
    return _checked(start, _rows(handler.batches(columns=COLUMNS)), count)


def _sequence(client: MosaicoClient, count: int) -> float:
    handler = client.sequence_handler("many")
    assert handler is not None
    start = perf_counter()
    return _checked(start, _rows(handler.batches(columns=MERGED_COLUMNS)), count)


def _rows(batches: Batches) -> int:
    return sum(batch.num_rows for batch in batches)


def _checked(start: float, found: int, expected: int) -> float:
    seconds = perf_counter() - start
    if found != expected:
        raise RuntimeError(f"{found} of {expected} rows came")
    return seconds
