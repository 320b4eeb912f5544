"""Times in any form, exact to the ns."""

import re
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias, Union

if TYPE_CHECKING:
    import numpy as np

TimeLike: TypeAlias = Union[int, str, datetime, timedelta, "np.datetime64", "np.timedelta64"]
"""A point in time.

| Form | Meaning |
| --- | --- |
| `int` | ns since the Unix epoch |
| `datetime` with a time zone | that time |
| `pandas.Timestamp`, `numpy.datetime64` | that time; without a zone: UTC |
| `timedelta`, `pandas.Timedelta`, `numpy.timedelta64` | so long after the first message |
| `"2026-11-30T12:00"`, `"2026-11-30"`, `"2026-11-30 12:00:00.25+02:00"` | that time; without a zone: UTC |
| `"+1.5s"`, `"1.5s"`, `"100ms"`, `"2min"`, `"1h"` | so long after the first message |
| `"-10s"` | so long before the last message |
| `"5"`, `"1.5"` | seconds after the first message |
| `"1403715273"` or longer | since the Unix epoch, in s, ms, us or ns by the number of digits |
"""

_NS_PER = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_OFFSET = re.compile(r"([+-]?)(\d+(?:\.\d+)?)(ns|us|ms|s|min|h)?", re.ASCII)
_EPOCH_DIGITS = 10
"""Numbers of fewer digits are offsets: as seconds since the epoch they are before September 2001."""
# datetime keeps six decimals of a second: the fraction is taken out and read on its own.
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?)(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})?", re.ASCII
)
_DURATION = re.compile(r"(\d+)([smhdw])", re.ASCII)
_SECONDS_PER = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def to_ns(time: Any, start_ns: int | None = None, end_ns: int | None = None) -> int:
    """A time as nanoseconds since the Unix epoch.

    Args:
        time: See `TimeLike`; also `mosaicolabs.Time`.
        start_ns: Time of the first message, from which offsets count, ns; None if there is none.
        end_ns: Time of the last message, from which negative ones count, ns.

    Raises:
        ValueError: It is not a time, has no time zone, or counts from messages that do not exist.
        TypeError: It has another type.

    Example:
        >>> to_ns("2026-11-30T12:00"), to_ns("+1.5s", 1000)
        (1796040000000000000, 1500001000)
    """
    numpy = sys.modules.get("numpy")  # not imported for those who do not use it
    if numpy is not None and isinstance(time, numpy.datetime64 | numpy.timedelta64):
        return _in_range(_of_numpy(time, start_ns), time)
    if isinstance(time, Integral) and not isinstance(time, bool):
        return _in_range(int(time), time)
    if isinstance(time, str):
        return _in_range(parse_time(time, start_ns, end_ns), time)
    if isinstance(time, datetime):
        return _in_range(_of_datetime(time), time)
    if isinstance(time, timedelta):
        return _in_range(_from_first(_of_timedelta(time), time, start_ns), time)
    if hasattr(time, "to_nanoseconds"):
        return int(time.to_nanoseconds())
    raise TypeError(
        f"{time!r} is not a time; give ns as int, a datetime, or text such as '2026-11-30T12:00' or '+1.5s'"
    )


def is_point_in_time(value: Any) -> bool:
    """Whether a value is a time of the calendar, in another form than a number or text."""
    numpy = sys.modules.get("numpy")
    return (
        isinstance(value, datetime)
        or hasattr(value, "to_nanoseconds")
        or (numpy is not None and isinstance(value, numpy.datetime64))
    )


