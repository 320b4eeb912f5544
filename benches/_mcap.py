"""The `mcap` package as the other way to write and read messages."""

import os
from pathlib import Path
from time import perf_counter

from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer


def write(path: Path, times: list[int], records: list[bytes]) -> float:
    """Seconds to write ready records to a file with zstd, until they are durable."""
    start = perf_counter()
    with path.open("wb") as file:
        writer = Writer(file, compression=CompressionType.ZSTD)
        writer.start()
        channel = writer.register_channel(topic="/imu", message_encoding="imu", schema_id=0)
        for time, record in zip(times, records, strict=True):
            writer.add_message(channel_id=channel, log_time=time, data=record, publish_time=time)
        writer.finish()
        file.flush()
        os.fsync(file.fileno())
    return perf_counter() - start


def read(path: Path, count: int) -> float:
    """Seconds to read all records in the order of their times, as raw bytes."""
    found = 0
    start = perf_counter()
    with path.open("rb") as file:
        for _, _, message in make_reader(file).iter_messages(log_time_order=True):
            found += len(message.data) == 56
    seconds = perf_counter() - start
    if found != count:
        raise RuntimeError(f"the mcap file gave {found} of {count} records")
    return seconds
