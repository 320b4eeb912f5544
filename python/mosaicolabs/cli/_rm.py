"""`mosaico rm`."""

import time
from typing import TYPE_CHECKING, Any

import click

from mosaicolabs._terminal.completion import sequence_names
from mosaicolabs._terminal.options import PlaceCommand, Target, with_target
from mosaicolabs._terminal.output import counted, echo, human_bytes, print_json
from mosaicolabs.exceptions import MosaicoError
from mosaicolabs.helpers.times import parse_duration

from ._sequences import chosen_names, handlers_of

if TYPE_CHECKING:
    from mosaicolabs.comm import MosaicoClient
    from mosaicolabs.handlers import SequenceHandler

_EPILOG = """\
NAME is a name, or a pattern such as `run-*`. With --older-than or --where, it may be left out: all names.
Finalized sequences are locked: if the daemon refuses some, the others are deleted, and the exit code is 1.

\b
--json prints one document per sequence:
  name, place, bytes, deleted (false with --dry-run), error (null: none)
"""


def _duration(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(cls=PlaceCommand, epilog=_EPILOG)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=sequence_names)
@click.option(
    "--older-than", metavar="DURATION", callback=_duration, help="Only those created before: 12h, 90d, ..."
)
@click.option(
    "--where", metavar="CONDITION", help="Only those that satisfy the condition of `mosaico query`."
)
@click.option("--dry-run", is_flag=True, help="List them, and delete nothing.")
@with_target
def rm(
    target: Target,
    as_json: bool,
    names: tuple[str, ...],
    older_than: int | None,
    where: str | None,
    dry_run: bool,
) -> None:
    """Delete the sequences NAME with all their topics.

    Finalized sequences are locked and cannot be deleted; sequences whose recording failed can.
    """
    if not names and older_than is None and where is None:
        raise click.UsageError("give names, --older-than or --where")
    with target.open() as client:
        handlers = handlers_of(client, chosen_names(client, names, where, target))
        if older_than is not None:
            limit_s = time.time() - older_than
            handlers = [handler for handler in handlers if handler.created_datetime.timestamp() < limit_s]
        rows = [_delete(client, handler, target, dry_run=dry_run) for handler in handlers]
    for row in rows:
        if as_json:
            print_json(row)
        elif row["error"] is None:
            done = "would delete" if dry_run else "deleted"
            echo(f"{done} {row['name']} ({human_bytes(row['bytes'])}) from {target.place}")
    if not rows and not as_json:
        echo(f"nothing to delete in {target.place}")
    refused = [row for row in rows if row["error"] is not None]
    if refused:
        more = "" if len(refused) == 1 else f" (and {counted(len(refused) - 1, 'further sequence')})"
        raise click.ClickException(f"{refused[0]['name']}{more} is not deleted: {refused[0]['error']}")


def _delete(
    client: "MosaicoClient", handler: "SequenceHandler", target: Target, *, dry_run: bool
) -> dict[str, Any]:
    error = None
    if not dry_run:
        try:
            client.sequence_delete(handler.name)
        except MosaicoError as refused:
            error = str(refused)
    return {
        "name": handler.name,
        "place": target.place,
        "bytes": handler.total_size_bytes,
        "deleted": error is None and not dry_run,
        "error": error,
    }
