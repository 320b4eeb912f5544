"""`mosaico link`."""

import re

import click

from mosaicolabs._terminal.options import Target, default_store, with_target
from mosaicolabs._terminal.output import echo, human_time, print_json

from ._catalog import require_sequence
from ._times import parse_time

_LIFE = re.compile(r"(\d+)([smhdw])", re.ASCII)
_SECONDS_PER = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_life(text: str) -> int:
    """Parses `30m`, `12h` or `7d` to seconds.

    Raises:
        ValueError: The text has another form.
    """
    if found := _LIFE.fullmatch(text):
        return int(found[1]) * _SECONDS_PER[found[2]]
    raise ValueError(f"`{text}` is no duration; write it as 30m, 12h or 7d")


@click.command(
    epilog="""\
\b
--json prints one document: url, expires_timestamp_ns
"""
)
@click.argument("name")
@click.option("--expires-in", metavar="DURATION", default="1h", show_default=True, help="30m, 12h, 7d, ...")
@click.option(
    "--from", "start", metavar="TIME", help="Only from this time: ns, +1.5s from the start, or ISO 8601."
)
@click.option("--to", "end", metavar="TIME", help="Only before this time.")
@click.option("--topic", "topics", metavar="NAME", multiple=True, help="Only this topic; may be repeated.")
@with_target(default_store)
def link(
    target: Target,
    as_json: bool,
    name: str,
    expires_in: str,
    start: str | None,
    end: str | None,
    topics: tuple[str, ...],
) -> None:
    """Create a signed link to a sequence: everybody who has it may read until it expires."""
    with target.open() as client:
        handler = require_sequence(client, name, target)
        try:
            expires_in_s = parse_life(expires_in)
            window = [
                None if text is None else parse_time(text, handler.timestamp_ns_min) for text in (start, end)
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
