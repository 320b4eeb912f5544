"""Output of commands: JSON or tables. Results go to stdout, everything else to stderr."""

import json
import sys
from datetime import datetime, timezone
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from mosaicolabs._printable import printable
from mosaicolabs._safe_console import SafeConsole

_WIDTH_OF_A_PIPE = 200


def echo(text: str, *, err: bool = False) -> None:
    """Prints text that may contain recorded data as one line."""
    click.echo(printable(text).replace("\n", "\\n"), err=err)


def print_json(document: Any) -> None:
    """One JSON document per line; unprintable characters as escapes of JSON."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    click.echo(printable(text, "\\u{:04x}"))


def console() -> Console:
    """A console for results on stdout; wide enough not to wrap rows in a file."""
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE
    return SafeConsole(highlight=False, soft_wrap=True, width=width)


def error_console() -> Console:
    """A console for progress on stderr."""
    return SafeConsole(stderr=True, highlight=False)


def table(*columns: str, numbers: tuple[str, ...] = ()) -> Table:
    """A plain table; the columns in `numbers` are aligned right."""
    result = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        result.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return result


def human_bytes(size: float) -> str:
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


def human_span(start_ns: int | None, end_ns: int | None) -> str:
    return "-" if start_ns is None or end_ns is None else f"{(end_ns - start_ns) / 1e9:.3f} s"


def rate_hz(messages: int | None, start_ns: int | None, end_ns: int | None) -> float | None:
    """Mean rate, Hz; None without two messages at different times."""
    if messages is None or messages < 2 or start_ns is None or end_ns is None or end_ns == start_ns:
        return None
    return (messages - 1) * 1e9 / (end_ns - start_ns)


def optional(value: float | None, form: str = "{}") -> str:
    return "-" if value is None else form.format(value)
