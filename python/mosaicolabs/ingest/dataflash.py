"""DataFlash logs of ArduPilot (`.bin`).

Every kind of message becomes a topic `/<NAME>` with all its fields as columns, in their units, and the tag
`ardupilot.<NAME>`. Messages with an instance (field `I`) share a topic.

Times: `TimeUS` (or `TimeMS`) counts since boot. GPS fixes with a week and a time of week convert all times to
nanoseconds since the Unix epoch, if they agree with each other; the sequence metadata `time_reference` is
then `gps`, else `boot`.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ._columns import columns_topic
from ._dataflash import MAGIC, MessageFormat, columns, read_dataflash
from ._reader_api import Messages, Recording, RecordingError, Skipped, TopicSpec

_NS_PER_US = 1000
_GPS_EPOCH_S = 315_964_800
_WEEK_S = 604_800
# GPS time does not have leap seconds; since 2017 it is 18 s ahead of UTC.
_LEAP_SECONDS = 18
_FIX_3D = 3
_EARLIEST_S = 1_230_768_000  # 2009
_SAME_US = 1_000_000


class DataflashReader:
    """Reads DataFlash logs."""

    name = "dataflash"
    description = "ArduPilot flight log (.bin)"

    def sniff(self, path: Path) -> bool:
        """Whether the file begins with a format of a message."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(3) == MAGIC + b"\x80"

    def open(self, path: Path) -> Recording:
        """Parses the whole log; damage raises when the messages have been read."""
        damage: list[str] = []
        skipped: list[Skipped] = []
        formats = sorted(
            (entry for entry in read_dataflash(path, damage.append) if entry.rows),
            key=lambda entry: entry.name,
        )
        if not formats:
            raise RecordingError(f"{path}: the log has no messages{f'; {damage[0]}' if damage else ''}")
        boot_us = _boot_us(formats, skipped)
        for entry in formats:
            if (problem := _problem(entry)) is not None:
                skipped.append(Skipped(entry.name, 0, f"stored as bytes: {problem}"))
            elif _times_us(entry) is None:
                skipped.append(
                    Skipped(entry.name, 0, "its messages have no time; they have that of the boot")
                )

        def messages() -> Messages:
            for entry in formats:
                yield from _topic(entry, boot_us or 0)[1]
            if damage:
                rest = f" (and {len(damage) - 1} more)" if len(damage) > 1 else ""
                raise RecordingError(f"{path}: {damage[0]}{rest}; `--on-error report` keeps what is readable")

        metadata = {
            "source": path.name,
            "source_format": self.name,
            "time_reference": "boot" if boot_us is None else "gps",
            "boot_time_ns": None if boot_us is None else boot_us * _NS_PER_US,
        }
        topics = tuple(_topic(entry, boot_us or 0)[0] for entry in formats)
        return Recording(topics, messages, metadata, tuple(skipped))


def _problem(entry: MessageFormat) -> str | None:
    """Why the fields of a kind cannot be read; None if they can."""
    try:
        entry.table()
    except ValueError as error:
        return str(error)
    return None


def _topic(entry: MessageFormat, boot_us: int) -> tuple[TopicSpec, Messages]:
    times_us = _times_us(entry)
    times_ns = (
        (np.zeros(len(entry.rows), np.int64) if times_us is None else times_us) + boot_us
    ) * _NS_PER_US
    metadata = {"encoding": "dataflash", "definition": f"{entry.codes} {','.join(entry.labels)}"}
    if _problem(entry) is not None:
        return columns_topic(
            _name(entry), "raw_message", times_ns, {"data": pa.array(entry.rows, pa.binary())}, metadata
        )
    found = columns(entry.table(), entry.codes)
    return columns_topic(_name(entry), f"ardupilot.{entry.name}", times_ns, found, metadata)


def _name(entry: MessageFormat) -> str:
    return "/" + (re.sub(r"[^A-Za-z0-9_-]", "_", entry.name).strip("_-") or "unnamed")


def _times_us(entry: MessageFormat) -> npt.NDArray[np.int64] | None:
    """Times since boot; None if the kind has none."""
    if _problem(entry) is not None:
        return None
    for label, factor in (("TimeUS", 1), ("TimeMS", 1000)):
        if label in entry.labels:
            return entry.table()[label].astype(np.int64) * factor
    return None


def _boot_us(formats: list[MessageFormat], skipped: list[Skipped]) -> int | None:
    """UTC of the boot, us: the first GPS fix whose offset agrees with the median of all."""
    offsets = [found for entry in formats if (found := _gps_offsets(entry)) is not None]
    joined = np.concatenate(offsets) if offsets else np.empty(0, np.int64)
    if not joined.size:
        return None
    agrees = np.abs(joined - np.median(joined)) <= _SAME_US
    if not agrees.all():
        reason = (
            f"{int((~agrees).sum())} of {joined.size} GPS fixes disagree by more than 1 s; the median counts"
        )
        skipped.append(Skipped("time of boot", 0, reason))
    return int(joined[agrees][0] if agrees.any() else np.median(joined))


def _gps_offsets(entry: MessageFormat) -> npt.NDArray[np.int64] | None:
    if not entry.name.startswith("GPS") or _problem(entry) is not None:
        return None
    if not {"TimeUS", "Status", "GMS", "GWk"} <= set(entry.labels):
        return None
    table = entry.table()
    seconds = _GPS_EPOCH_S + table["GWk"].astype(np.int64) * _WEEK_S - _LEAP_SECONDS
    utc_us = seconds * 1_000_000 + table["GMS"].astype(np.int64) * 1000
    known = (table["Status"] >= _FIX_3D) & (seconds > _EARLIEST_S)
    return (utc_us - table["TimeUS"].astype(np.int64))[known]
