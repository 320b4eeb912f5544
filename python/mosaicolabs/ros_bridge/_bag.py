"""Bag files. Every problem of a file becomes a `BagError`."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag2 import Reader as Ros2Reader

from mosaicolabs.ingest import RecordingError

ACCEPTED_EXTENSIONS = frozenset({".bag", ".db3", ".mcap"})
METADATA_FILE = "metadata.yaml"


class BagError(RecordingError, OSError):
    """A bag cannot be opened, or is damaged."""

    # Of several builtin bases, only the one with fields of its own creates the object.
    def __new__(cls, message: str, code: str | None = None) -> "BagError":
        return OSError.__new__(cls, message)


class NoMatchingTopicError(RecordingError, RuntimeError):
    """The bag has none of the selected topics."""


def check_path(path: Path) -> None:
    """Checks that a path may be a bag.

    Raises:
        FileNotFoundError: The path does not exist.
        ValueError: It is neither a file with the extension of a bag, nor a folder with `metadata.yaml`.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such bag")
    if path.is_dir():
        if not (path / METADATA_FILE).is_file():
            raise ValueError(f"{path} has no {METADATA_FILE}; give its .db3 or .mcap file instead")
    elif path.suffix not in ACCEPTED_EXTENSIONS:
        accepted = ", ".join(sorted(ACCEPTED_EXTENSIONS))
        raise ValueError(f"{path} is not a bag: its extension is `{path.suffix}`; supported are {accepted}")


class Bag:
    """An open bag: its connections (publishers of a topic) and its raw messages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_ros1 = path.suffix == ".bag"
        _refuse_write_ahead_log(path)
        _refuse_compressed_part(path)
        self._reader = Ros1Reader(path) if self.is_ros1 else Ros2Reader(path)
        try:
            self._reader.open()
        except Exception as error:  # rosbags and its parsers raise many kinds for broken files
            raise BagError(
                f"{path} cannot be opened: {_reason(error)}; if its recording broke off, repair it with "
                "`rosbag reindex`, `ros2 bag reindex` or `mcap recover`"
            ) from error
        self.connections: list[Connection] = list(self._reader.connections)
        self.duration_ns: int = self._reader.duration

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """Messages as `(connection, time of recording in ns, bytes)`, in the order of the bag.

        Raises:
            BagError: The bag is damaged; the messages before the damage were yielded.
        """
        if not connections:
            return
        count = 0
        reading = iter(self._reader.messages(connections))
        while True:
            try:
                message = next(reading)
            except StopIteration:
                return
            except Exception as error:  # as above
                raise BagError(
                    f"{self.path} is damaged after {count} messages: {_reason(error)}; "
                    "the error policy `report` keeps the messages before the damage"
                ) from error
            count += 1
            yield message

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _refuse_compressed_part(path: Path) -> None:
    # Only the metadata of the folder tells that each message is compressed.
    metadata = path.parent / METADATA_FILE
    if path.is_file() and metadata.is_file():
        text = metadata.read_text(encoding="utf-8", errors="replace")
        if path.name in text and re.search(r"^\s*compression_mode:\s*['\"]?message", text, re.I | re.M):
            raise BagError(f"{path} is one file of a compressed bag; give its folder {path.parent}")


def _refuse_write_ahead_log(path: Path) -> None:
    # rosbags does not read the write-ahead log of SQLite.
    for log in path.glob("*.db3-wal") if path.is_dir() else [path.with_name(f"{path.name}-wal")]:
        if log.is_file() and log.stat().st_size:
            raise BagError(
                f"{path} was not closed: its last messages are in {log}; "
                f"run `sqlite3 {str(log).removesuffix('-wal')} 'PRAGMA wal_checkpoint(TRUNCATE)'` first"
            )
