"""`mosaico events`."""

from typing import Any

import click

from mosaicolabs._terminal.completion import sequence_names
from mosaicolabs._terminal.options import PlaceCommand, Target, with_target
from mosaicolabs._terminal.output import counted, echo, human_time, print_json
from mosaicolabs.comm import Event, EventKind


@click.command(
    cls=PlaceCommand,
    epilog="""\
\b
--json prints one document per event:
  id, kind, sequence, topic, timestamp_ns, detail
""",
)
@click.option("--follow", "-f", is_flag=True, help="Wait for further events until Ctrl-C.")
@click.option("--after", metavar="ID", help="Only events after this one.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([kind.value for kind in EventKind]),
    help="Only this kind; may be repeated.",
)
@click.option(
    "--sequence", metavar="NAME", shell_complete=sequence_names, help="Only events of this sequence."
)
@with_target
def events(
    target: Target,
    as_json: bool,
    follow: bool,
    after: str | None,
    kinds: tuple[str, ...],
    sequence: str | None,
) -> None:
    """List events, oldest first: creations, ends, stored chunks, errors."""
    shown = 0
    with target.open() as client:
        for event in client.events(after, follow=follow, kinds=kinds or None, sequence_name=sequence):
            shown += 1
            if as_json:
                print_json(_json(event))
            else:
                echo(_line(event))
    if not as_json:
        echo()
        echo(f"{counted(shown, 'event')} in {target.place}")


def _json(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "kind": str(event.kind),
        "sequence": event.sequence_name,
        "topic": event.topic_name,
        "timestamp_ns": event.timestamp_ns,
        "detail": event.detail,
    }


def _line(event: Event) -> str:
    subject = f"{event.sequence_name or '-'}{event.topic_name or ''}"
    detail = " ".join(f"{key}={value}" for key, value in event.detail.items())
    return f"{human_time(event.timestamp_ns)}  {event.kind!s:<18}  {subject}  {detail}".rstrip()
