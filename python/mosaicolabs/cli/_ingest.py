"""`mosaico ingest`."""

import json
from pathlib import Path
from typing import Any

import click

from mosaicolabs._terminal.ingest_report import failed_summary, print_report, report
from mosaicolabs._terminal.options import ManyValues, Target, with_target
from mosaicolabs._terminal.output import print_json
from mosaicolabs._terminal.progress import progress_bar
from mosaicolabs.enum import OnErrorPolicy
from mosaicolabs.ingest import find_reader, load_reader, open_recording
from mosaicolabs.ingest import ingest as run_ingest

_EPILOG = """\
\b
--json prints one document:
  sequence, place, format, metadata, messages, bytes_read, bytes_stored, seconds, timestamp_ns_min,
  timestamp_ns_max
  topics[]: name, ontology, messages, bytes_read, bytes_stored, metadata
  skipped[]: source, messages, reason
  failed[]: topic, messages, first (the error of the first message)
"""


@click.command(cls=ManyValues, many={"--metadata": "=", "--option": "=", "--topics": "/"}, epilog=_EPILOG)
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
    help="If ingestion fails halfway: delete the sequence, or keep what is stored and report the error.",
)
@click.option(
    "--format", "format_name", metavar="NAME", help="Reader to use.  [default: the one that recognizes PATH]"
)
@click.option(
    "--topics",
    multiple=True,
    metavar="PATTERN ...",
    help="Topics to store, such as /cam*; !PATTERN excludes.  [default: all]",
)
@click.option(
    "--option", "options", multiple=True, metavar="K=V ...", help="Options of the reader; see below."
)
@with_target
def ingest(
    target: Target,
    as_json: bool,
    path: Path,
    name: str,
    metadata: tuple[str, ...],
    on_error: str,
    format_name: str | None,
    topics: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    """Store the recording at PATH as a new sequence.

    Readers are plug-ins; `asl` (ASL/EuRoC folders), `ulog` (PX4 flight logs) and `rosbag` (ROS bags) are
    built in. PATH is checked before anything is created. Messages that cannot be read or stored are skipped
    and reported, and the exit code is 1.

    Options of `rosbag`: ros_distro=NAME (ros2_humble ...) for bags without definitions,
    msgs=PACKAGE:FOLDER with .msg files, image_format=raw instead of png.
    """
    user_metadata = dict(map(_metadata_item, metadata))
    reader = load_reader(format_name) if format_name else find_reader(path)
    recording = open_recording(reader, path, dict(map(_option_item, options)))
    if topics:
        recording = recording.select(topics)
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
        document = report(result, place=target.place, format_name=reader.name)
    if as_json:
        print_json(document)
    else:
        print_report(document)
    if problem := failed_summary(document):
        raise click.ClickException(problem)


def _option_item(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"`{text}` is not of the form k=text", param_hint="--option")
    return key, value


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
