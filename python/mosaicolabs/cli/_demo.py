"""`mosaico demo`."""

import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from mosaicolabs._streams.transfer_progress import progress_bar
from mosaicolabs._terminal.options import PlaceCommand, Target, with_target
from mosaicolabs._terminal.output import echo, human_bytes, human_rate, print_json, rate_hz
from mosaicolabs._terminal.tables import Table, print_table
from mosaicolabs.demo import Flight, ReplayResult, record, replay
from mosaicolabs.ingest import IngestResult

_EPILOG = """\
\b
--json prints one document:
  sequence, place, kept, messages, bytes_in, bytes_stored, span_s, record_seconds, replay_seconds, verified
  topics[]: name, ontology, messages, rate_hz, bytes_in, bytes_stored
`verified` counts the replayed messages that equal the recorded ones; any difference is a failure.
"""


@click.command(cls=PlaceCommand, epilog=_EPILOG)
@click.option(
    "--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="Length of the flight."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of noise and images."
)
@click.option("--keep/--no-keep", default=True, help="Keep the recording, to try further commands.")
@with_target
def demo(target: Target, as_json: bool, seconds: int, seed: int, keep: bool) -> None:
    """Record a generated flight, replay it, and check every message.

    IMU at 200 Hz, GPS at 5 Hz, pressure and pose at 50 Hz, a mono camera with 752x480 pixels at 20 Hz.
    It is stored like any recording; --no-keep uses a temporary folder.
    """
    if not keep and target.is_named:
        raise click.UsageError(
            "--no-keep deletes the folder of the demo: leave out --store, --host, --port and --context"
        )
    if keep:
        document = _run(target, Flight(seconds, seed), keep=True)
    else:
        with tempfile.TemporaryDirectory(prefix="mosaico-demo-") as folder:
            document = _run(Target(store=Path(folder)), Flight(seconds, seed), keep=False)
    if as_json:
        print_json(document)
    else:
        _print(document, target)


def _run(target: Target, flight: Flight, *, keep: bool) -> dict[str, Any]:
    name = f"demo-{datetime.now(timezone.utc):%Y%m%d-%H%M%S-%f}"
    size_bytes = flight.recording().size_bytes
    with target.open(create=True) as client:
        with progress_bar("recording", size_bytes) as progress:
            recorded = record(client, flight, name, progress)
        with progress_bar("replaying", size_bytes) as progress:
            replayed = replay(recorded.handler, flight, progress)
        return _document(target, flight, recorded, replayed, keep=keep)


def _document(
    target: Target, flight: Flight, recorded: IngestResult, replayed: ReplayResult, *, keep: bool
) -> dict[str, Any]:
    handler = recorded.handler
    recording = flight.recording()
    start_ns, end_ns = handler.timestamp_ns_min, handler.timestamp_ns_max
    topics = []
    for spec in recording.topics:
        topic = handler.get_topic_handler(spec.name)
        rate = rate_hz(recorded.messages[spec.name], topic.timestamp_ns_min, topic.timestamp_ns_max)
        topics.append(
            {
                "name": spec.name,
                "ontology": spec.ontology.ontology_tag(),
                "messages": recorded.messages[spec.name],
                "rate_hz": None if rate is None else round(rate, 3),
                "bytes_in": spec.size_bytes,
                "bytes_stored": topic.total_size_bytes,
            }
        )
    return {
        "sequence": handler.name,
        "place": target.place,
        "kept": keep,
        "messages": sum(recorded.messages.values()),
        "bytes_in": recording.size_bytes,
        "bytes_stored": handler.total_size_bytes,
        "span_s": 0.0 if start_ns is None or end_ns is None else (end_ns - start_ns) / 1e9,
        "record_seconds": round(recorded.seconds, 3),
        "replay_seconds": round(replayed.seconds, 3),
        "verified": sum(replayed.messages.values()),
        "topics": topics,
    }


def _print(document: dict[str, Any], target: Target) -> None:
    numbers = ("messages", "rate", "in", "stored")
    topics = Table("topic", "ontology", *numbers, numbers=numbers)
    for topic in document["topics"]:
        rate = human_rate(topic["rate_hz"])
        sizes = human_bytes(topic["bytes_in"]), human_bytes(topic["bytes_stored"])
        topics.add_row(topic["name"], topic["ontology"], f"{topic['messages']:,}", rate, *sizes)
    print_table(topics)
    echo()
    size_in, size_stored = document["bytes_in"], document["bytes_stored"]
    for done, seconds in (("recorded", document["record_seconds"]), ("replayed", document["replay_seconds"])):
        rates = f"{document['messages'] / seconds:,.0f} msg/s, {size_in / seconds / 1e6:,.1f} MB/s"
        echo(f"{done} {document['messages']:,} messages in {seconds:.1f} s ({rates})")
    counts = f"{document['verified']:,} of {document['messages']:,}"
    echo(f"verified {counts} messages: all equal to the recorded ones")
    echo(f"span {document['span_s']:.3f} s, {human_bytes(size_in)} in, {human_bytes(size_stored)} stored")
    if not document["kept"]:
        echo("the recording was deleted (--no-keep)")
        return
    name = document["sequence"]
    echo()
    echo(f"Stored in {document['place']}. Try next:")
    for command in (
        f"view {name}",
        f"info {name}",
        f"cat {name} --topics /gps --to +1s",
        "ingest PATH --name my-flight",
    ):
        echo(f"  {target.again(command)}")
