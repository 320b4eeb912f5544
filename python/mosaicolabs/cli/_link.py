"""`mosaico link`."""

import click

from mosaicolabs._terminal.completion import sequence_names, topic_names
from mosaicolabs._terminal.options import PlaceCommand, Target, with_target
from mosaicolabs._terminal.output import echo, human_time, print_json
from mosaicolabs.helpers.times import parse_duration, parse_time

from ._sequences import require_sequence


@click.command(
    cls=PlaceCommand,
    epilog="""\
\b
--json prints one document: url, expires_timestamp_ns
""",
)
@click.argument("name", shell_complete=sequence_names)
@click.option("--expires-in", metavar="DURATION", default="1h", show_default=True, help="30m, 12h, 7d, ...")
@click.option("--from", "start", metavar="TIME", help="Only from this time, as in `mosaico cat`.")
@click.option("--to", "end", metavar="TIME", help="Only before this time.")
@click.option(
    "--topic",
    "topics",
    metavar="NAME",
    multiple=True,
    shell_complete=topic_names,
    help="Only this topic, or those that match a pattern; may be repeated.",
)
@with_target
def link(
    target: Target,
    as_json: bool,
    name: str,
    expires_in: str,
    start: str | None,
    end: str | None,
    topics: tuple[str, ...],
) -> None:
    """Create a signed link to a sequence: with it, everybody may read until it expires."""
    with target.open() as client:
        handler = require_sequence(client, name, target)
        try:
            expires_in_s = parse_duration(expires_in)
            window = [
                None if text is None else parse_time(text, handler.timestamp_ns_min, handler.timestamp_ns_max)
                for text in (start, end)
            ]
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        created = handler.link(
            expires_in_s,
            start_timestamp_ns=window[0],
            end_timestamp_ns=window[1],
            topics=topics or None,
        )
    if as_json:
        print_json({"url": created.url, "expires_timestamp_ns": created.expires_timestamp_ns})
    else:
        echo(created.url)
        click.echo(f"valid until {human_time(created.expires_timestamp_ns)}", err=True)
