"""Growth: the rate at ten and more times the size, which must not fall: nothing is worse than linear."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from time import perf_counter

import numpy as np
import pyarrow as pa
from _data import SEED, START_NS, STEP_NS
from _harness import Options, Row, alternate, short
from _ours import new_name, push, replay_topic
from _services import clients

from mosaicolabs import IMU, Image, ImageFormat, Message, MosaicoClient

ROWS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
ROW_BYTES = (1 << 10, 32 << 10, 1 << 20, 32 << 20, 200 << 20)
# Bytes of the rows of one size together, at least one row.
TOTAL_BYTES = 128 << 20
# What a rate may fall to at the next size: less would be worse than linear, apart from noise and caches.
LEAST = 0.5
AXES = [f"{part}.{axis}" for part in ("acceleration", "angular_velocity") for axis in "xyz"]

Jobs = dict[str, Callable[[], float]]


def rows(options: Options) -> list[Row]:
    counts = ROWS[:2] if options.quick else ROWS
    sizes = ROW_BYTES[:2] if options.quick else ROW_BYTES
    total = options.sized(TOTAL_BYTES)
    with clients(options) as sides:
        columns = {
            count: _rates(options, sides, partial(_columns, _table(count)), count / 1e6) for count in counts
        }
        images = {
            size: _rates(options, sides, partial(_images, messages), len(messages) * size / 1e6)
            for size in sizes
            for messages in [_messages(size, total)]
        }
    return [
        *_steps("M rows/s", columns, lambda count: f"{short(count)} rows"),
        *_steps("MB/s", images, lambda size: f"rows of {size >> 10} KiB"),
    ]


def _rates(
    options: Options,
    sides: dict[str, MosaicoClient],
    jobs: Callable[[MosaicoClient], Jobs],
    amount: float,
) -> dict[str, float]:
    """Amount per second of each job and side."""
    runs = {f"{side} {job}": run for side, client in sides.items() for job, run in jobs(client).items()}
    return {name: amount / seconds for name, seconds in alternate(runs, options).items()}


def _steps(unit: str, rates: dict[int, dict[str, float]], size_of: Callable[[int], str]) -> list[Row]:
    return [
        Row(
            goal="growth",
            case=f"{job} {size_of(size)}",
            size=f"after {size_of(before)}",
            unit=unit,
            ours=rates[size][f"daemon {job}"],
            embedded=rates[size][f"embedded {job}"],
            other=rates[before][f"daemon {job}"],
            other_way="the size before",
            least_ratio=LEAST,
        )
        for before, size in pairwise(rates)
        for job in ("record", "read")
    ]


def _table(count: int) -> pa.Table:
    rng = np.random.default_rng(SEED)
    times = START_NS + np.arange(count, dtype=np.int64) * STEP_NS
    swing = np.sin(np.arange(count) * 1e-3)
    axes = {axis: 9.81 * swing + rng.normal(0.0, 0.02, count) for axis in AXES}
    return pa.table({"timestamp_ns": times, **axes})


def _columns(table: pa.Table, client: MosaicoClient) -> Jobs:
    name = new_name()
    _push(client, name, table)
    return {
        "record": lambda: _push(client, new_name(), table),
        "read": partial(_read, client, name, table.num_rows),
    }


def _push(client: MosaicoClient, name: str, table: pa.Table) -> float:
    with client.sequence_create(name) as sequence:
        topic = sequence.topic_create("topic_0", {}, IMU)
        start = perf_counter()
        topic.push_batch(table)
    return perf_counter() - start


def _read(client: MosaicoClient, name: str, expected: int) -> float:
    handler = client.topic_handler(name, "topic_0")
    assert handler is not None
    start = perf_counter()
    found = sum(batch.num_rows for batch in handler.batches(columns=AXES))
    if found != expected:
        raise RuntimeError(f"{found} of {expected} rows came")
    return perf_counter() - start


def _messages(size: int, total: int) -> list[Message]:
    pixels = np.random.default_rng(SEED).integers(0, 256, size, dtype=np.uint8).tobytes()
    return [
        Message(
            timestamp_ns=START_NS + number * STEP_NS,
            data=Image.from_linear_pixels(
                pixels, stride=size, height=1, width=size, encoding="mono8", format=ImageFormat.RAW
            ),
        )
        for number in range(max(total // size, 1))
    ]


def _images(messages: list[Message], client: MosaicoClient) -> Jobs:
    name = new_name()
    push(client, name, Image, messages)
    return {
        "record": lambda: push(client, new_name(), Image, messages),
        "read": partial(replay_topic, client, name, len(messages)),
    }
