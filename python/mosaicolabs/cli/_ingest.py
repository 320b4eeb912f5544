"""`mosaico ingest`."""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mosaicolabs._streams.transfer_progress import progress_bar
from mosaicolabs._terminal.ingest_report import dry_report, failed_summary, print_report, report, report_line
from mosaicolabs._terminal.key_values import key_values
from mosaicolabs._terminal.options import ManyValues, Target, with_target
from mosaicolabs._terminal.output import counted, echo, human_bytes, print_json
from mosaicolabs.comm import MosaicoClient
from mosaicolabs.enum import OnErrorPolicy
from mosaicolabs.exceptions import MosaicoError
from mosaicolabs.ingest import Reader, Recording, find_reader, load_reader, open_recording
from mosaicolabs.ingest import dry_run as run_dry
from mosaicolabs.ingest import ingest as run_ingest

from ._ingest_names import sequence_names

_EPILOG = """\
\b
--json prints one document per PATH:
  path, sequence, place, format, metadata, messages, bytes_read, bytes_stored, seconds, timestamp_ns_min,
  timestamp_ns_max
  topics[]: name, ontology, messages, bytes_read, bytes_stored, metadata
  skipped[]: source, messages, reason
  failed[]: topic, messages, first (the error of the first message)
or, if it is not stored: path, sequence, place, and `skipped_existing` (true) or `error`
"""


@click.command(
    cls=ManyValues,
    many={"--metadata": "=", "--option": "=", "--topics": "/", "--as": "=", "--map": "="},
    epilog=_EPILOG,
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--name",
    help="Name of the new sequence: letters, digits, - and _; {stem} and {parent} are the names of PATH and "
    "of its folder.  [default: {stem}]",
)
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
@click.option("--dry-run", is_flag=True, help="Read and decode everything, store nothing.")
@click.option("--known-only", is_flag=True, help="Skip types without a data class of their own.")
@click.option("--keep-raw", is_flag=True, help="Store the bytes of every message too, as TOPIC/raw.")
@click.option(
    "--as",
    "classes",
    multiple=True,
    metavar="PATTERN=TAG ...",
    help="Ontology of topics, such as /top=lidar; generic: the fields of the definition; raw: the bytes.",
)
@click.option("--time", metavar="COLUMN[:UNIT]", help="Time of the rows of a table: stamp:us, or s, ms, ns.")
@click.option(
    "--map",
    "columns",
    multiple=True,
    metavar="COLUMN=SOURCE ...",
    help="Columns of a table by their places in the ontology: acceleration.x=ax.",
)
@click.option("--mapping", metavar="FILE", help="The same and more in TOML, as for mosaicod import.")
@click.option(
    "--option", "options", multiple=True, metavar="K=V ...", help="Options of the reader; see below."
)
@click.option(
    "--skip-existing", is_flag=True, help="Leave out recordings whose sequence exists and is finalized."
)
@with_target
def ingest(
    target: Target,
    as_json: bool,
    paths: tuple[Path, ...],
    name: str | None,
    metadata: tuple[str, ...],
    on_error: str,
    format_name: str | None,
    topics: tuple[str, ...],
    dry_run: bool,
    known_only: bool,
    keep_raw: bool,
    classes: tuple[str, ...],
    time: str | None,
    columns: tuple[str, ...],
    mapping: str | None,
    options: tuple[str, ...],
    skip_existing: bool,
) -> None:
    """Store the recording at each PATH as a new sequence.

    Readers are plug-ins; `asl` (ASL/EuRoC folders), `ulog` and `dataflash` (flight logs of PX4 and
    ArduPilot), `rosbag` (ROS bags, MCAP) and `table` (CSV, JSON lines, Parquet, Arrow, npz) are built in.
    PATH is checked before anything is created. Messages that cannot be read or stored are skipped and
    reported, and the exit code is 1. Of several recordings, one that fails does not stop the others. A type
    without a data class gets one from its definition, with the fields as columns; messages without a
    definition are stored as bytes.

    Options of `rosbag`: ros_distro=NAME (ros2_humble ...) for bags without definitions,
    msgs=PACKAGE:FOLDER with .msg files, image_format=raw instead of png.
    """
    given = key_values(options, "--option")
    given |= {"known_only": "true"} if known_only else {}
    given |= {"keep_raw": "true"} if keep_raw else {}
    given |= {"as": ",".join(classes)} if classes else {}
    given |= {"time": time} if time is not None else {}
    given |= {"map": ",".join(columns)} if columns else {}
    given |= {"mapping": mapping} if mapping is not None else {}
    settings = _Settings(
        metadata=dict(map(_metadata_item, metadata)),
        on_error=OnErrorPolicy(on_error),
        format_name=format_name,
        topics=topics,
        options=given,
    )
    documents = []
    with ExitStack() as stack:
        place = _Place(target, stack)
        for path, sequence in zip(paths, sequence_names(paths, name), strict=True):
            if dry_run:
                document = _tried(path, sequence, settings)
            else:
                document = _ingested(place, path, sequence, settings, skip_existing=skip_existing)
            document["path"] = str(path)
            documents.append(document)
            if as_json:
                print_json(document)
            else:
                _print(document, alone=len(paths) == 1)
    if len(paths) > 1 and not as_json and not dry_run:
        echo(_summary(documents, target))
    if problem := _problem(documents):
        raise click.ClickException(problem)


