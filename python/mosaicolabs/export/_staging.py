"""The folder in which an export grows, until all of it is complete.

`TARGET.partial` contains the finished parts, their list, and the part that is being written. The last step
renames its content to the target, so that nobody ever sees a part of an export under the final name. A new
export with the same request continues after the finished parts.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ._errors import ExportError

try:
    import fcntl
except ImportError:  # no POSIX: two exports to one target are not detected
    fcntl = None  # type: ignore[assignment]

_STATE, _LOCK, _CONTENT, _REPLACED = "state.json", "lock", "content", "replaced"


@dataclass(frozen=True)
class Finished:
    """A part that is complete and durable.

    Attributes:
        messages: Number of its messages.
        size_bytes: Its size, bytes. Other parts may be inside its folder by now.
    """

    messages: int
    size_bytes: int


class Staging:
    """The finished parts of one export.

    Attributes:
        done: The finished parts by their paths.
    """

    def __init__(self, target: Path, request: dict[str, Any], *, overwrite: bool) -> None:
        self._target, self._overwrite = target, overwrite
        self._request = request
        self._folder = folder_of(target)
        self._content = self._folder / _CONTENT
        self._restore_replaced()
        check_target(target, overwrite=overwrite)
        self.done = self._finished()
        if not self.done:
            _remove(self._content)
            self._content.mkdir()
        self._save()

    def path(self, part: str) -> Path:
        """Where to write a part; what an interrupted export left there is removed."""
        path = self._content / (part or self._target.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(path)
        return path

    def finish_part(self, part: str, messages: int) -> Finished:
        """Makes a written part durable and enters it in the list."""
        finished = Finished(messages, _sync(self._content / (part or self._target.name)))
        self.done[part] = finished
        self._save()
        return finished

    def write_manifest(self, name: str, text: str) -> None:
        """Adds a file that describes the parts."""
        path = self._content / name
        path.write_text(text, encoding="utf-8")
        _sync(path)

    def complete(self, *, single: bool) -> None:
        """Gives the content, whose parts are finished, its final name.

        Raises:
            ExportError: The target was created meanwhile.
        """
        finished = self._content / self._target.name if single else self._content
        for folder in _folders(self._content):  # also those between the parts
            _sync_folder(folder)
        check_target(self._target, overwrite=self._overwrite)
        if self._target.is_dir() or (self._target.exists() and finished.is_dir()):
            # A folder cannot replace another path in one step; the old one is kept until then.
            self._target.rename(self._folder / _REPLACED)
        finished.replace(self._target)
        _sync_folder(self._target.parent)
        shutil.rmtree(self._folder)

    def _restore_replaced(self) -> None:
        """Ends a replacement of the target that was interrupted."""
        replaced = self._folder / _REPLACED
        if self._target.exists():
            _remove(replaced)
        elif replaced.exists():
            replaced.rename(self._target)

    def _finished(self) -> dict[str, Finished]:
        """Parts that an interrupted export with the same request finished."""
        try:
            state = json.loads((self._folder / _STATE).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        if state.get("request") != self._request:
            return {}
        return {part: Finished(**finished) for part, finished in state["done"].items()}

    def _save(self) -> None:
        new = self._folder / f"{_STATE}.new"
        with new.open("w") as file:
            done = {part: asdict(finished) for part, finished in self.done.items()}
            json.dump({"request": self._request, "done": done}, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder / _STATE)


def folder_of(target: Path) -> Path:
    """The folder in which the export to `target` grows."""
    return target.with_name(f"{target.name}.partial")


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuses a target that exists.

    Raises:
        ExportError: It exists and is not to be overwritten, or it cannot be a name.
    """
    if not target.name:
        raise ExportError(f"`{target}` is not the name of a file or folder to create")
    if target.exists() and not overwrite:
        raise ExportError(f"{target} exists; choose another path, or overwrite it (--overwrite)")


@contextmanager
def staging(target: Path, request: dict[str, Any], *, overwrite: bool) -> Iterator[Staging]:
    """The staging folder of `target`, locked against other exports to the same target.

    Raises:
        ExportError: The target exists, the folder is not one of an export, or another export uses it.
    """
    folder = folder_of(target)
    if folder.exists() and not (folder / _LOCK).is_file():
        raise ExportError(
            f"{folder} exists and is not an unfinished export; remove it or choose another path"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        _acquire(lock, folder)
        yield Staging(target, request, overwrite=overwrite)


def _acquire(lock: IO[str], folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ExportError(f"another export is writing to {folder}; wait for its end") from error


def _folders(path: Path) -> Iterator[Path]:
    """The folder and all below it."""
    yield path
    yield from (inner for inner in path.rglob("*") if inner.is_dir())


def _sync(path: Path) -> int:
    """Makes a file, or all of a folder, durable; returns its size, bytes."""
    size = 0
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                size += os.fstat(opened.fileno()).st_size
    for folder in _folders(path) if path.is_dir() else [path.parent]:
        _sync_folder(folder)
    return size


def _sync_folder(folder: Path) -> None:
    if fcntl is None:  # only POSIX opens folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
