"""Finds readers; those of this and of other packages are registered as entry points."""

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from ._reader_api import Reader, Recording, RecordingError

READERS_GROUP = "mosaicolabs.readers"


def reader_names() -> list[str]:
    """Names of all installed readers."""
    return sorted({entry.name for entry in entry_points(group=READERS_GROUP)})


def load_reader(name: str) -> Reader:
    """The reader registered under `name`.

    Raises:
        RecordingError: The reader does not exist, or its package cannot be imported.
    """
    for entry in entry_points(group=READERS_GROUP):
        if entry.name == name:
            return _load(entry)
    raise RecordingError(f"reader `{name}` does not exist; installed readers: {_listed()}")


def find_reader(path: Path) -> Reader:
    """The only reader that recognizes `path`.

    Raises:
        RecordingError: The path does not exist, or not exactly one reader recognizes it.
    """
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    matches = [reader for reader in map(load_reader, reader_names()) if reader.sniff(path)]
    if not matches:
        raise RecordingError(f"{path}: format not recognized; installed readers: {_listed()}")
    if len(matches) > 1:
        names = ", ".join(reader.name for reader in matches)
        raise RecordingError(f"{path}: several readers recognize it ({names}); choose one with --format")
    return matches[0]


def open_recording(reader: Reader, path: Path, options: dict[str, str]) -> Recording:
    """Opens `path` with options.

    Raises:
        RecordingError: The reader does not have an option, or the input is damaged.
    """
    known = getattr(reader, "options", {})
    for name in options:
        if name not in known:
            has = ", ".join(f"{option} ({meaning})" for option, meaning in known.items()) or "none"
            raise RecordingError(f"reader `{reader.name}` has no option `{name}`; it has: {has}")
    return reader.open(path, **options)


def _load(entry: EntryPoint) -> Reader:
    try:
        reader = entry.load()()
    except Exception as error:  # importing a package may raise anything
        raise RecordingError(
            f"reader `{entry.name}` ({entry.value}) cannot be loaded: {error}; repair or uninstall its "
            "package, or choose another reader with --format"
        ) from error
    if not isinstance(reader, Reader):
        missing = "lacks name, description, sniff or open"
        raise RecordingError(f"reader `{entry.name}` ({entry.value}) {missing}")
    return reader


def _listed() -> str:
    return ", ".join(reader_names()) or "none (is the package installed?)"
