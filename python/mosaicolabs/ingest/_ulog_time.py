"""Times of a ULog: the time of boot from plausible sources, and times that overflow."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ._ulog_format import Columns

NS_PER_US = 1000
# PX4 fix_type: the first one with a position and a time.
_FIX_3D = 3
# PX4 is younger than the first of these, and receivers that do not know the time say 1970, 1980 or 1999.
_EARLIEST_UTC_US = 1_230_768_000_000_000  # 2009
_LATEST_UTC_US = 4_102_444_800_000_000  # 2100
_SAME_US = 1_000_000


def boot_time_ns(gps: list[Columns], information: dict[str, Any]) -> tuple[int | None, str, list[str]]:
    """Unix time of the boot in ns, its source (`gps_utc`, `boot_time_utc` or `boot`), and doubts about it.

    The offsets of all fixes are compared: the first one that agrees with their median counts.

    Args:
        gps: Columns of the topics with `time_utc_usec` and `fix_type`.
        information: Information messages of the log.
    """
    doubts = []
    offsets = np.concatenate([_offsets(columns) for columns in gps]) if gps else np.empty(0, np.int64)
    utc = np.concatenate([_fixes(columns)[0] for columns in gps]) if gps else np.empty(0, np.int64)
    plausible = (utc > _EARLIEST_UTC_US) & (utc < _LATEST_UTC_US)
    if offsets.size and not plausible.all():
        doubts.append(
            f"{int((~plausible).sum())} of {offsets.size} GPS fixes have an impossible UTC time, such as "
            f"{int(utc[~plausible][0])} us; they are not used for the time of boot"
        )
    offsets = offsets[plausible]
    if offsets.size:
        agrees = np.abs(offsets - np.median(offsets)) <= _SAME_US
        if not agrees.all():
            others = int((~agrees).sum())
            doubts.append(
                f"{others} of {offsets.size} GPS fixes disagree with the others by more than 1 s about "
                "the time of boot; the median counts"
            )
        near = offsets[agrees] if agrees.any() else offsets
        return int(near[0]) * NS_PER_US, "gps_utc", doubts
    boot_us = information.get("boot_time_utc_us")
    if isinstance(boot_us, int) and _EARLIEST_UTC_US < boot_us < _LATEST_UTC_US:
        return boot_us * NS_PER_US, "boot_time_utc", doubts
    return None, "boot", doubts


def row_times_us(timestamps: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], int]:
    """Times as 64 bits, us, and how often they overflowed, as 32 bits do after 71 minutes."""
    bits = timestamps.dtype.itemsize * 8
    if bits == 64:
        return timestamps.astype(np.int64), 0
    wide = timestamps.astype(np.int64)
    # Overflowed, not only late: more than half of the range back.
    overflows = np.concatenate([[0], np.cumsum(np.diff(wide) < -(2 ** (bits - 1)))]) if wide.size else wide
    return wide + overflows * 2**bits, int(overflows[-1]) if wide.size else 0


def _fixes(columns: Columns) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """UTC and boot times of the rows with a fix, us."""
    known = (columns["time_utc_usec"] > 0) & (columns["fix_type"] >= _FIX_3D)
    return columns["time_utc_usec"][known].astype(np.int64), columns["timestamp"][known].astype(np.int64)


def _offsets(columns: Columns) -> npt.NDArray[np.int64]:
    utc, boot = _fixes(columns)
    return utc - boot
