"""G6, G16: pictures encoded while they are recorded, beside the encoders alone."""

import io
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from time import perf_counter

import numpy as np
from _data import FRAME_BYTES, HEIGHT, START_NS, WIDTH, frames
from _harness import Options, Row, alternate
from _ours import new_name
from _services import clients
from PIL import Image as PillowImage

from mosaicolabs import CompressedImage, Image, ImageFormat, MosaicoClient
from mosaicolabs.models.sensors._pixels import Pixels

CORES = len(os.sched_getaffinity(0))
Encoder = Callable[[Pixels], Image | CompressedImage]


@cache
def scene() -> list[Pixels]:
    """Few distinct frames, used in turn: encoders remember nothing."""
    return [np.frombuffer(frame, np.uint8).reshape(HEIGHT, WIDTH) for frame in frames(16)]


def png(frame: Pixels) -> Image:
    return Image.from_numpy(frame, "mono8", format=ImageFormat.PNG)


def jpeg(frame: Pixels) -> CompressedImage:
    return CompressedImage.from_numpy(frame, "mono8", ImageFormat.JPEG, quality=90)


def rows(options: Options) -> list[Row]:
    count = options.sized(400)
    encoders: dict[str, Encoder] = {"PNG": png, "JPEG": jpeg}
    with (
        ProcessPoolExecutor(CORES, mp_context=multiprocessing.get_context("spawn")) as pool,
        clients(options) as sides,
    ):
        runs: dict[str, Callable[[], float]] = {}
        for name, encoder in encoders.items():
            runs[f"{name} alone"] = partial(_alone, pool, encoder, count)
            for side, client in sides.items():
                runs[f"{name} {side}"] = partial(_submit, client, encoder, count)
        seconds = alternate(runs, options)
    speeds = {
        name: Row(
            goal="G6",
            case=f"encode as {name} and push",
            size=f"{count} x 752x480 mono",
            unit="images/s",
            ours=count / seconds[f"{name} daemon"],
            embedded=count / seconds[f"{name} embedded"],
            other=count / seconds[f"{name} alone"],
            other_way=f"the encoder alone, {CORES} processes",
            least_ratio=0.9,
        )
        for name in encoders
    }
    return [*speeds.values(), _size(), _encoder_speed(options)]


def _alone(pool: ProcessPoolExecutor, encoder: Encoder, count: int) -> float:
    list(pool.map(_encode, [encoder] * CORES, [1] * CORES))  # the processes have started
    start = perf_counter()
    list(pool.map(_encode, [encoder] * CORES, [count // CORES] * CORES))
    return perf_counter() - start


def _encode(encoder: Callable[[Pixels], object], count: int) -> None:
    pixels = scene()
    for number in range(count):
        encoder(pixels[number % len(pixels)])


def _submit(client: MosaicoClient, encoder: Encoder, count: int) -> float:
    pixels = scene()
    with client.sequence_create(new_name()) as sequence:
        topic = sequence.topic_create("camera", {}, type(encoder(pixels[0])))
        start = perf_counter()
        for number in range(count):
            topic.submit(START_NS + number, encoder, pixels[number % len(pixels)])
    return perf_counter() - start


def _pillow_png(frame: Pixels) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(frame).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _size() -> Row:
    pixels = scene()
    raw = len(pixels) * FRAME_BYTES
    return Row(
        goal="G16",
        case="how much smaller PNG makes them",
        size=f"{len(pixels)} x 752x480 mono",
        unit="x",
        ours=raw / sum(len(png(frame).data) for frame in pixels),
        embedded=None,
        other=raw / sum(len(_pillow_png(frame)) for frame in pixels),
        other_way="Pillow's PNG, level 1",
        least_ratio=1.0,
    )


def _encoder_speed(options: Options) -> Row:
    pixels = scene()
    encoders = {"ours": png, "other": _pillow_png}
    runs = {name: partial(_seconds, encoder, len(pixels)) for name, encoder in encoders.items()}
    seconds = alternate(runs, options)
    return Row(
        goal="G16",
        case="at which speed, one core",
        size=f"{len(pixels)} x 752x480 mono",
        unit="images/s",
        ours=len(pixels) / seconds["ours"],
        embedded=None,
        other=len(pixels) / seconds["other"],
        other_way="Pillow's PNG, level 1",
        least_ratio=1.0,
    )


def _seconds(encoder: Callable[[Pixels], object], count: int) -> float:
    start = perf_counter()
    _encode(encoder, count)
    return perf_counter() - start
