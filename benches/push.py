"""G1, G2, G3: recording small messages."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import _mcap
import _parquet
from _data import ImuRows, imu
from _harness import Options, Row, alternate, short
from _ours import new_name, push
from _services import clients

from mosaicolabs import IMU, Message, MosaicoClient

TOPICS = (1, 16, 64)
COLUMNS = [f"{vector}.{axis}" for vector in ("acceleration", "angular_velocity") for axis in "xyz"]


def rows(options: Options) -> list[Row]:
    count = options.sized(100_000)
    data = ImuRows.make(count)
    ready = data.messages()
    with TemporaryDirectory(dir=options.folder) as folder, clients(options) as sides:
        runs = {
            "mcap": partial(_mcap.write, Path(folder, "imu.mcap"), data.times, data.records()),
            "make": partial(_make, data),
            "parquet": partial(_parquet.write, Path(folder, "imu.parquet"), data.table()),
        }
        for side, client in sides.items():
            runs[f"{side} make"] = partial(_make_and_push, client, data)
            runs[f"{side} append"] = partial(_append, client, data)
            for topics in TOPICS:
                runs[f"{side} {topics}"] = partial(_push, client, ready, topics)
        seconds = alternate(runs, options)
    rate = {name: count / taken / 1000 for name, taken in seconds.items()}

    def row(goal: str, case: str, run: str, other: str, other_way: str, least: float) -> Row:
        return Row(
            goal=goal,
            case=case,
            size=f"{short(count)} IMU",
            unit="k msg/s",
            ours=rate[f"daemon {run}"],
            embedded=rate[f"embedded {run}"],
            other=rate[other],
            other_way=other_way,
            least_ratio=least,
        )

    return [
        row("G1", "push ready objects, 1 topic", "1", "mcap", "mcap writer, zstd", 2.0),
        row("G1", "append plain values, 1 topic", "append", "mcap", "mcap writer, zstd", 8.0),
        row("G2", "make objects and push", "make", "make", "make objects alone", 0.6),
        row("G3", "push ready objects, 16 topics", "16", "daemon 1", "G1", 0.9),
        row("G3", "push ready objects, 64 topics", "64", "daemon 1", "G1", 0.9),
        Row(
            goal="-",
            case="write columns to a file",
            size=f"{short(count)} IMU",
            unit="k msg/s",
            ours=None,
            embedded=None,
            other=rate["parquet"],
            other_way="pyarrow Parquet, zstd",
        ),
    ]


def _push(client: MosaicoClient, messages: list[Message], topics: int) -> float:
    return push(client, new_name(), IMU, messages, topics)


def _make_and_push(client: MosaicoClient, data: ImuRows) -> float:
    def messages() -> Iterator[Message]:
        for time, row in zip(data.times, data.values, strict=True):
            yield Message(timestamp_ns=time, data=imu(row))

    return push(client, new_name(), IMU, messages())


def _append(client: MosaicoClient, data: ImuRows) -> float:
    with client.sequence_create(new_name()) as sequence:
        append = sequence.topic_create("topic_0", {}, IMU).appender(*COLUMNS)
        start = perf_counter()
        for time, row in zip(data.times, data.values, strict=True):
            append(time, *row)
    return perf_counter() - start


def _make(data: ImuRows) -> float:
    start = perf_counter()
    for row in data.values:
        imu(row)
    return perf_counter() - start
