"""`mosaico info`: sequences and topics, without reading their data."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mosaicolabs._protocol.system_info import RemoteRows
from mosaicolabs._terminal.completion import sequence_names
from mosaicolabs._terminal.options import PlaceCommand, Target, with_target
from mosaicolabs._terminal.output import (
    echo,
    human_bytes,
    human_rate,
    human_span,
    human_time,
    optional,
    print_json,
    rate_hz,
)
from mosaicolabs._terminal.tables import Table, print_table

from ._sequences import chosen_names, require_sequence, sequence_json, state_of

if TYPE_CHECKING:
    from mosaicolabs.comm import MosaicoClient
    from mosaicolabs.handlers import SequenceHandler, TopicHandler


@click.command(
    cls=PlaceCommand,
    epilog="""\
NAME is a name, or a pattern such as `run-*`.

\b
--json prints one document per sequence:
  name, place, bytes, timestamp_ns_min, timestamp_ns_max, created, locked, metadata
  topics[]: name, ontology, format, messages, rate_hz, chunks, resumed, bytes, timestamp_ns_min,
            timestamp_ns_max, metadata, remote_rows[]: daemon, rows, running
  notifications[]: topic (null: the sequence), type, message, created
""",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=sequence_names)
@with_target
def info(target: Target, as_json: bool, names: tuple[str, ...]) -> None:
    """Describe the sequences NAME and their topics."""
    with target.open() as client:
        for number, name in enumerate(chosen_names(client, names, None, target)):
            handler = require_sequence(client, name, target)
            document = {
                **sequence_json(handler),
                "place": target.place,
                "topics": [_topic_json(handler.get_topic_handler(topic)) for topic in handler.topics],
                "notifications": _notifications(client, handler),
            }
            if as_json:
                print_json(document)
                continue
            if number:
                echo()
            _print_info(document)


def _notifications(client: "MosaicoClient", handler: "SequenceHandler") -> list[dict[str, Any]]:
    notes = client.list_sequence_notify(handler.name)
    for topic in handler.topics:
        notes += client.list_topic_notify(handler.name, topic)
    return [
        {
            "topic": note.topic_name,
            "type": note.notify_type.value,
            "message": note.message,
            "created": note.created_datetime.isoformat(),
        }
        for note in notes
    ]


def _topic_json(topic: "TopicHandler") -> dict[str, Any]:
    rate = rate_hz(topic.rows_number, topic.timestamp_ns_min, topic.timestamp_ns_max)
    return {
        "name": topic.name,
        "ontology": topic.ontology_tag,
        "format": str(topic.serialization_format),
        "messages": topic.rows_number,
        "rate_hz": None if rate is None else round(rate, 3),
        "chunks": topic.chunks_number,
        "resumed": topic.resumed,
        "bytes": topic.total_size_bytes,
        "timestamp_ns_min": topic.timestamp_ns_min,
        "timestamp_ns_max": topic.timestamp_ns_max,
        "metadata": topic.user_metadata,
        "remote_rows": [asdict(some) for some in topic.remote_rows],
    }


def _print_info(document: dict[str, Any]) -> None:
    start, end = document["timestamp_ns_min"], document["timestamp_ns_max"]
    facts = Table("sequence", document["name"])
    facts.add_row("place", document["place"])
    facts.add_row("state", state_of(document["locked"]))
    facts.add_row("created", document["created"])
    facts.add_row("start", human_time(start))
    facts.add_row("end", human_time(end))
    facts.add_row("span", human_span(start, end))
    facts.add_row("size", human_bytes(document["bytes"]))
    for key, value in document["metadata"].items():
        facts.add_row(
            f"metadata {key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        )
    for topic in document["topics"]:
        if topic["resumed"]:
            facts.add_row("connection", f"{topic['name']}: resumed {topic['resumed']}x after it broke")
        for some in topic["remote_rows"]:
            facts.add_row("remote rows", f"{topic['name']}: {RemoteRows(**some)}")
    for note in document["notifications"]:
        facts.add_row(
            f"{note['type']} {note['created']}", f"{note['topic'] or 'sequence'}: {note['message']}"
        )
    print_table(facts)
    if not document["topics"]:
        return
    echo()
    numbers = ("messages", "rate", "size", "span")
    topics = Table("topic", "ontology", *numbers, numbers=numbers, spare=("size", "span"))
    for topic in document["topics"]:
        topics.add_row(
            topic["name"],
            topic["ontology"],
            optional(topic["messages"], "{:,}"),
            human_rate(topic["rate_hz"]),
            human_bytes(topic["bytes"]),
            human_span(topic["timestamp_ns_min"], topic["timestamp_ns_max"]),
        )
    print_table(topics)
