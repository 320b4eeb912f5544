"""The place that a program uses, a folder or a daemon: the same variables for Python and the command line."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mosaicolabs._protocol.addresses import addresses_of, place_of, tls_of
from mosaicolabs.comm.contexts import Contexts
from mosaicolabs.comm.security import Security
from mosaicolabs.exceptions import InvalidInputError

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "Target", "folder_of"]

CONTEXT_ENV = "MOSAICO_CONTEXT"
HOST_ENV = "MOSAICO_HOST"
PORT_ENV = "MOSAICO_PORT"
STORE_ENV = "MOSAICO_STORE"

DEFAULT_STORE = Path("~/.mosaico/store")
DEFAULT_HOST = "localhost"
DEFAULT_PORT = 6726


@dataclass(frozen=True)
class Target:
    """A folder (embedded daemon), or a running daemon.

    Attributes:
        store: The folder; None: the daemon at `host` and `port`.
        host: As in `MosaicoClient.connect`.
        port: Port of hosts without one.
        security: TLS and API key of the connection.
        context: Name of the saved context that all this is from.
    """

    store: Path | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    security: Security = field(default_factory=Security)
    context: str | None = None

    @classmethod
    def of_context(cls, name: str) -> "Target":
        """The daemon of a saved context.

        Raises:
            InvalidInputError: There is no such context.
        """
        # The variables of the environment may belong to another daemon.
        saved = Contexts().get(name)
        return cls(host=saved.host, port=saved.port, security=saved.security, context=name)

    @classmethod
    def of_daemon(cls, host: str | None, port: int | None) -> "Target":
        """A daemon, with TLS and API key from the environment."""
        host = host or os.environ.get(HOST_ENV) or DEFAULT_HOST
        port = port or _port_of(os.environ)
        settings = Security.from_env()
        if tls_of(host) is False:
            # The address takes precedence over the variables.
            settings = Security(api_key=settings.api_key)
        return cls(host=host, port=port, security=settings)

    @classmethod
    def from_env(cls) -> "Target":
        """The place that the environment names, else the context in use, else the default folder.

        `MOSAICO_CONTEXT`, `MOSAICO_HOST` and `MOSAICO_PORT`, and `MOSAICO_STORE` are tried in this order.

        Raises:
            InvalidInputError: A variable is malformed, or its context does not exist.
        """
        environ = os.environ
        if name := environ.get(CONTEXT_ENV):
            return cls.of_context(name)
        if environ.get(HOST_ENV) or environ.get(PORT_ENV):
            return cls.of_daemon(None, None)
        if named := environ.get(STORE_ENV):
            return cls(store=folder_of(named, STORE_ENV))
        if name := Contexts().current:
            return cls.of_context(name)
        return cls(store=DEFAULT_STORE.expanduser())

    @property
    def place(self) -> str:
        """The folder, or `host:port`."""
        return str(self.store) if self.store is not None else place_of(addresses_of(self.host, self.port))


def folder_of(store: str | os.PathLike[str], called: str) -> Path:
    """The folder of a store that a user names by its path or by a file URL.

    Args:
        store: What the user wrote.
        called: What it is, for the error.

    Raises:
        InvalidInputError: It is empty, a bucket or the address of a daemon; the text contains the right call.

    Example:
        >>> folder_of("file:///data/robots%201", "path").as_posix()
        '/data/robots 1'
        >>> try:
        ...     folder_of("s3://robots", "path")
        ... except InvalidInputError as error:
        ...     print(error)
        path is `s3://robots`, a bucket; serve it: mosaicod run --store s3://robots --state-dir DIR
    """
    text = os.fspath(store)
    if not text:
        raise InvalidInputError(f"{called} is empty; give a folder")
    if "://" not in text:
        return Path(text).expanduser()
    url = urlsplit(text)
    if url.scheme == "file" and url.netloc in ("", "localhost"):
        return Path(unquote(url.path))
    if url.scheme in ("s3", "s3a", "gs", "az", "abfs", "abfss"):
        raise InvalidInputError(
            f"{called} is `{text}`, a bucket; serve it: mosaicod run --store {text} --state-dir DIR"
        )
    if url.scheme in ("grpc", "grpcs", "grpc+tls", "grpc+tcp"):
        raise InvalidInputError(
            f'{called} is `{text}`, the address of a daemon: use MosaicoClient.connect("{text}"), or '
            f"`mosaico --host {text}`"
        )
    raise InvalidInputError(
        f"{called} is `{text}`, which is not a folder; give a path, or a URL with file://"
    )


def _port_of(environ: Mapping[str, str]) -> int:
    text = environ.get(PORT_ENV) or str(DEFAULT_PORT)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise InvalidInputError(f"{PORT_ENV} is `{text}`, which is not a port between 1 and 65535")
    return int(text)