@dataclass(frozen=True)
class _Settings:
    metadata: dict[str, Any]
    on_error: OnErrorPolicy
    format_name: str | None
    topics: tuple[str, ...]
    options: dict[str, str]

    def open(self, path: Path) -> tuple[Reader, Recording]:
        reader = load_reader(self.format_name) if self.format_name else find_reader(path)
        recording = open_recording(reader, path, self.options)
        return reader, recording.select(self.topics) if self.topics else recording


class _Place:
    """The client, which is opened, and the store created, for the first recording that can be read."""

    def __init__(self, target: Target, stack: ExitStack) -> None:
        self.target = target
        self._stack = stack
        self._client: MosaicoClient | None = None

    @property
    def client(self) -> MosaicoClient:
        if self._client is None:
            self._client = self._stack.enter_context(self.target.open(create=True))
        return self._client

    def has(self, sequence: str) -> bool:
        """Whether it has the sequence, complete."""
        if self.target.store is not None and not self.target.store.is_dir():
            return False
        if sequence not in self.client.list_sequences():
            return False
        handler = self.client.sequence_handler(sequence)
        return handler is not None and handler.is_locked


def _ingested(
    place: _Place, path: Path, sequence: str, settings: _Settings, *, skip_existing: bool
) -> dict[str, Any]:
    """The report of a recording; `skipped_existing` or `error` instead, if it is not stored."""
    about = {"sequence": sequence, "place": place.target.place}
    if skip_existing and place.has(sequence):
        return {**about, "skipped_existing": True}
    try:
        reader, recording = settings.open(path)
        with progress_bar(sequence, recording.size_bytes) as progress:
            result = run_ingest(
                place.client,
                recording,
                sequence,
                metadata=settings.metadata,
                on_error=settings.on_error,
                progress=progress,
            )
    except (MosaicoError, OSError, ValueError) as error:
        return {**about, "error": "; ".join([str(error), *getattr(error, "__notes__", [])])}
    return report(result, place=place.target.place, format_name=reader.name)


def _tried(path: Path, sequence: str, settings: _Settings) -> dict[str, Any]:
    """The report of a dry run; `error` instead, if the recording cannot be opened."""
    try:
        reader, recording = settings.open(path)
    except (MosaicoError, OSError, ValueError) as error:
        return {"sequence": sequence, "dry_run": True, "error": str(error)}
    with progress_bar(sequence, recording.size_bytes) as progress:
        result = run_dry(recording, progress)
    return dry_report(result, recording, sequence=sequence, format_name=reader.name)


def _print(document: dict[str, Any], *, alone: bool) -> None:
    if "skipped_existing" in document:
        echo(f"{document['sequence']}: exists in {document['place']}, skipped")
    elif "error" in document:
        if not alone:
            echo(f"{document['sequence']}: {document['error']}", err=True)
    elif alone:
        print_report(document)
    else:
        echo(report_line(document))


def _summary(documents: list[dict[str, Any]], target: Target) -> str:
    stored = [document for document in documents if "messages" in document]
    skipped = sum("skipped_existing" in document for document in documents)
    parts = [
        f"{counted(len(stored), 'recording')} stored in {target.place}",
        *([f"{skipped} skipped, since they exist"] if skipped else []),
        *(
            [f"{len(documents) - len(stored) - skipped} failed"]
            if len(stored) + skipped < len(documents)
            else []
        ),
        counted(sum(document["messages"] for document in stored), "message"),
        human_bytes(sum(document["bytes_stored"] for document in stored)),
    ]
    return ", ".join(parts)


def _problem(documents: list[dict[str, Any]]) -> str | None:
    """One line if something is not stored."""
    errors = [document for document in documents if "error" in document]
    if len(documents) == 1 and errors:
        return str(errors[0]["error"])
    if errors:
        return f"{counted(len(errors), 'recording')} not stored; first: {errors[0]['error']}"
    if damage := next((d["damage"] for d in documents if d.get("damage")), None):
        return str(damage)
    problems = [failed_summary(document) for document in documents if "failed" in document]
    return next(filter(None, problems), None)


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
