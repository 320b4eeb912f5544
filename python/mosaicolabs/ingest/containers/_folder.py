"""A recording in one file or in several, with or without `metadata.yaml`."""

import tempfile
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import yaml

from mosaicolabs.ingest._reader_api import RecordingError, Skipped

from . import _bag, _db3, _mcap_records
from ._bag import BagPart
from ._db3 import Db3Part
from ._mcap import McapPart
from ._part import Channel, ChannelTable, Part, PartScan, RawMessages

METADATA_FILE = "metadata.yaml"
_ZSTD = b"\x28\xb5\x2f\xfd"
_KINDS: tuple[tuple[bytes, type[BagPart] | type[Db3Part] | type[McapPart]], ...] = (
    (_mcap_records.MAGIC, McapPart),
    (_bag.MAGIC, BagPart),
    (_db3.MAGIC, Db3Part),
)
_SUFFIXES = (".mcap", ".bag", ".db3", ".active", ".zstd", ".zst")


@dataclass
class Container:
    """An open recording: what a pass over all of its files found.

    Attributes:
        path: The file or folder.
        parts: Its files, by time.
        scan: What the files have together; `damage` names them.
        size_bytes: Size of the files.
    """

    path: Path
    parts: list[Part]
    scan: PartScan
    size_bytes: int
    _unpacked: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    @property
    def channels(self) -> list[Channel]:
        """All channels, by topic."""
        return sorted(self.scan.counts, key=lambda channel: (channel.topic, channel.type_name))

    def messages(self, channels: Collection[Channel]) -> RawMessages:
        """Messages of the channels, file by file; a damaged part is passed over."""
        for part in self.parts:
            for channel, time_ns, data in part.messages(channels):
                # rosbag2 compresses single messages; CDR never begins like this.
                if data.startswith(_ZSTD) and channel.encoding == "cdr":
                    yield channel, time_ns, _unpacked_message(data)
                else:
                    yield channel, time_ns, data

    def close(self) -> None:
        """Closes the files."""
        for part in self.parts:
            part.close()
        if self._unpacked is not None:
            self._unpacked.cleanup()


def is_container(path: Path) -> bool:
    """Whether the content of a file, or the files of a folder, are those of a recording."""
    if path.is_dir():
        return (path / METADATA_FILE).is_file() or any(map(is_container, _files(path)))
    if not path.is_file():
        return False
    magic = _magic(path)
    packed = magic.startswith(_ZSTD) and _inner_suffix(path) in (".mcap", ".bag", ".db3")
    return packed or any(magic.startswith(known) for known, _ in _KINDS)


def open_container(path: Path) -> Container:
    """Reads every file of a recording once.

    Raises:
        RecordingError: Nothing of it can be read.
        OSError: It cannot be opened.
    """
    table = ChannelTable()
    notes: list[Skipped] = []
    metadata = _metadata(path, notes) if path.is_dir() else {}
    files = _chosen(path, metadata, notes) if path.is_dir() else [path]
    if not files:
        raise RecordingError(nothing_in(path))
    container = Container(path, [], PartScan(notes=notes), sum(file.stat().st_size for file in files))
    try:
        _open_parts(container, files, table)
        _compare(container.scan, metadata, table)
    except BaseException:
        container.close()
        raise
    return container


def _open_parts(container: Container, files: list[Path], table: ChannelTable) -> None:
    total, problems = container.scan, []
    found: list[tuple[int, Part]] = []
    for file in files:
        try:
            part = _open_part(container, file, table)
            container.parts.append(part)
            scan = part.scan()
        except (RecordingError, OSError) as error:
            problems.append(error)
            total.damage.append(str(error))
            continue
        found.append((scan.first_ns if scan.first_ns is not None else 2**64, part))
        _add(total, scan, file)
    if not found:
        raise problems[0]
    container.parts = [part for _, part in sorted(found, key=lambda item: item[0])]


def _open_part(container: Container, file: Path, table: ChannelTable) -> Part:
    path = file
    if _magic(file).startswith(_ZSTD):
        container._unpacked = container._unpacked or tempfile.TemporaryDirectory()
        path, damage = _unpack(file, Path(container._unpacked.name))
        if damage:
            container.scan.damage.append(f"{file}: {damage}")
    magic = _magic(path)
    for known, kind in _KINDS:
        if magic.startswith(known):
            return kind(path, table)
    if not magic:
        raise RecordingError(f"{file}: the file is empty")
    raise RecordingError(f"{file}: neither MCAP, a ROS 1 bag nor SQLite: it begins with {magic[:8]!r}")


def _unpacked_message(data: bytes) -> bytes:
    """The message; if its compression is damaged, the bytes as they are, which the decoder refuses."""
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            return bytes(stream.read())
    except (OSError, pa.ArrowException):
        return data


