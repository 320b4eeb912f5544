"""Output of commands: JSON or text. Results go to stdout, everything else to stderr."""

import json
from datetime import datetime, timezone
from typing import Any

import click

from mosaicolabs._printable import printable

_UNITS_OF_TIME = ((86_400, "d"), (3_600, "h"), (60, "min"))


def echo(text: str = "", *, err: bool = False) -> None:
    """Prints text that may contain recorded data as one line."""
    click.echo(printable(text).replace("\n", "\\n"), err=err)


def print_json(document: Any) -> None:
    """One JSON document per line; unprintable characters as escapes of JSON."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    click.echo(printable(text, "\\u{:04x}"))


def human_bytes(size: float) -> str:
    """A size in the decimal unit that fits.

    Example:
        >>> human_bytes(999), human_bytes(20_480), human_bytes(3_141_592_653)
        ('999 B', '20.5 kB', '3.1 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def human_time(timestamp_ns: int | None) -> str:
    """UTC with nine decimals; the plain number outside the range of the calendar."""
    if timestamp_ns is None:
        return "-"
    seconds, fraction = divmod(timestamp_ns, 1_000_000_000)
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return f"{timestamp_ns} ns"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def short_time(timestamp_ns: int | None) -> str:
    """UTC to the second, for lists.

    Example:
        >>> short_time(1_700_000_000_999_999_999), short_time(None)
        ('2023-11-14 22:13:20', '-')
    """
    exact = human_time(timestamp_ns)
    return exact.partition(".")[0].replace("T", " ")


def human_span(start_ns: int | None, end_ns: int | None) -> str:
    """The time between two stamps, in the units in which people write it.

    Example:
        >>> [human_span(0, int(seconds * 1e9)) for seconds in (0.004, 59.94, 61, 3_725, 200_000)]
        ['0.004 s', '59.9 s', '1 min 01 s', '1 h 02 min', '2 d 07 h']
    """
    if start_ns is None or end_ns is None:
        return "-"
    seconds = (end_ns - start_ns) / 1e9
    if seconds < 60:
        return f"{seconds:.3g} s"
    below, below_name = 1, "s"
    for size, name in reversed(_UNITS_OF_TIME):
        if seconds < size:
            break
        whole, rest = divmod(int(seconds), size)
        text = f"{whole} {name} {rest // below:02d} {below_name}"
        below, below_name = size, name
    return text


def human_rate(rate: float | None) -> str:
    """A rate to three digits.

    Example:
        >>> human_rate(199.98), human_rate(0.3333), human_rate(48_000.0), human_rate(None)
        ('200 Hz', '0.333 Hz', '48,000 Hz', '-')
    """
    if rate is None:
        return "-"
    return f"{rate:,.0f} Hz" if rate >= 100 else f"{rate:.3g} Hz"


def rate_hz(messages: int | None, start_ns: int | None, end_ns: int | None) -> float | None:
    """Mean rate, Hz; None without two messages at different times."""
    if messages is None or messages < 2 or start_ns is None or end_ns is None or end_ns == start_ns:
        return None
    return (messages - 1) * 1e9 / (end_ns - start_ns)


def counted(number: int, what: str, several: str | None = None) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "sequence"), counted(1200, "sequence")
        ('1 sequence', '1,200 sequences')
    """
    return f"{number:,} {what if number == 1 else several or f'{what}s'}"


def optional(value: float | None, form: str = "{}") -> str:
    """A value in a form; `-` for None."""
    return "-" if value is None else form.format(value)
