"""G4: pushing columns until durable, beside a bare Parquet write of the same columns."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import _parquet
import pyarrow as pa
from _data import ImuRows
from _harness import Options, Row, alternate, short
from _ours import new_name
from _services import clients

from mosaicolabs import IMU, MosaicoClient

AXES = [f"{part}.{axis}" for part in ("acceleration", "angular_velocity") for axis in "xyz"]


def rows(options: Options) -> list[Row]:
    count = options.sized(1_000_000)
    table = ImuRows.make(count).table().rename_columns(["timestamp_ns", *AXES])
    with TemporaryDirectory(dir=options.folder) as folder, clients(options) as sides:
        runs = {"parquet": partial(_parquet.write, Path(folder, "imu.parquet"), table)}
        for side, client in sides.items():
            runs[f"{side} flush"] = partial(_push, client, table, finalize=False)
            runs[f"{side} all"] = partial(_push, client, table, finalize=True)
        seconds = alternate(runs, options)
    rate = {name: count / taken / 1e6 for name, taken in seconds.items()}

    def row(case: str, run: str, least: float | None) -> Row:
        return Row(
            goal="G4",
            case=case,
            size=f"{short(count)} IMU, 56 B",
            unit="M rows/s",
            ours=rate[f"daemon {run}"],
            embedded=rate[f"embedded {run}"],
            other=rate["parquet"],
            other_way="pyarrow writes Parquet",
            least_ratio=least,
        )

    return [row("push columns until flushed", "flush", None), row("until durable Parquet", "all", 0.5)]


def _push(client: MosaicoClient, table: pa.Table, *, finalize: bool) -> float:
    """Seconds until all rows survive a crash: in the log, or with the sequence finalized."""
    name = new_name()
    with client.sequence_create(name) as sequence:
        topic = sequence.topic_create("imu", {}, IMU)
        start = perf_counter()
        topic.push_batch(table)
        topic.flush()
        flushed = perf_counter() - start
    finalized = perf_counter() - start
    return finalized if finalize else flushed
