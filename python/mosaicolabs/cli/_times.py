"""Times on the command line, exact to the ns: `1403715273262142976`, `+1.5s`, `2026-01-01T12:00:00.25Z`."""

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import click

from mosaicolabs.handlers import SequenceHandler

_NS_PER = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_ABSOLUTE = re.compile(r"-?\d+", re.ASCII)
_RELATIVE = re.compile(r"\+(\d+(?:\.\d+)?)(ns|us|ms|s|min|h)", re.ASCII)
# datetime keeps six decimals of a second: the fraction is taken out and read on its own.
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?)(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})?", re.ASCII
)
_DURATION = re.compile(r"(\d+)([smhdw])", re.ASCII)
_SECONDS_PER = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_time(text: str, start_ns: int | None) -> int:
    """Parses a time to nanoseconds since the epoch.

    Args:
        text: One of the three forms.
        start_ns: Origin of `+...`, ns; None if there is none.

    Raises:
        ValueError: The text has none of the three forms, or there is no origin.
    """
    if _ABSOLUTE.fullmatch(text):
        return int(text)
    if relative := _RELATIVE.fullmatch(text):
        if start_ns is None:
            raise ValueError(f"`{text}` counts from the first message of the sequence, which has no data")
        return start_ns + int(Decimal(relative[1]) * _NS_PER[relative[2]])
    if iso := _ISO.fullmatch(text):
        return _from_iso(text, *iso.groups(default=""))
    raise ValueError(
        f"`{text}` is not a time; give nanoseconds (1403715273262142976), seconds from the start (+1.5s), "
        "or ISO 8601 (2026-01-01T12:00:00Z)"
    )


def parse_duration(text: str) -> int:
    """Parses `30m`, `12h` or `7d` to seconds.

    Raises:
        ValueError: The text has another form.
    """
    if found := _DURATION.fullmatch(text):
        return int(found[1]) * _SECONDS_PER[found[2]]
    raise ValueError(f"`{text}` is no duration; write it as 30m, 12h or 7d")


def time_option(text: str | None, handler: SequenceHandler, option: str) -> int | None:
    """The value of an option, ns; None if it is not given.

    Raises:
        click.BadParameter: It is not a time.
    """
    if text is None:
        return None
    try:
        return parse_time(text, handler.timestamp_ns_min)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error


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
