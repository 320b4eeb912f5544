"""What the writers of pictures and of video share: topics of cameras, and files of times."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from mosaicolabs.models import Message
from mosaicolabs.models.sensors import CompressedImage, Image, ImageFormat
from mosaicolabs.models.sensors._annex_b import VIDEO_FORMATS

from ._errors import ExportError, NotExported
from ._selection import SelectedTopic, Selection
from ._writer_api import Advance, ExportPlan, Part

WriteTopic = Callable[[Selection, SelectedTopic, Path, Advance], int]


def plan_cameras(
    selection: Selection, *, video: bool, other: str, path: Callable[[str], str], write: WriteTopic
) -> ExportPlan:
    """One part per topic of pictures, or of video packets.

    Args:
        selection: The topics.
        video: Whether topics of video packets are written, or those of pictures.
        other: Name of the format that writes the others.
        path: The path of a topic's part, from its name without the first slash.
        write: Writes a topic.
    """
    parts, skipped = [], []
    for topic in selection.topics:
        if topic.ontology not in (Image, CompressedImage):
            reason = f"its messages ({topic.ontology_tag}) are no pictures"
            skipped.append(NotExported(topic.name, reason))
        elif _is_video(selection, topic) is not video:
            what = "pictures" if video else "packets of a video stream"
            skipped.append(NotExported(topic.name, f"its messages are {what}; export it to {other}"))
        else:
            parts.append(_part(selection, topic, path(topic.name.strip("/")), write))
    return ExportPlan(tuple(parts), tuple(skipped))


def _part(selection: Selection, topic: SelectedTopic, path: str, write: WriteTopic) -> Part:
    return Part(path, (topic.name,), lambda target, advance: write(selection, topic, target, advance))


def _is_video(selection: Selection, topic: SelectedTopic) -> bool:
    """Judged by the first message; a later one of another kind is an error when it is reached."""
    first = next(selection.messages([topic]), None)
    return first is not None and format_of(first[1]) in VIDEO_FORMATS


def format_of(message: Message) -> ImageFormat:
    """How the bytes of a picture or a packet are packed."""
    data = message.data
    if not isinstance(data, Image | CompressedImage):
        raise ExportError(f"the message at {message.timestamp_ns} is a {message.ontology_tag()}, no picture")
    return ImageFormat(data.format)


class TimesFile:
    """A CSV file with one row per picture or frame: its number or file, its times, its encoding."""

    def __init__(self, path: Path, first_column: str) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._csv.writerow([first_column, "timestamp_ns", "recording_timestamp_ns", "encoding"])

    def add(self, what: str | int, message: Message, encoding: str) -> None:
        """Adds a row; a missing recording time is an empty cell."""
        recorded = message.recording_timestamp_ns
        self._csv.writerow([what, message.timestamp_ns, "" if recorded is None else recorded, encoding])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
