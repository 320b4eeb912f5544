"""`mosaico query`."""

from dataclasses import asdict
from typing import Any

import click

from mosaicolabs._terminal.options import PlaceCommand, Target, with_target
from mosaicolabs._terminal.output import counted, echo, human_time, print_json
from mosaicolabs._terminal.tables import Table, print_table
from mosaicolabs.models.query import QueryResponse, QueryResponseItemTopic

from ._conditions import parse_conditions, parse_order
from ._nothing_found import missing_name

_EPILOG = """\
CONDITION compares fields with values, in Python syntax:

\b
  imu.acceleration.x > 20                      a message of an IMU topic
  imu.acceleration.x > 20 and imu.acceleration.y < 1     both, by one message
  sequence.user_metadata.site == "north"       metadata; sequence.name, sequence.created_timestamp
  "front" in topic.name                        text that contains; topic.ontology_tag, topic.user_metadata.hz
  sequence.name in ["a", "b"] or not gps.status.satellites >= 4
  44 < gps.position.x < 46 and gps.velocity is not None

FIELD of --order-by is sequence.name, sequence.created_timestamp or sequence.user_metadata.KEY; followed
by ` desc`, from high to low.

\b
--json prints one document:
  place
  items[]: sequence, topics[]: name, timestamp_ns_first, timestamp_ns_last (null without --times)
  cursor: with --limit, the value of --cursor for the next page; null on the last page
  explain: with --explain, how the query was executed
  incomplete[]: topic, chunk, rows, timestamp_range, cause of chunks that are damaged, hence not searched
"""


@click.command(cls=PlaceCommand, epilog=_EPILOG)
@click.argument("condition")
@click.option("--times", is_flag=True, help="Print the times of the first and the last matching message.")
@click.option("--order-by", multiple=True, metavar="FIELD", help="Order of the sequences.  [default: name]")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N sequences.")
@click.option("--cursor", help="Continue after an earlier page of the same CONDITION and --limit.")
@click.option("--explain", is_flag=True, help="Print how the query was executed.")
@with_target
def query(
    target: Target,
    as_json: bool,
    condition: str,
    times: bool,
    order_by: tuple[str, ...],
    limit: int | None,
    cursor: str | None,
    explain: bool,
) -> None:
    """Find sequences and topics that satisfy CONDITION."""
    try:
        parsed = parse_conditions(condition, times=times)
        order = [parse_order(field) for field in order_by]
    except (ValueError, AttributeError) as error:
        raise click.UsageError(str(error)) from error
    with target.open() as client:
        response = client.query(
            query=parsed, order_by=order or None, limit=limit, cursor=cursor, explain=explain
        )
        problem = missing_name(client, parsed) if response.is_empty() and cursor is None else None
    if problem is not None:
        raise click.ClickException(f"nothing found in {target.place}: {problem}")
    if as_json:
        print_json(_document(target, response))
    else:
        _print(target, response, times=times)
    for rows in response.incomplete:
        click.echo(f"not searched: {rows}", err=True)


def _document(target: Target, response: QueryResponse) -> dict[str, Any]:
    items = [
        {"sequence": item.sequence.name, "topics": [_topic_json(topic) for topic in item.topics]}
        for item in response
    ]
    return {
        "place": target.place,
        "items": items,
        "cursor": response.cursor,
        "explain": response.explain,
        "incomplete": [asdict(rows) for rows in response.incomplete],
    }


def _topic_json(topic: QueryResponseItemTopic) -> dict[str, Any]:
    first, last = _bounds(topic)
    return {"name": topic.name, "timestamp_ns_first": first, "timestamp_ns_last": last}


def _bounds(topic: QueryResponseItemTopic) -> tuple[int | None, int | None]:
    times = topic.timestamp_range
    return (None, None) if times is None else (times.start, times.end)


def _print(target: Target, response: QueryResponse, *, times: bool) -> None:
    if response.is_empty():
        echo(f"nothing found in {target.place}")
    else:
        found = Table("sequence", "topic", *(("first match", "last match") if times else ()))
        for item in response:
            for topic in item.topics:
                bounds = [human_time(bound) for bound in _bounds(topic)] if times else []
                found.add_row(item.sequence.name, topic.name, *bounds)
            if not item.topics:
                found.add_row(item.sequence.name, "-", *(["-", "-"] if times else []))
        print_table(found)
        topics = sum(len(item.topics) for item in response)
        echo()
        echo(f"{counted(len(response), 'sequence')}, {counted(topics, 'topic')} in {target.place}")
    if response.cursor is not None:
        echo(f"more: --cursor {response.cursor}")
    for name, figures in (response.explain or {}).items():
        echo(f"{_words(name)}: {_counted(figures)}")


def _counted(figures: Any) -> str:
    if isinstance(figures, dict):
        return ", ".join(f"{count} {_words(what)}" for what, count in figures.items())
    return str(figures)


def _words(name: str) -> str:
    return name.replace("_", " ")
