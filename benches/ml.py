"""Frames for training: the extractor beside a replay of the same messages."""

from dataclasses import replace
from functools import partial
from time import perf_counter

from _data import START_NS, ImuRows
from _harness import Options, Row, alternate, short
from _ours import push
from _ours import replay as replay_messages
from _services import clients

from mosaicolabs import IMU, MosaicoClient
from mosaicolabs.ml import DataFrameExtractor, SyncTransformer

TOPICS = 16
STEP_NS = 625_000  # 16 topics of 100 Hz


def extract(client: MosaicoClient, name: str, expected: int) -> float:
    """Seconds to get all windows of 5 s as frames of pandas."""
    start = perf_counter()
    frames = DataFrameExtractor(client.sequence_handler(name)).to_pandas_chunks()
    found = sum(map(len, frames))
    seconds = perf_counter() - start
    if found != expected:
        raise RuntimeError(f"sequence {name} gave {found} of {expected} rows")
    return seconds


def steady(client: MosaicoClient, name: str, expected: int) -> float:
    """Seconds to get the same at 30 rows per second."""
    start = perf_counter()
    sync = SyncTransformer(target_fps=30)
    frames = DataFrameExtractor(client.sequence_handler(name)).to_pandas_chunks()
    found = sum(len(sync.transform(frame)) for frame in frames)
    seconds = perf_counter() - start
    if found != (expected - 1) * STEP_NS // sync.step_ns + 1:
        raise RuntimeError(f"sequence {name} gave {found} ticks")
    return seconds


def rows(options: Options) -> list[Row]:
    count = options.sized(100_000)
    times = list(range(START_NS, START_NS + count * STEP_NS, STEP_NS))
    data = replace(ImuRows.make(count), times=times)
    with clients(options) as sides:
        runs = {}
        for side, client in sides.items():
            push(client, "imu", IMU, data.messages(), topics=TOPICS)
            runs[f"{side} frames"] = partial(extract, client, "imu", count)
            runs[f"{side} steady"] = partial(steady, client, "imu", count)
            runs[f"{side} messages"] = partial(replay_messages, client, "imu", count)
        seconds = alternate(runs, options)
    rate = {name: count / taken / 1000 for name, taken in seconds.items()}

    def row(goal: str, case: str, run: str, least: float | None) -> Row:
        return Row(
            goal=goal,
            case=case,
            size=f"{short(count)} IMU",
            unit="k msg/s",
            ours=rate[f"daemon {run}"],
            embedded=rate[f"embedded {run}"],
            other=rate["daemon messages"],
            other_way="replay as messages",
            least_ratio=least,
        )

    return [
        row("ML", f"{TOPICS} topics as frames of 5 s", "frames", 1.0),
        row("ML", "the same at 30 rows per second", "steady", None),
    ]
