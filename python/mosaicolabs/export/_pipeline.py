"""Exports a selection of a sequence with a writer."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaicolabs.models.query.expressions import _QueryExpression

from ._errors import ExportError, NotExported
from ._registry import WRITERS, load_writer
from ._selection import Selection, SequenceSource, Window
from ._staging import Finished, Staging, check_target, staging
from ._writer_api import Advance, ExportPlan, Part

_MANIFEST = "export.json"


@dataclass(frozen=True)
class ExportedPart:
    """One file or folder of a finished export.

    Attributes:
        path: Where it is.
        topics: Names of the topics in it.
        messages: Number of messages; with `dry_run` an estimate, None if the server does not report it.
        size_bytes: Its size, bytes; 0 with `dry_run`.
    """

    path: Path
    topics: tuple[str, ...]
    messages: int | None
    size_bytes: int


@dataclass(frozen=True)
class ExportResult:
    """The result of an export.

    Attributes:
        path: The target.
        parts: Its files or folders.
        skipped: Selected topics that are not exported.
        resumed: Number of parts that an interrupted export had finished.
        seconds: Duration, s.
    """

    path: Path
    parts: tuple[ExportedPart, ...]
    skipped: tuple[NotExported, ...]
    resumed: int
    seconds: float

    @property
    def messages(self) -> int:
        """Number of exported messages."""
        return sum(part.messages or 0 for part in self.parts)

    @property
    def size_bytes(self) -> int:
        """Size of the export, bytes."""
        return sum(part.size_bytes for part in self.parts)


def export(
    source: SequenceSource,
    format: str,
    path: str | os.PathLike[str],
    *,
    topics: Iterable[str] = (),
    window: Window = (None, None),
    where: _QueryExpression | None = None,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: bool = False,
) -> ExportResult:
    """Writes a sequence in another format; `SequenceHandler.export` describes the arguments."""
    started = time.monotonic()
    target = Path(path)
    writer = load_writer(format)
    given = {name: _text(value) for name, value in (options or {}).items()}
    WRITERS.check_options(writer, given)
    check_target(target, overwrite=overwrite)
    selection = Selection(source, list(topics), window, where)
    plan = writer.plan(selection, **given)
    _check_paths(plan, writer.name)
    skipped = (*selection.skipped, *plan.skipped)
    if dry_run:
        parts = _planned(plan, selection, target)
        return ExportResult(target, parts, skipped, resumed=0, seconds=time.monotonic() - started)
    with staging(target, _request(source, selection, writer.name, given), overwrite=overwrite) as stage:
        resumed = len(stage.done)
        with _display(selection, shown=progress) as advance:
            parts = _write(plan, selection, stage, target, advance)
        single = not plan.parts[0].path
        if not single:
            stage.write_manifest(_MANIFEST, _manifest(selection, plan, stage.done))
        stage.complete(single=single)
    return ExportResult(target, parts, skipped, resumed, time.monotonic() - started)


@contextmanager
def _display(selection: Selection, *, shown: bool) -> Iterator[Advance]:
    """Shows a bar while the block runs."""
    if not shown:
        yield lambda messages, size_bytes: None
        return
    # Most exports of programs show nothing, and rich takes long to import.
    from mosaicolabs._streams.transfer_progress import progress_bar

    with progress_bar("exporting", selection.size_bytes) as advance:
        yield advance


def _write(
    plan: ExportPlan, selection: Selection, stage: Staging, target: Path, advance: Advance
) -> tuple[ExportedPart, ...]:
    sizes = {topic.name: topic.size_bytes for topic in selection.topics}
    written = []
    # The folder of `/cam` contains that of `/cam/left` and must not exist before its part is written.
    for part in sorted(plan.parts, key=lambda part: part.path.count("/")):
        finished = stage.done.get(part.path)
        if finished is None:
            finished = stage.finish_part(part.path, part.write(stage.path(part.path), advance))
        else:
            advance(finished.messages, sum(sizes[name] for name in part.topics))
        written.append(ExportedPart(target / part.path, part.topics, finished.messages, finished.size_bytes))
    return tuple(written)


def _planned(plan: ExportPlan, selection: Selection, target: Path) -> tuple[ExportedPart, ...]:
    counts = {topic.name: topic.messages for topic in selection.topics}

    def estimate(names: tuple[str, ...]) -> int | None:
        known = [counts[name] for name in names]
        return None if None in known else sum(count or 0 for count in known)

    return tuple(
        ExportedPart(target / part.path, part.topics, estimate(part.topics), 0) for part in plan.parts
    )


def _request(
    source: SequenceSource, selection: Selection, format: str, options: dict[str, str]
) -> dict[str, Any]:
    """What determines the content of an export. Rows are included: a recording in progress grows."""
    where = selection.where
    return {
        "sequence": source.name,
        "created": source.created_datetime.isoformat(),
        "topics": [[topic.name, topic.messages] for topic in selection.topics],
        "window": list(selection.window),
        "where": None if where is None else repr(where),
        "format": format,
        "options": dict(sorted(options.items())),
    }


def _manifest(selection: Selection, plan: ExportPlan, done: Mapping[str, Finished]) -> str:
    """What the files of most formats have no place for: names, classes, metadata."""
    document = {
        "sequence": selection.name,
        "user_metadata": selection.metadata,
        "window_ns": list(selection.window),
        "where": None if selection.where is None else selection.where.to_dict(),
        "topics": selection.described_topics(),
        "files": [
            {"path": part.path, "topics": list(part.topics), "messages": done[part.path].messages}
            for part in plan.parts
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _check_paths(plan: ExportPlan, format: str) -> None:
    """Refuses a plan without parts, and one whose parts would overwrite each other."""
    if not plan.parts:
        reasons = "; ".join(f"{skip.topic}: {skip.reason}" for skip in plan.skipped)
        raise ExportError(f"format `{format}` represents none of the topics: {reasons}")
    seen: dict[str, Part] = {}
    for part in plan.parts:
        # Some file systems do not distinguish case.
        other = seen.setdefault(part.path.lower(), part)
        if other is not part:
            raise ExportError(
                f"topics {', '.join(other.topics)} and {', '.join(part.topics)} would be written to one "
                f"file, `{part.path}`; export them separately"
            )
    if "" in seen and len(seen) > 1:
        raise ExportError(f"writer `{format}` plans several parts, one of them without a path")


def _text(value: Any) -> str:
    """An option as text, as on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
