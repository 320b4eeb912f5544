"""G5, G10: recording and replaying raw images."""

import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import pyarrow as pa
import pyarrow.flight as flight
from _data import FRAME_BYTES, frames, image_message
from _harness import Options, Row, alternate
from _ours import new_name, push, replay_topic
from _services import bare_flight, clients

from mosaicolabs import Image, Message, MosaicoClient

FRAMES_PER_BATCH = 3  # about 1 MB: the size at which bare Flight was fastest


def rows(options: Options) -> list[Row]:
    count = options.sized(400)
    pixels = list(frames(count))
    ready = [image_message(number, frame) for number, frame in enumerate(pixels)]
    batches = pa.table({"data": pa.array(pixels, pa.binary())}).to_batches(max_chunksize=FRAMES_PER_BATCH)
    with (
        TemporaryDirectory(dir=options.folder) as folder,
        bare_flight() as bare,
        clients(options) as sides,
    ):
        runs = {
            "put": partial(_put, bare, batches),
            "get": partial(_get, bare, count),
            "disk": partial(_disk, Path(folder, "pixels"), pixels),
        }
        for side, client in sides.items():
            push(client, "images", Image, ready)
            runs[f"{side} push"] = partial(_push, client, ready)
            runs[f"{side} replay"] = partial(replay_topic, client, "images", count)
        seconds = alternate(runs, options)
    rate = {name: count * FRAME_BYTES / taken / 1e6 for name, taken in seconds.items()}

    size = f"{count} x 752x480 mono"

    def row(goal: str, case: str, run: str, other: str) -> Row:
        return Row(
            goal=goal,
            case=case,
            size=size,
            unit="MB/s",
            ours=rate[f"daemon {run}"],
            embedded=rate[f"embedded {run}"],
            other=rate[other],
            other_way=f"bare Flight {other}",
            least_ratio=0.5,
        )

    return [
        row("G5", "push ready raw images", "push", "put"),
        row("G10", "replay raw images", "replay", "get"),
        Row(
            goal="-",
            case="write the bytes to a file",
            size=size,
            unit="MB/s",
            ours=None,
            embedded=None,
            other=rate["disk"],
            other_way="write and fsync",
        ),
    ]


def _push(client: MosaicoClient, messages: list[Message]) -> float:
    return push(client, new_name(), Image, messages)


def _put(client: flight.FlightClient, batches: list[pa.RecordBatch]) -> float:
    start = perf_counter()
    writer, _ = client.do_put(flight.FlightDescriptor.for_path("images"), batches[0].schema)
    with writer:
        for batch in batches:
            writer.write_batch(batch)
    return perf_counter() - start


def _get(client: flight.FlightClient, count: int) -> float:
    start = perf_counter()
    found = sum(chunk.data.num_rows for chunk in client.do_get(flight.Ticket(b"images")))
    seconds = perf_counter() - start
    if found != count:
        raise RuntimeError(f"bare Flight gave {found} of {count} frames")
    return seconds


def _disk(path: Path, pixels: list[bytes]) -> float:
    start = perf_counter()
    with path.open("wb") as file:
        file.writelines(pixels)
        file.flush()
        os.fsync(file.fileno())
    return perf_counter() - start
