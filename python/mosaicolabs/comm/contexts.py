"""Saved contexts: daemons by name, with what a connection to each needs."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mosaicolabs.comm.security import Security
from mosaicolabs.exceptions import InvalidInputError


def contexts_file() -> Path:
    """The file of this user's contexts; `XDG_CONFIG_HOME` moves it."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "mosaico" / "contexts.json"


@dataclass(frozen=True)
class Context:
    """A daemon, and what a connection to it needs.

    Attributes:
        host: As in `MosaicoClient.connect`.
        port: Port of hosts without one.
        security: TLS and API key.
    """

    host: str
    port: int
    security: Security = field(default_factory=Security)


class Contexts:
    """The contexts of this user, in `contexts_file()`, which only the user can read.

    Raises:
        InvalidInputError: The file is not one of contexts.
    """

    def __init__(self) -> None:
        self._file = contexts_file()
        document = self._read()
        self.current: str | None = document.get("current")
        try:
            self.all = {name: _context(values) for name, values in document.get("contexts", {}).items()}
        except (AttributeError, KeyError, TypeError) as error:
            raise InvalidInputError(
                f"{self._file} is not a file of contexts: {error!r}; remove it"
            ) from error

    def get(self, name: str) -> Context:
        """The context of that name.

        Raises:
            InvalidInputError: There is none.
        """
        if name not in self.all:
            known = ", ".join(sorted(self.all)) or "there are none, `mosaico context add` creates one"
            raise InvalidInputError(f"there is no context `{name}`; known: {known}")
        return self.all[name]

    def save(self) -> None:
        """Replaces the file."""
        contexts = {
            name: {"host": context.host, "port": context.port, **asdict(context.security)}
            for name, context in self.all.items()
        }
        document = {"current": self.current, "contexts": contexts}
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # `mkstemp` creates files that only their owner can read.
        handle, scratch = tempfile.mkstemp(dir=self._file.parent, prefix=".contexts")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(document, out, indent=2)
                out.write("\n")
            Path(scratch).replace(self._file)
        except BaseException:
            Path(scratch).unlink()
            raise

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            # The text may contain API keys.
            raise InvalidInputError(f"cannot read {self._file}: {type(error).__name__}") from None
        if not isinstance(document, dict):
            raise InvalidInputError(f"{self._file} is not a file of contexts; remove it")
        return document


def _context(values: dict[str, Any]) -> Context:
    settings = dict(values)
    return Context(settings.pop("host"), settings.pop("port"), Security(**settings))