def _unpack(file: Path, folder: Path) -> tuple[Path, str]:
    """Unpacks a file; also says what of it is damaged."""
    target = folder / file.with_suffix("").name
    try:
        with file.open("rb") as packed, target.open("wb") as plain:
            stream = pa.CompressedInputStream(pa.PythonFile(packed), "zstd")
            while step := stream.read(1 << 16):
                plain.write(step)
    except (OSError, pa.ArrowException) as error:
        if not target.stat().st_size:
            raise RecordingError(f"{file}: its zstd compression cannot be read: {error}") from error
        return target, f"its zstd compression is damaged: {error}"
    return target, ""


def _add(total: PartScan, scan: PartScan, file: Path) -> None:
    total.counts.update(scan.counts)
    for channel in scan.counts:
        total.counts.setdefault(channel, 0)
    total.lost.update(scan.lost)
    total.delayed.update(scan.delayed)
    total.damage += [f"{file}: {damage}" for damage in scan.damage]
    total.notes += scan.notes
    for key, value in scan.metadata.items():
        known = total.metadata.get(key)
        if isinstance(known, list):
            known += value
        elif isinstance(known, dict):
            total.metadata[key] = {**value, **known}
        else:
            total.metadata.setdefault(key, value)
    if scan.first_ns is not None and scan.last_ns is not None:
        total.see_times(scan.first_ns, scan.last_ns)


def _metadata(folder: Path, notes: list[Skipped]) -> dict[str, Any]:
    """What `metadata.yaml` says; what it lacks or garbles is empty, since the files count."""
    path = folder / METADATA_FILE
    if not path.is_file():
        notes.append(Skipped(folder.name, 0, f"it has no {METADATA_FILE}; all files in the folder are read"))
        return {}
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        facts = document["rosbag2_bagfile_information"]
        if not isinstance(facts, dict):
            raise ValueError("`rosbag2_bagfile_information` is not a mapping")
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = f"not readable, so all files in the folder are read: {' '.join(repr(error).split())}"
        notes.append(Skipped(METADATA_FILE, 0, reason))
        return {}
    return facts


def _chosen(folder: Path, metadata: dict[str, Any], notes: list[Skipped]) -> list[Path]:
    """The files of the recording: those that the metadata lists, and others of the same kind."""
    listed = metadata.get("relative_file_paths")
    names = [PurePath(str(name)).name for name in listed] if isinstance(listed, list) else []
    files = _files(folder)
    there = {file.name for file in files}
    for name in names:
        if not (folder / name).is_file() and not {f"{name}.zstd", f"{name}.zst"} & there:
            notes.append(Skipped(name, 0, f"{METADATA_FILE} lists this file, but it is missing"))
    suffixes = {_inner_suffix(folder / name) for name in names if (folder / name).is_file()}
    chosen = []
    for file in files:
        if file.name.removesuffix(file.suffix) in there and file.suffix in (".zstd", ".zst"):
            notes.append(Skipped(file.name, 0, "the same file lies beside it, unpacked"))
        elif suffixes and _inner_suffix(file) not in suffixes:
            notes.append(Skipped(file.name, 0, f"{METADATA_FILE} lists files of another format"))
        else:
            if names and file.name not in names:
                notes.append(
                    Skipped(file.name, 0, f"{METADATA_FILE} does not list this file; it is read too")
                )
            chosen.append(file)
    return chosen


def _compare(scan: PartScan, metadata: dict[str, Any], table: ChannelTable) -> None:
    """One note for each topic whose count in the metadata is another one."""
    found: Counter[str] = Counter()
    for channel, count in scan.counts.items():
        found[channel.topic] += count
    topics = metadata.get("topics_with_message_count")
    for entry in topics if isinstance(topics, list) else ():
        with suppress(KeyError, TypeError, ValueError):
            name, count = str(entry["topic_metadata"]["name"]), int(entry["message_count"])
            if found[name] != count:
                reason = f"{METADATA_FILE} lists {count} messages, {found[name]} are there and read"
                scan.notes.append(Skipped(name, 0, reason))
    kept = {key: metadata[key] for key in ("ros_distro", "custom_data") if metadata.get(key)}
    if kept:
        scan.metadata["rosbag2"] = kept


def _files(folder: Path) -> list[Path]:
    return sorted(
        entry for entry in folder.iterdir() if entry.is_file() and entry.suffix.lower() in _SUFFIXES
    )


def _inner_suffix(path: Path) -> str:
    """The ending without that of the compression, in lower case."""
    name = path.with_suffix("") if path.suffix.lower() in (".zstd", ".zst", ".active") else path
    return name.suffix.lower()


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def nothing_in(folder: Path) -> str:
    """Why a folder is no recording, and what is nearly one."""
    below = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and is_container(entry))
    if below:
        return f"{folder} is a folder of {len(below)} recordings; ingest each of them: {', '.join(below[:5])}"
    return f"{folder} has no .mcap, .db3 or .bag file"
