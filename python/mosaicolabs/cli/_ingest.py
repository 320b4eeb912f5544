"""`mosaico ingest`."""

import json
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from mosaicolabs.enum import OnErrorPolicy
from mosaicolabs.ingest import IngestResult, Reader, Recording, find_reader, load_reader
from mosaicolabs.ingest import ingest as run_ingest

from ._options import ManyValues, Target, default_store, with_target
from ._output import console, human_bytes, human_span, print_json, table
from ._progress import progress_bar

_EPILOG = """\
\b
--json prints one document:
  sequence, place, format, metadata, messages, bytes_read, bytes_stored, seconds, timestamp_ns_min,
  timestamp_ns_max
  topics[]: name, ontology, messages, bytes_read, bytes_stored, metadata
  skipped[]: source, messages, reason
"""


@click.command(cls=ManyValues, many={"--metadata": "="}, epilog=_EPILOG)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the new sequence: letters, digits, - and _.")
@click.option(
    "--metadata", multiple=True, metavar="K=V ...", help="User metadata: k=text, or k:=JSON (k:=7, k:=true)."
)
@click.option(
    "--on-error",
    type=click.Choice([policy.value for policy in OnErrorPolicy]),
    default=OnErrorPolicy.Delete.value,
    show_default=True,
    help="When the input breaks halfway: remove the sequence, or keep what came before and note the error.",
)
@click.option(
    "--format", "format_name", metavar="NAME", help="Reader to use.  [default: the one that knows PATH]"
)
@with_target(default_store)
def ingest(
    target: Target,
    as_json: bool,
    path: Path,
    name: str,
    metadata: tuple[str, ...],
    on_error: str,
    format_name: str | None,
) -> None:
    """Store the recording at PATH as a new sequence.

    Readers come as plug-ins; `asl` (ASL/EuRoC folders) and `ulog` (PX4 flight logs) are built in. PATH is
    checked before anything is created.
    """
    user_metadata = dict(map(_metadata_item, metadata))
    reader = load_reader(format_name) if format_name else find_reader(path)
    recording = reader.open(path)
    with target.open(create=True) as client:
        with progress_bar("ingesting", recording.size_bytes) as progress:
            result = run_ingest(
                client,
                recording,
                name,
                metadata=user_metadata,
                on_error=OnErrorPolicy(on_error),
                progress=progress,
            )
        document = _document(target, reader, recording, result)
    if as_json:
        print_json(document)
    else:
        _print(document, result)


def _metadata_item(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.rstrip(":"):
        raise click.BadParameter(f"`{text}` is not of the form k=text or k:=JSON", param_hint="--metadata")
    if not key.endswith(":"):
        return key, value
    try:
        return key[:-1], json.loads(value)
    except ValueError as error:
        raise click.BadParameter(
            f"`{value}` in `{text}` is not JSON: {error}", param_hint="--metadata"
        ) from error


def _document(target: Target, reader: Reader, recording: Recording, result: IngestResult) -> dict[str, Any]:
    handler = result.handler
    topics = [
        {
            "name": topic.name,
            "ontology": topic.ontology.ontology_tag(),
            "messages": result.messages[topic.name],
            "bytes_read": topic.size_bytes,
            "bytes_stored": handler.get_topic_handler(topic.name).total_size_bytes,
            "metadata": dict(topic.metadata),
        }
        for topic in recording.topics
    ]
    return {
        "sequence": handler.name,
        "place": target.place,
        "format": reader.name,
        "metadata": handler.user_metadata,
        "messages": sum(result.messages.values()),
        "bytes_read": recording.size_bytes,
        "bytes_stored": handler.total_size_bytes,
        "seconds": round(result.seconds, 3),
        "timestamp_ns_min": handler.timestamp_ns_min,
        "timestamp_ns_max": handler.timestamp_ns_max,
        "topics": topics,
        "skipped": [
            {"source": skip.source, "messages": skip.messages, "reason": skip.reason}
            for skip in recording.skipped
        ],
    }


def _print(document: dict[str, Any], result: IngestResult) -> None:
    out = console()
    topics = table("topic", "ontology", "messages", "read", "stored", numbers=("messages", "read", "stored"))
    for topic in document["topics"]:
        sizes = human_bytes(topic["bytes_read"]), human_bytes(topic["bytes_stored"])
        topics.add_row(topic["name"], topic["ontology"], f"{topic['messages']:,}", *sizes)
    out.print(topics)
    if document["skipped"]:
        skipped = table("skipped", "messages", "reason", numbers=("messages",))
        for skip in document["skipped"]:
            skipped.add_row(escape(skip["source"]), f"{skip['messages']:,}", escape(skip["reason"]))
        out.print(skipped)
    seconds = max(result.seconds, 1e-9)
    out.print(
        f"{document['sequence']}: {document['messages']:,} messages over "
        f"{human_span(document['timestamp_ns_min'], document['timestamp_ns_max'])} in {seconds:.1f} s "
        f"({document['messages'] / seconds:,.0f} msg/s, {document['bytes_read'] / seconds / 1e6:.1f} MB/s), "
        f"{human_bytes(document['bytes_stored'])} in {document['place']}"
    )
