"""`mosaico export`."""

from pathlib import Path
from typing import Any

import click

from mosaicolabs._terminal.completion import sequence_names, topic_names
from mosaicolabs._terminal.key_values import key_values
from mosaicolabs._terminal.options import ManyValues, Target, with_target
from mosaicolabs._terminal.output import echo, human_bytes, print_json
from mosaicolabs._terminal.tables import Table, print_table
from mosaicolabs.export import ExportResult, load_writer, writer_names

from ._conditions import parse_value_condition
from ._sequences import require_sequence
from ._times import time_option

_EPILOG = """\
The files grow in the folder PATH.partial, and get their final name when all of them are complete. After an
interruption the same command continues after the files that are complete.

TIME is seconds from the first message (5, +1.5s) or the last one (-10s), or ISO 8601, as in `mosaico cat`.
CONDITION is one on values of messages, as in `mosaico query`: "imu.acceleration.x > 20".

\b
--json prints one document:
  sequence, path, format, messages, bytes, seconds, resumed (files of an interrupted export), dry_run
  files[]: path, topics, messages, bytes
  skipped[]: topic, reason
With --dry-run, the numbers of messages are estimates, or null.
"""


def _list_formats(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    for name in writer_names():
        writer = load_writer(name)
        click.echo(f"{name}: {writer.description}")
        for key, meaning in getattr(writer, "options", {}).items():
            click.echo(f"    {key}: {meaning}")
    ctx.exit()


@click.command(cls=ManyValues, many={"--topics": "/", "--option": "="}, epilog=_EPILOG)
@click.argument("name", shell_complete=sequence_names)
@click.option("--to", "format_name", required=True, metavar="FORMAT", help="Writer to use.")
@click.option(
    "-o",
    "--output",
    "path",
    required=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="File or folder to create.",
)
@click.option(
    "--topics",
    multiple=True,
    metavar="PATTERN ...",
    shell_complete=topic_names,
    help="Topics to export, such as /cam*; !PATTERN excludes.  [default: all]",
)
@click.option("--from", "start", metavar="TIME", help="First time, included.")
@click.option("--to-time", "end", metavar="TIME", help="Last time, excluded.")
@click.option("--where", metavar="CONDITION", help="Only messages that satisfy it.")
@click.option(
    "--option", "options", multiple=True, metavar="K=V ...", help="Options of the writer; see --list-formats."
)
@click.option("--overwrite", is_flag=True, help="Replace PATH when the export is complete.")
@click.option("--dry-run", is_flag=True, help="Check everything and list the files, without writing any.")
@click.option(
    "--list-formats",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_formats,
    help="List the installed writers with their options.",
)
@with_target
def export(
    target: Target,
    as_json: bool,
    name: str,
    format_name: str,
    path: Path,
    topics: tuple[str, ...],
    start: str | None,
    end: str | None,
    where: str | None,
    options: tuple[str, ...],
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Write the sequence NAME to files of another format.

    Writers are plug-ins; `parquet`, `arrow`, `csv` and `jsonl` are built in: one file per topic in the folder
    PATH, or with `--option merge=true` one file PATH with all topics in time order.
    """
    try:
        condition = None if where is None else parse_value_condition(where)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--where") from error
    pairs = key_values(options, "--option")
    with target.open() as client:
        handler = require_sequence(client, name, target)
        result = handler.export(
            path,
            format_name,
            topics=topics,
            start_timestamp_ns=time_option(start, handler, "--from"),
            end_timestamp_ns=time_option(end, handler, "--to-time"),
            where=condition,
            overwrite=overwrite,
            dry_run=dry_run,
            progress=True,
            options=pairs,
        )
    document = _document(name, format_name, result, dry_run=dry_run)
    if as_json:
        print_json(document)
    else:
        _print(document)


def _document(name: str, format_name: str, result: ExportResult, *, dry_run: bool) -> dict[str, Any]:
    return {
        "sequence": name,
        "path": str(result.path),
        "format": format_name,
        "messages": result.messages,
        "bytes": result.size_bytes,
        "seconds": round(result.seconds, 3),
        "resumed": result.resumed,
        "dry_run": dry_run,
        "files": [
            {
                "path": str(part.path),
                "topics": list(part.topics),
                "messages": part.messages,
                "bytes": part.size_bytes,
            }
            for part in result.parts
        ],
        "skipped": [{"topic": skip.topic, "reason": skip.reason} for skip in result.skipped],
    }


def _print(document: dict[str, Any]) -> None:
    files = Table("file", "topics", "messages", "size", numbers=("messages", "size"))
    about = "about " if document["dry_run"] else ""
    for file in document["files"]:
        messages = "-" if file["messages"] is None else f"{about}{file['messages']:,}"
        size = "-" if document["dry_run"] else human_bytes(file["bytes"])
        files.add_row(file["path"], " ".join(file["topics"]), messages, size)
    print_table(files)
    if document["skipped"]:
        skipped = Table("skipped", "reason")
        for row in document["skipped"]:
            skipped.add_row(row["topic"], row["reason"])
        print_table(skipped)
    if document["dry_run"]:
        echo(f"{document['sequence']}: nothing written; without --dry-run: {document['path']}")
        return
    resumed = f", {document['resumed']} files of an earlier run kept" if document["resumed"] else ""
    echo(
        f"{document['sequence']}: {document['messages']:,} messages, {human_bytes(document['bytes'])} in "
        f"{document['path']}, {document['seconds']:.1f} s{resumed}"
    )
