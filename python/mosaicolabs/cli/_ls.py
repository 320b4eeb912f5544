"""`mosaico ls`."""

import json
from collections.abc import Callable
from typing import Any

import click

from mosaicolabs._terminal.completion import sequence_names
from mosaicolabs._terminal.options import PlaceCommand, Target, with_target
from mosaicolabs._terminal.output import counted, echo, human_bytes, human_span, print_json, short_time
from mosaicolabs._terminal.tables import Table, print_table

from ._sequences import chosen_names, handlers_of, sequence_json, state_of

_EPILOG = """\
\b
Columns: sequence, topics, size, start, end, span, created, state, metadata.KEY (`metadata.site`).
PATTERN is a name or a pattern (`run-*`, `!run-0*`); CONDITION is that of `mosaico query`.

\b
--json prints one document:
  place, total (before --limit)
  sequences[]: name, topics, bytes, timestamp_ns_min, timestamp_ns_max, created, locked, metadata
Times are null while there is no data; `locked` is true once a sequence is finalized.
"""

Row = dict[str, Any]

_SHOW: dict[str, Callable[[Row], str]] = {
    "sequence": lambda row: str(row["name"]),
    "topics": lambda row: str(row["topics"]),
    "size": lambda row: human_bytes(row["bytes"]),
    "start": lambda row: short_time(row["timestamp_ns_min"]),
    "end": lambda row: short_time(row["timestamp_ns_max"]),
    "span": lambda row: human_span(row["timestamp_ns_min"], row["timestamp_ns_max"]),
    "created": lambda row: str(row["created"])[:19].replace("T", " "),
    "state": lambda row: state_of(row["locked"]),
}
_SORT: dict[str, Callable[[Row], Any]] = {
    "sequence": lambda row: row["name"],
    "topics": lambda row: row["topics"],
    "size": lambda row: row["bytes"],
    "start": lambda row: _or_lowest(row["timestamp_ns_min"]),
    "end": lambda row: _or_lowest(row["timestamp_ns_max"]),
    "span": lambda row: _or_lowest(row["timestamp_ns_min"], row["timestamp_ns_max"]),
    "created": lambda row: row["created"],
    "state": lambda row: row["locked"],
}
_DEFAULT = ("sequence", "topics", "size", "start", "span", "state")
_METADATA = "metadata."


def _columns(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return _DEFAULT
    columns = tuple(name.strip() for name in value.split(",") if name.strip())
    for name in columns:
        if name not in _SHOW and not (name.startswith(_METADATA) and name != _METADATA):
            raise click.BadParameter(f"no column `{name}`; there are {', '.join(_SHOW)}, metadata.KEY")
    if not columns:
        raise click.BadParameter(f"no column; there are {', '.join(_SHOW)}, metadata.KEY")
    return columns


@click.command(cls=PlaceCommand, epilog=_EPILOG)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1, shell_complete=sequence_names)
@click.option("--where", metavar="CONDITION", help="Only sequences that satisfy the condition.")
@click.option(
    "--sort", type=click.Choice(list(_SORT)), default="sequence", show_default=True, help="Order of the rows."
)
@click.option("--reverse", is_flag=True, help="From high to low.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N rows.")
@click.option("--columns", metavar="NAME,...", callback=_columns, help="Columns, separated by commas.")
@with_target
def ls(
    target: Target,
    as_json: bool,
    patterns: tuple[str, ...],
    where: str | None,
    sort: str,
    reverse: bool,
    limit: int | None,
    columns: tuple[str, ...],
) -> None:
    """List the sequences."""
    with target.open() as client:
        names = chosen_names(client, patterns, where, target)
        total = len(names)
        if sort == "sequence":
            # Facts are requested only of the sequences that are listed.
            names = (names[::-1] if reverse else names)[:limit]
        rows = [sequence_json(handler) for handler in handlers_of(client, names)]
    if sort != "sequence":
        rows = sorted(rows, key=_SORT[sort], reverse=reverse)[:limit]
    if as_json:
        print_json({"place": target.place, "total": total, "sequences": rows})
    else:
        _print(rows, total, columns, target)


def _print(rows: list[Row], total: int, columns: tuple[str, ...], target: Target) -> None:
    if rows:
        numbers = ("topics", "size", "span")
        spare = [name for name in ("topics", "start", "span") if name in columns and columns == _DEFAULT]
        table = Table(*columns, numbers=numbers, spare=spare)
        for row in rows:
            table.add_row(*(_cell(row, name) for name in columns))
        print_table(table)
        echo()
    size = human_bytes(sum(row["bytes"] for row in rows))
    found = counted(total, "sequence") if rows else "no sequences"
    shown = f"{len(rows):,} of " if len(rows) < total else ""
    echo(f"{shown}{found} in {target.place}" + (f", {size}" if rows else ""))


def _cell(row: Row, column: str) -> str:
    if column in _SHOW:
        return _SHOW[column](row)
    value: Any = row["metadata"]
    for key in column.removeprefix(_METADATA).split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return (
        "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )


def _or_lowest(start: int | None, end: int | None = None) -> int:
    """A time, or a span; sequences without data are the lowest."""
    if start is None:
        return -(2**63)
    return start if end is None else end - start
