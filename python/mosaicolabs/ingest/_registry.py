"""Finds readers; those of this and of other packages are registered as entry points."""

from pathlib import Path

from mosaicolabs.helpers.plugins import PluginGroup

from ._reader_api import Reader, Recording, RecordingError

READERS_GROUP = "mosaicolabs.readers"
_PACKED = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
)
# Entries of a folder that are tried for what they contain.
_LOOKED_AT = 50

_READERS: PluginGroup[Reader] = PluginGroup(
    group=READERS_GROUP,
    kind="reader",
    interface=Reader,
    members="name, description, sniff or open",
    error=RecordingError,
    choose="--format",
)


def reader_names() -> list[str]:
    """Names of all installed readers."""
    return _READERS.names()


def load_reader(name: str) -> Reader:
    """The reader registered under `name`.

    Raises:
        RecordingError: The reader does not exist, or its package cannot be imported.
    """
    return _READERS.load(name)


def find_reader(path: Path) -> Reader:
    """The only reader that recognizes `path`.

    Raises:
        RecordingError: The path does not exist, or not exactly one reader recognizes it.
    """
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    readers = [load_reader(name) for name in reader_names()]
    matches = [reader for reader in readers if reader.sniff(path)]
    if not matches:
        known = "; ".join(f"{reader.name}: {reader.description}" for reader in readers)
        raise RecordingError(
            f"{path}: format not recognized{_nearly(path, readers)}; installed readers: {known}"
        )
    if len(matches) > 1:
        names = ", ".join(reader.name for reader in matches)
        raise RecordingError(f"{path}: several readers recognize it ({names}); choose one with --format")
    return matches[0]


def open_recording(reader: Reader, path: Path, options: dict[str, str]) -> Recording:
    """Opens `path` with options.

    Raises:
        RecordingError: The reader does not have an option, or the input is damaged.
    """
    _READERS.check_options(reader, options)
    return reader.open(path, **options)


def _nearly(path: Path, readers: list[Reader]) -> str:
    """What the input is instead of a recording, if that can be said."""
    if path.is_dir():
        below = [
            entry.name
            for entry in sorted(path.iterdir())[:_LOOKED_AT]
            if any(reader.sniff(entry) for reader in readers)
        ]
        if below:
            return f": it contains recordings, ingest each of them: {', '.join(below[:5])}"
        return "" if any(path.iterdir()) else ": the folder is empty"
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return ": the file is empty"
    for magic, name in _PACKED:
        if head.startswith(magic):
            return f": it is packed with {name}, unpack it first"
    if head[257:262] == b"ustar":
        return ": it is a tar archive, unpack it first"
    return f": it begins with {head[:8]!r}"