def parse_time(text: str, start_ns: int | None, end_ns: int | None = None) -> int:
    """Parses the text of a time to nanoseconds since the epoch.

    Args:
        text: One of the forms of `TimeLike`.
        start_ns: Origin of offsets, ns; None if there is none.
        end_ns: Origin of negative offsets, ns; None if there is none.

    Raises:
        ValueError: The text has none of these forms, or there is no origin.
    """
    if offset := _OFFSET.fullmatch(text):
        sign, number, unit = offset.groups()
        if not sign and not unit and len(number.partition(".")[0]) >= _EPOCH_DIGITS:
            return _since_epoch(number)
        if sign and not unit:
            raise ValueError(f"`{text}` is not a time: it has no unit; write {text}s for seconds")
        offset_ns = int(Decimal(number) * _NS_PER[unit or "s"])
        if sign == "-":
            return _from(end_ns, -offset_ns, f"`{text}`", "last")
        return _from_first(offset_ns, f"`{text}`", start_ns)
    if iso := _ISO.fullmatch(text):
        return _from_iso(text, *iso.groups(default=""))
    raise ValueError(
        f"`{text}` is not a time; give seconds from the start (5, +1.5s), an offset from the end (-10s), "
        "ISO 8601 (2026-01-01T12:00:00Z), or nanoseconds (1403715273262142976)"
    )


def parse_duration(text: str) -> int:
    """Parses `30m`, `12h` or `7d` to seconds.

    Raises:
        ValueError: The text has another form.
    """
    if found := _DURATION.fullmatch(text):
        return int(found[1]) * _SECONDS_PER[found[2]]
    raise ValueError(f"`{text}` is no duration; write it as 30m, 12h or 7d")


def _in_range(time_ns: int, given: Any) -> int:
    if -(2**63) <= time_ns < 2**63:
        return time_ns
    raise ValueError(f"{given!r} is not a time that 64 bits of ns can represent (1677 to 2262)")


def _from_first(offset_ns: int, given: Any, start_ns: int | None) -> int:
    return _from(start_ns, offset_ns, given, "first")


def _from(origin_ns: int | None, offset_ns: int, given: Any, which: str) -> int:
    if origin_ns is None:
        raise ValueError(f"{given} counts from the {which} message, which is not known here, or has no data")
    return origin_ns + offset_ns


def _since_epoch(number: str) -> int:
    """Seconds, or parts of them by the number of digits; 10 digits are the seconds of 2001 to 2286."""
    digits = len(number.partition(".")[0])
    ns_per = 10**9 if digits < 12 else 10**6 if digits < 15 else 10**3 if digits < 18 else 1
    return int(Decimal(number) * ns_per)


def _of_datetime(time: datetime) -> int:
    if time != time:
        raise ValueError("NaT is not a time")
    if hasattr(time, "nanosecond"):  # pandas.Timestamp; without a zone UTC, as in its frames
        return int(time.value)  # type: ignore[attr-defined]
    if time.tzinfo is None:
        raise ValueError(
            f"{time!r} has no time zone; add tzinfo=timezone.utc, or call .astimezone() if it is local time"
        )
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def _of_timedelta(duration: timedelta) -> int:
    if hasattr(duration, "nanoseconds"):  # pandas.Timedelta
        return int(duration.value)  # type: ignore[attr-defined]
    return duration // timedelta(microseconds=1) * 1000


def _of_numpy(time: Any, start_ns: int | None) -> int:
    import numpy

    if numpy.isnat(time):
        raise ValueError("NaT is not a time")
    unit, count = numpy.datetime_data(time.dtype)
    per_tick = _NS_PER.get(
        {"m": "min"}.get(unit, unit), {"D": 86_400 * 10**9, "W": 604_800 * 10**9}.get(unit)
    )
    if per_tick is None:  # months and years differ in length, and units below ns are rounded down
        ticks = int(time.astype(f"{time.dtype.kind}8[ns]").astype("i8"))
        per_tick, count = 1, 1
    else:
        ticks = int(time.astype("i8"))
    time_ns = ticks * count * per_tick
    return time_ns if time.dtype.kind == "M" else _from_first(time_ns, time, start_ns)


def _zone(zone: str) -> timezone:
    if zone in ("", "Z"):
        return timezone.utc
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if zone[0] == "-" else offset)


def _from_iso(text: str, moment: str, fraction: str, zone: str) -> int:
    try:
        parsed = datetime.fromisoformat(moment if "T" in moment or " " in moment else f"{moment}T00:00")
        parsed = parsed.replace(tzinfo=_zone(zone))
    except ValueError as error:
        raise ValueError(f"`{text}` is not a time: {error}") from error
    since = parsed - _EPOCH
    return (since.days * 86400 + since.seconds) * 10**9 + int(fraction.ljust(9, "0"))
