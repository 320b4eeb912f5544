"""`mosaico ls`, `info` and `rm`: sequences and topics, without reading their data."""

from dataclasses import asdict
from typing import Any

import click
from rich.markup import escape

from mosaicolabs._terminal.options import Target, default_store, with_target
from mosaicolabs._terminal.output import (
    console,
    human_bytes,
    human_span,
    human_time,
    optional,
    print_json,
    rate_hz,
    table,
)
from mosaicolabs.comm import MosaicoClient
from mosaicolabs.handlers import RemoteRows, SequenceHandler, TopicHandler


def require_sequence(client: MosaicoClient, name: str, target: Target) -> SequenceHandler:
    """The handler of `name`.

    Raises:
        click.ClickException: The sequence does not exist.
    """
    handler = client.sequence_handler(name)
    if handler is None:
        raise click.ClickException(
            f"no sequence `{name}` in {target.place}; `mosaico ls {target.flags}` lists them"
        )
    return handler


@click.command(
    epilog="""\
\b
--json prints one document:
  place
  sequences[]: name, topics, bytes, timestamp_ns_min, timestamp_ns_max, created, locked
Times are null while there is no data; `locked` is true once a sequence is finalized.
"""
)
@with_target(default_store)
def ls(target: Target, as_json: bool) -> None:
    """List the sequences."""
    with target.open() as client:
        names = sorted(client.list_sequences())
        rows = [_sequence_json(require_sequence(client, name, target)) for name in names]
    if as_json:
        print_json({"place": target.place, "sequences": rows})
        return
    sequences = table(
        "sequence", "topics", "size", "start", "span", "state", numbers=("topics", "size", "span")
    )
    for row in rows:
        start, end = row["timestamp_ns_min"], row["timestamp_ns_max"]
        sequences.add_row(
            row["name"],
            str(row["topics"]),
            human_bytes(row["bytes"]),
            human_time(start),
            human_span(start, end),
            _state(row["locked"]),
        )
    console().print(sequences if rows else f"no sequences in {target.place}")


@click.command(
    epilog="""\
\b
--json prints one document:
  name, place, bytes, timestamp_ns_min, timestamp_ns_max, created, locked, metadata
  topics[]: name, ontology, format, messages, rate_hz, chunks, resumed, bytes, timestamp_ns_min,
            timestamp_ns_max, metadata, remote_rows[]: daemon, rows, running
  notifications[]: topic (null: the sequence), type, message, created
"""
)
@click.argument("name")
@with_target(default_store)
def info(target: Target, as_json: bool, name: str) -> None:
    """Describe the sequence NAME and its topics."""
    with target.open() as client:
        handler = require_sequence(client, name, target)
        document = {
            **_sequence_json(handler),
            "place": target.place,
            "metadata": handler.user_metadata,
            "topics": [_topic_json(handler.get_topic_handler(topic)) for topic in handler.topics],
            "notifications": _notifications(client, handler),
        }
    if as_json:
        print_json(document)
    else:
        _print_info(document)


@click.command(
    epilog="""\
\b
--json prints one document:
  name, place, bytes
"""
)
@click.argument("name")
@with_target(default_store)
def rm(target: Target, as_json: bool, name: str) -> None:
    """Delete the sequence NAME with all its topics.

    Finalized sequences are locked and cannot be deleted; sequences whose recording failed can.
    """
    with target.open() as client:
        handler = require_sequence(client, name, target)
        deleted, size_bytes = handler.name, handler.total_size_bytes
        client.sequence_delete(deleted)
    if as_json:
        print_json({"name": deleted, "place": target.place, "bytes": size_bytes})
    else:
        console().print(f"deleted {deleted} ({human_bytes(size_bytes)}) from {target.place}")


def _notifications(client: MosaicoClient, handler: SequenceHandler) -> list[dict[str, Any]]:
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


def _state(locked: bool) -> str:
    return "finalized" if locked else "open"


def _sequence_json(handler: SequenceHandler) -> dict[str, Any]:
    return {
        "name": handler.name,
        "topics": len(handler.topics),
        "bytes": handler.total_size_bytes,
        "timestamp_ns_min": handler.timestamp_ns_min,
        "timestamp_ns_max": handler.timestamp_ns_max,
        "created": handler.created_datetime.isoformat(),
        "locked": handler.is_locked,
    }


def _topic_json(topic: TopicHandler) -> dict[str, Any]:
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
    out = console()
    start, end = document["timestamp_ns_min"], document["timestamp_ns_max"]
    facts = table("sequence", document["name"])
    facts.add_row("place", escape(document["place"]))
    facts.add_row("state", _state(document["locked"]))
    facts.add_row("created", document["created"])
    facts.add_row("start", human_time(start))
    facts.add_row("end", human_time(end))
    facts.add_row("span", human_span(start, end))
    facts.add_row("size", human_bytes(document["bytes"]))
    for key, value in document["metadata"].items():
        facts.add_row(f"metadata {escape(key)}", escape(str(value)))
    for topic in document["topics"]:
        if topic["resumed"]:
            facts.add_row(
                "connection", f"{escape(topic['name'])}: resumed {topic['resumed']}x after it broke"
            )
        for some in topic["remote_rows"]:
            facts.add_row("remote rows", escape(f"{topic['name']}: {RemoteRows(**some)}"))
    for note in document["notifications"]:
        facts.add_row(
            f"{note['type']} {note['created']}", escape(f"{note['topic'] or 'sequence'}: {note['message']}")
        )
    out.print(facts)
    out.print()
    topics = table(
        "topic", "ontology", "messages", "rate", "size", "span", numbers=("messages", "rate", "size", "span")
    )
    for topic in document["topics"]:
        topics.add_row(
            topic["name"],
            topic["ontology"],
            optional(topic["messages"], "{:,}"),
            optional(topic["rate_hz"], "{:.1f} Hz"),
            human_bytes(topic["bytes"]),
            human_span(topic["timestamp_ns_min"], topic["timestamp_ns_max"]),
        )
    out.print(topics)
