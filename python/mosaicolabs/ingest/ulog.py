"""PX4 flight logs (ULog).

A ULog topic becomes `/<topic>/<part>`, or `/<topic>_<instance>/<part>` if the log contains several instances
of it; `_ulog_rules.RULES` is the table of parts. Topics and columns without a rule are listed as skipped.

Times: ULog counts microseconds since boot. If the log contains a GPS fix with UTC time, the first such fix
converts all times to nanoseconds since the Unix epoch; the sequence metadata `time_reference` is then
`gps_utc`, else `boot`. A sensor whose sample time is logged relative to its row keeps both: `timestamp_ns` is
the time of the sample, `recording_timestamp_ns` that of the row.
"""

import contextlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyulog import ULog

from mosaicolabs.models import Message

from ._merge import merge_in_time
from ._reader_api import Messages, Recording, RecordingError, Skipped, TopicSpec
from ._ulog_framing import MAGIC, find_cut
from ._ulog_rules import RULES, Columns, Rule

_INVALID_OFFSET = 2**31 - 1
_NS_PER_US = 1000
# PX4 fix_type: the first one with a position and a time.
_FIX_3D = 3


@dataclass(frozen=True)
class _Stream:
    """One topic: a rule applied to the columns of one ULog topic instance."""

    spec: TopicSpec
    rule: Rule
    columns: Columns
    rows: npt.NDArray[np.int64]
    sample_ns: npt.NDArray[np.int64]
    row_ns: npt.NDArray[np.int64]

    def read(self) -> Iterator[tuple[str, Message]]:
        build = self.rule.build(self.columns)
        both_times = self.rule.offset is not None
        for position in np.argsort(self.sample_ns, kind="stable"):
            yield (
                self.spec.name,
                Message(
                    timestamp_ns=int(self.sample_ns[position]),
                    recording_timestamp_ns=int(self.row_ns[position]) if both_times else None,
                    data=build(int(self.rows[position])),
                ),
            )


class UlogReader:
    """Reads PX4 ULog files."""

    name = "ulog"
    description = "PX4 flight log (.ulg)"

    def sniff(self, path: Path) -> bool:
        """Whether the file begins like a ULog file."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def open(self, path: Path) -> Recording:
        """Parses the whole log; damage raises when the messages are read."""
        log = _parse(path)
        damage = _damage(path, log)
        epoch_ns = _epoch_ns(log)
        streams: list[_Stream] = []
        skipped: list[Skipped] = []
        instances = Counter(data.name for data in log.data_list)
        for data in log.data_list:
            source = data.name if instances[data.name] == 1 else f"{data.name}_{data.multi_id}"
            _apply_rules(source, data, epoch_ns or 0, streams, skipped)
        if not streams:
            listed = ", ".join(sorted(instances)) or "none"
            raise RecordingError(f"{path}: no topic with a matching ontology; topics in the log: {listed}")

        def messages() -> Messages:
            yield from merge_in_time(stream.read() for stream in streams)
            if damage is not None:
                raise RecordingError(f"{damage}; `--on-error report` keeps what is readable")

        return Recording(
            topics=tuple(stream.spec for stream in streams),
            messages=messages,
            metadata=_metadata(path, log, epoch_ns),
            skipped=tuple(skipped),
        )


def _parse(path: Path) -> ULog:
    # pyulog prints damage on stdout, which belongs to the caller; `_damage` reports it.
    with path.open("rb") as file, contextlib.redirect_stdout(io.StringIO()):
        try:
            return ULog(file)
        except Exception as error:  # pyulog raises many kinds for broken files
            raise RecordingError(
                f"{path}: not a readable ULog file: {error or type(error).__name__}"
            ) from error


def _damage(path: Path, log: ULog) -> str | None:
    if log.file_corruption:
        return f"{path}: parts of the log are corrupt"
    cut = None if log.has_data_appended else find_cut(path)
    return None if cut is None else f"{path}: the log is truncated inside the record at byte {cut}"


def _epoch_ns(log: ULog) -> int | None:
    """Unix time of the boot, from the first GPS row that has both times, ns."""
    for data in log.data_list:
        columns = data.data
        if {"time_utc_usec", "fix_type"} <= columns.keys():
            known = np.flatnonzero((columns["time_utc_usec"] > 0) & (columns["fix_type"] >= _FIX_3D))
            if known.size:
                first = int(known[0])
                return (int(columns["time_utc_usec"][first]) - int(columns["timestamp"][first])) * _NS_PER_US
    return None


def _metadata(path: Path, log: ULog, epoch_ns: int | None) -> dict[str, Any]:
    names = ("sys_name", "ver_hw", "ver_sw", "ver_sw_release", "sys_uuid")
    return {
        "source": path.name,
        "source_format": UlogReader.name,
        "time_reference": "boot" if epoch_ns is None else "gps_utc",
        "boot_time_ns": epoch_ns,
        "dropouts": len(log.dropouts),
        "dropouts_ms": sum(int(dropout.duration) for dropout in log.dropouts),
        "px4": {name: log.msg_info_dict[name] for name in names if name in log.msg_info_dict},
    }


def _apply_rules(
    source: str, data: Any, epoch_ns: int, streams: list[_Stream], skipped: list[Skipped]
) -> None:
    columns: Columns = data.data
    row_count = len(columns["timestamp"])
    chosen: dict[str, Rule] = {}
    for rule in RULES:
        if data.name in rule.sources and all(name in columns for name in rule.needs):
            chosen.setdefault(rule.part, rule)
    if not chosen:
        skipped.append(Skipped(source, row_count, "no matching ontology"))
        return
    for rule in chosen.values():
        _add_stream(source, data, rule, epoch_ns, streams, skipped)
    used = {"timestamp", *(name for rule in chosen.values() for name in rule.columns(columns))}
    unused = [name for name in columns if name not in used]
    if unused:
        skipped.append(Skipped(source, 0, f"columns without a place in an ontology: {', '.join(unused)}"))


def _add_stream(
    source: str, data: Any, rule: Rule, epoch_ns: int, streams: list[_Stream], skipped: list[Skipped]
) -> None:
    columns: Columns = data.data
    row_us = columns["timestamp"].astype(np.int64)
    rows = np.arange(row_us.size)
    sample_us = row_us
    if rule.offset is not None and rule.offset in columns:
        offset_us = columns[rule.offset].astype(np.int64)
        rows = np.flatnonzero(offset_us != _INVALID_OFFSET)
        sample_us = row_us + offset_us
        if rows.size < row_us.size:
            reason = f"{rule.part}: marked invalid by the vehicle"
            skipped.append(Skipped(source, int(row_us.size - rows.size), reason))
    if not rows.size:
        return
    used = rule.columns(columns)
    spec = TopicSpec(
        name=f"/{source}/{rule.part}",
        ontology=rule.ontology,
        messages=int(rows.size),
        size_bytes=int(rows.size) * sum(columns[name].itemsize for name in ("timestamp", *used)),
        metadata={
            **rule.metadata,
            "px4_topic": data.name,
            "px4_instance": int(data.multi_id),
            **{
                f"{flag}_rows": int(np.count_nonzero(columns[flag])) for flag in rule.flags if flag in columns
            },
        },
    )
    streams.append(
        _Stream(
            spec,
            rule,
            columns,
            rows,
            sample_ns=epoch_ns + sample_us[rows] * _NS_PER_US,
            row_ns=epoch_ns + row_us[rows] * _NS_PER_US,
        )
    )
