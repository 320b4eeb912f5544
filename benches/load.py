"""64 lanes and 16 readers at once: what the others keep beside a lane and a reader that are slow."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import count, product
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import pyarrow.flight as flight
from _data import START_NS, STEP_NS, imu
from _harness import Options, Row
from _ours import push
from _services import HOST, Daemon, daemon
from memory import LIMIT_MIB, peak_mib, reset_peak

from mosaicolabs import IMU, Message

LANES, READERS = 64, 16
STORED, STORED_TOPICS = 200_000, 4
PAUSE_S = 0.5


def rows(options: Options) -> list[Row]:
    rounds, seconds = (1, 1) if options.quick else (4, 15)
    runs: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    peak = 0.0
    with TemporaryDirectory(dir=options.folder) as folder, daemon(options.mosaicod, Path(folder)) as running:
        with running.connect() as client:
            push(client, "stored", IMU, _imus(options.sized(STORED)), STORED_TOPICS)
        # In turn, so that a busy moment touches both.
        for number, slow in product(range(rounds), runs):
            reset_peak(running.pid)
            runs[slow].append(_run(running, f"{number}-{slow}", seconds, slow=slow))
            peak = max(peak, peak_mib(running.pid))
    beside, without = (tuple(map(fmean, zip(*runs[slow], strict=True))) for slow in (True, False))
    size = f"{LANES} lanes, {READERS} readers, {rounds * seconds} s"
    rates = [
        Row(
            "P6", f"{job} beside a slow one", size, "msg/s", ours, None, other, "no slow one", least_ratio=0.9
        )
        for job, ours, other in zip(("push", "replay"), beside, without, strict=True)
    ]
    memory = Row(
        "P5", "peak memory of the daemon", size, "MiB", peak, None, LIMIT_MIB, "the goal", most=LIMIT_MIB
    )
    return [*rates, memory]


def _run(running: Daemon, name: str, seconds: float, *, slow: bool) -> tuple[float, float]:
    """Messages per second of the lanes and of the readers that are not slow."""
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        lanes = pool.submit(_push, running, name, seconds)
        readers = pool.submit(_replay, running, seconds)
        dawdlers = pool.submit(_dawdle, running, name, seconds) if slow else None
        rates = lanes.result(), readers.result()
        if dawdlers is not None:
            dawdlers.result()
    return rates


def _push(running: Daemon, name: str, seconds: float) -> float:
    pushed = 0
    with running.connect() as client, client.sequence_create(f"lanes-{name}") as sequence:
        lanes = [sequence.topic_create(f"topic_{n}", {}, IMU).push for n in range(LANES - 1)]
        end = time.perf_counter() + seconds
        for number in count():
            if time.perf_counter() > end:
                break
            message = _imu(number)
            for lane in lanes:
                lane(message)
            pushed += len(lanes)
    return pushed / seconds


def _replay(running: Daemon, seconds: float) -> float:
    found = [0] * (READERS - 1)
    end = time.perf_counter() + seconds

    def read(number: int) -> None:
        with running.connect() as client:
            while time.perf_counter() < end:
                handler = client.sequence_handler("stored")
                assert handler is not None
                with handler.get_data_streamer() as stream:
                    for _ in stream:
                        found[number] += 1
                        if found[number] % 1000 == 0 and time.perf_counter() > end:
                            return

    _threads([lambda number=number: read(number) for number in range(READERS - 1)])  # type: ignore[misc]
    return sum(found) / seconds


def _dawdle(running: Daemon, name: str, seconds: float) -> None:
    """One lane and one reader that move a little, now and then."""
    end = time.perf_counter() + seconds

    def lane() -> None:
        with running.connect() as client, client.sequence_create(f"slow-{name}") as sequence:
            topic = sequence.topic_create("slow", {}, IMU)
            for number in count():
                if time.perf_counter() > end:
                    break
                topic.push(_imu(number))
                topic.flush()
                time.sleep(PAUSE_S)

    def reader() -> None:
        with flight.connect(f"grpc://{HOST}:{running.port}") as client:
            command = json.dumps({"resource_locator": "stored/topic_0"}).encode()
            info = client.get_flight_info(flight.FlightDescriptor.for_command(command))
            stream = client.do_get(info.endpoints[0].ticket)
            while time.perf_counter() < end:
                try:
                    stream.read_chunk()
                except StopIteration:
                    stream = client.do_get(info.endpoints[0].ticket)
                time.sleep(PAUSE_S)
            stream.cancel()

    _threads([lane, reader])


def _threads(jobs: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _imus(total: int) -> list[Message]:
    return [_imu(number) for number in range(total)]


def _imu(number: int) -> Message:
    value = number * 1e-3
    sample = imu((value, -value, 9.81, value / 7, value / 11, value / 13))
    return Message(timestamp_ns=START_NS + number * STEP_NS, data=sample)
