"""`mosaico cat`."""

import warnings
from contextlib import closing
from itertools import islice

import click

from mosaicolabs._terminal.completion import sequence_names, topic_names
from mosaicolabs._terminal.options import ManyValues, Target, with_target
from mosaicolabs._terminal.output import echo, print_json
from mosaicolabs.handlers import SequenceHandler
from mosaicolabs.helpers.damage import DamagedRowsWarning

from ._sequences import require_sequence
from ._times import parse_time
from ._values import message_json, message_text

_EPILOG = """\
TIME is in nanoseconds since the epoch (1403715273262142976), an offset from the first message of the sequence
(+1.5s; ns, us, ms, s, min, h), or ISO 8601, UTC unless an offset is given (2026-01-01T12:00:00.25Z).

\b
--json prints one document per message:
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
    help="Only these topics.  [default: all]",
)
@click.option("--from", "start", metavar="TIME", help="First time, included.")
@click.option("--to", "end", metavar="TIME", help="Last time, excluded.")
@click.option("--follow", "-f", is_flag=True, help="Continue with new messages until the recording ends.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Stop after N messages.")
@click.option("--skip-damaged", is_flag=True, help="Leave out damaged chunks; list them on standard error.")
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
    summarise_bytes: bool,
) -> None:
    """Print the messages of the sequence NAME in time order."""
    with target.open() as client:
        handler = require_sequence(client, name, target)
        selected = [_topic(handler, topic) for topic in topics]
        start_ns = _time(start, handler, "--from")
        end_ns = _time(end, handler, "--to")
        origin_ns = handler.timestamp_ns_min
        if origin_ns is None and not follow:
            return
        streamer = handler.get_data_streamer(
            topics=selected,
            start_timestamp_ns=start_ns,
            end_timestamp_ns=end_ns,
            follow=follow,
            skip_damaged=skip_damaged,
        )
        with closing(streamer), warnings.catch_warnings():
            # The lines at the end list the same.
            warnings.simplefilter("ignore", DamagedRowsWarning)
            for topic, message in islice(streamer, limit):
                if origin_ns is None:
                    origin_ns = message.timestamp
                if as_json:
                    print_json(message_json(topic, message, summarise_bytes=summarise_bytes))
                else:
                    offset_s = (message.timestamp - origin_ns) / 1e9
                    echo(f"{offset_s:+.6f}s {topic} {message_text(message)}")
        for rows in streamer.skipped:
            echo(f"skipped {rows}", err=True)


def _topic(handler: SequenceHandler, name: str) -> str:
    full = "/" + name.strip("/")
    if full not in handler.topics:
        listed = ", ".join(handler.topics) or "none"
        raise click.ClickException(f"no topic `{full}` in sequence `{handler.name}`; it has: {listed}")
    return full


def _time(text: str | None, handler: SequenceHandler, option: str) -> int | None:
    if text is None:
        return None
    try:
        return parse_time(text, handler.timestamp_ns_min)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
