"""G14: peak memory of the daemon and of the client, for one length and for four times that length."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from _data import START_NS, STEP_NS, frames, image_message, imu
from _harness import Options, Row, isolated, short
from _ours import push, replay
from _services import Daemon, daemon

from mosaicolabs import IMU, Image, Message, MosaicoClient, Serializable

TOPICS = 64
LIMIT_MIB = 256.0

Make = Callable[[int], Iterator[Message]]
Peaks = tuple[float, float]


def rows(options: Options) -> list[Row]:
    imus, images = options.sized(1_600_000), options.sized(1_600)
    return [
        *_kind(options, "IMU", IMU, _imus, imus),
        *_kind(options, "images", Image, _images, images),
    ]


def _kind(
    options: Options, kind: str, data_class: type[Serializable], make: Make, length: int
) -> Iterator[Row]:
    lengths = {"short": length // 4, "long": length}
    with TemporaryDirectory(dir=options.folder) as folder, daemon(options.mosaicod, Path(folder)) as running:
        cases = {
            "record": isolated(_record, running, data_class, make, lengths),
            "replay": isolated(_replay, running, lengths),
        }
    for case, peaks in cases.items():
        for who, (brief, full) in zip(("daemon", "client"), peaks, strict=True):
            yield Row(
                goal="G14",
                case=f"peak memory, {case}: {who}",
                size=f"{short(length)} {kind}, {TOPICS} topics",
                unit="MiB",
                ours=full,
                embedded=None,
                other=brief,
                other_way="a quarter of the length",
                most=LIMIT_MIB,
            )


def _record(
    running: Daemon, data_class: type[Serializable], make: Make, lengths: dict[str, int]
) -> tuple[Peaks, Peaks]:
    return _measure(
        running,
        lengths,
        lambda client, name, length: push(client, name, data_class, make(length), TOPICS),
    )


def _replay(running: Daemon, lengths: dict[str, int]) -> tuple[Peaks, Peaks]:
    return _measure(running, lengths, replay)


def _measure(
    running: Daemon, lengths: dict[str, int], job: Callable[[MosaicoClient, str, int], float]
) -> tuple[Peaks, Peaks]:
    """Peaks of the daemon and of this process, MiB, each for the short and the long run."""
    peaks = []
    with running.connect() as client:
        for name, length in lengths.items():
            for pid in (running.pid, os.getpid()):
                reset_peak(pid)
            job(client, name, length)
            peaks.append((peak_mib(running.pid), peak_mib(os.getpid())))
    (daemon_brief, client_brief), (daemon_full, client_full) = peaks
    return (daemon_brief, daemon_full), (client_brief, client_full)


def reset_peak(pid: int) -> None:
    """`peak_mib` counts from here."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mib(pid: int) -> float:
    """The most resident memory of a process since its start or the last reset."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no VmHWM; memory is measured on Linux only")


def _imus(count: int) -> Iterator[Message]:
    for number in range(count):
        value = number * 1e-3
        sample = imu((value, -value, 9.81, value / 7, value / 11, value / 13))
        yield Message(timestamp_ns=START_NS + number * STEP_NS, data=sample)


def _images(count: int) -> Iterator[Message]:
    pool = list(frames(16))
    for number in range(count):
        yield image_message(number, pool[number % len(pool)])
