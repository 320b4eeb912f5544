"""Which column of a topic is made of what; the language is that of `mosaicod import --mapping`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mosaicolabs.ingest._reader_api import RecordingError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = {"column", "unit", "scale", "offset", "constant"}


@dataclass(frozen=True)
class Column:
    """The source of a column: a column of the file, or a constant.

    Attributes:
        source: Name in the file; None for a constant.
        unit: Unit of times.
        scale: Factor.
        offset: Added after scaling.
        constant: The value of every row.
    """

    source: str | None
    unit: str | None = None
    scale: float | None = None
    offset: float | None = None
    constant: Any = None


@dataclass(frozen=True)
class Mapping:
    """How a file becomes a topic.

    Attributes:
        topic: Name of the topic; None: that of the file.
        tag: Ontology tag; None: a class with the columns of the file.
        columns: Sources by column of the topic, or field of a struct of it (`acceleration.x`).
        ignore: Patterns of columns that are not stored.
    """

    topic: str | None = None
    tag: str | None = None
    columns: dict[str, Column] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()


def command_line_mapping(time: str | None, pairs: Sequence[str], tag: str | None) -> Mapping:
    """The mapping of `time=stamp:us` and `map=acceleration.x=ax`.

    Raises:
        RecordingError: A pair is malformed.

    Example:
        >>> command_line_mapping("stamp:us", ["acceleration.x=ax"], "imu").columns["timestamp_ns"]
        Column(source='stamp', unit='us', scale=None, offset=None, constant=None)
    """
    columns = {}
    if time is not None:
        # Names of columns may have colons.
        name, colon, unit = time.rpartition(":")
        is_unit = bool(colon) and unit in ("s", "ms", "us", "ns")
        columns["timestamp_ns"] = Column(name, unit) if is_unit else Column(time)
    for pair in pairs:
        target, equals, source = pair.partition("=")
        if not equals or not target or not source:
            raise RecordingError(f"option map: `{pair}` is not of the form COLUMN=SOURCE")
        columns[target] = Column(source)
    return Mapping(None, tag, columns)


def mapping_file(path: Path, name: str) -> Mapping:
    """The mapping of the file `name` in a TOML file: the first `[[sequence.topic]]` whose `files` fit.

    Raises:
        RecordingError: The file is malformed, or has nothing that fits.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        for sequence in document["sequence"]:
            for topic in sequence["topic"]:
                if fnmatchcase(name, str(topic["files"]).rpartition("/")[2]):
                    return _topic(topic)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordingError(f"{path}: not a mapping: {error!r}") from error
    raise RecordingError(f"{path}: the `files` of no topic fit {name}")


def _topic(topic: dict[str, Any]) -> Mapping:
    columns = {target: _column(target, source) for target, source in topic.get("columns", {}).items()}
    return Mapping(topic.get("name"), topic.get("ontology_tag"), columns, tuple(topic.get("ignore", ())))


def _column(target: str, source: Any) -> Column:
    if isinstance(source, str):
        return Column(source)
    unknown = source.keys() - _KEYS
    if unknown or ("column" in source) == ("constant" in source):
        raise ValueError(f"the source of `{target}` is a column or a constant, with unit, scale and offset")
    return Column(
        source.get("column"),
        source.get("unit"),
        source.get("scale"),
        source.get("offset"),
        source.get("constant"),
    )
