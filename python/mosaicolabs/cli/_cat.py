"""`mosaico cat`."""

import warnings
from contextlib import closing
from itertools import islice

import click

from mosaicolabs._terminal.completion import sequence_names, topic_names
from mosaicolabs._terminal.options import ManyValues, Target, with_target
from mosaicolabs._terminal.output import echo, print_json
from mosaicolabs.handlers import Batches, SequenceDataStreamer, SequenceHandler
from mosaicolabs.helpers.damage import DamagedRowsWarning

from ._cat_columns import print_csv, print_rows
from ._sequences import require_sequence
from ._times import time_option
from ._values import message_json, message_text

_EPILOG = """\
TIME is seconds from the first message of the sequence (5, +1.5s; units ns, us, ms, s, min, h) or from the
last one (-10s), ISO 8601, UTC unless an offset is given (2026-01-01T12:00:00.25Z), or a time since the epoch
in s, ms, us or ns by its digits (1403715273, 1403715273262142976). T of --topics is a name or a pattern
(camera/*).

\b
--format csv prints all columns: times in ns, fields with dotted names, lists as JSON, bytes as base64.
--format table prints the columns that have values.
NAME of --columns is that of queries: imu.acceleration.x, imu.

\b
--json, or --format jsonl, prints one document per message:
  topic, timestamp_ns, recording_timestamp_ns, ontology, data
NaN and infinities are the strings "NaN", "Infinity", "-Infinity"; bytes are base64, or {"bytes": size} with
--summarise-bytes.
"""


@click.command(cls=ManyValues, many={"--topics": "/"}, epilog=_EPILOG)
@click.argument("name", shell_complete=sequence_names)
@click.option(
    "--topics",
    multiple=True,
    metavar="T ...",
    shell_complete=topic_names,
    help="Only these topics, or patterns: /cam*, !PATTERN excludes.  [default: all]",
)
@click.option("--from", "start", metavar="TIME", help="First time, included.")
@click.option("--to", "end", metavar="TIME", help="Last time, excluded.")
@click.option("--follow", "-f", is_flag=True, help="Continue with new messages until the recording ends.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Stop after N messages.")
@click.option("--skip-damaged", is_flag=True, help="Leave out damaged chunks; list them on standard error.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "jsonl", "csv", "table"]),
    default="text",
    show_default=True,
    help="A line, a JSON document, or a row per message.",
)
@click.option("--columns", metavar="NAME,...", help="With csv and table: only these columns.")
@click.option(
    "--summarise-bytes", is_flag=True, help="With --json: the size of binary fields instead of base64."
)
@with_target
def cat(
    target: Target,
    as_json: bool,
    name: str,
    topics: tuple[str, ...],
    start: str | None,
    end: str | None,
    follow: bool,
    limit: int | None,
    skip_damaged: bool,
    form: str,
    columns: str | None,
    summarise_bytes: bool,
) -> None:
    """Print the messages of the sequence NAME in time order."""
    if as_json:
        if form not in ("text", "jsonl"):
            raise click.UsageError("--json is --format jsonl: give one of both")
        form = "jsonl"
    as_rows = form in ("csv", "table")
    if as_rows and follow:
        raise click.UsageError(
            "--follow needs --format text or jsonl: the columns of later topics are unknown"
        )
    if columns is not None and not as_rows:
        raise click.UsageError("--columns needs --format csv or table")
    with target.open() as client, warnings.catch_warnings():
        # The lines at the end list the same.
        warnings.simplefilter("ignore", DamagedRowsWarning)
        handler = require_sequence(client, name, target)
        window = time_option(start, handler, "--from"), time_option(end, handler, "--to")
        if handler.timestamp_ns_min is None and not follow:
            return
        source: Batches | SequenceDataStreamer
        if as_rows:
            only = None if columns is None else [column.strip() for column in columns.split(",")]
            source = handler.batches(topics, *window, columns=only, skip_damaged=skip_damaged)
        else:
            source = handler.get_data_streamer(topics, *window, follow=follow, skip_damaged=skip_damaged)
        with closing(source):
            if isinstance(source, Batches):
                _print_rows(source, form, limit, handler)
            else:
                _print_messages(source, form, limit, handler, summarise_bytes=summarise_bytes)
            for rows in source.skipped:
                echo(f"skipped {rows}", err=True)


def _print_rows(batches: Batches, form: str, limit: int | None, handler: SequenceHandler) -> None:
    if form == "csv":
        print_csv(batches, limit)
    else:
        print_rows(batches, limit, handler.timestamp_ns_min or 0)


def _print_messages(
    streamer: SequenceDataStreamer,
    form: str,
    limit: int | None,
    handler: SequenceHandler,
    *,
    summarise_bytes: bool,
) -> None:
    origin_ns = handler.timestamp_ns_min
    for topic, message in islice(streamer, limit):
        if origin_ns is None:
            origin_ns = message.timestamp
        if form == "jsonl":
            print_json(message_json(topic, message, summarise_bytes=summarise_bytes))
        else:
            echo(f"{(message.timestamp - origin_ns) / 1e9:+.6f}s {topic} {message_text(message)}")
