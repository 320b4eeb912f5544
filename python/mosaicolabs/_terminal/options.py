"""Options that several commands share."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click

from mosaicolabs.comm import MosaicoClient

STORE_ENV = "MOSAICO_STORE"
DEFAULT_STORE = Path("~/.mosaico/store")
DEFAULT_HOST = "localhost"
DEFAULT_PORT = 6726

Command = Callable[..., Any]


@dataclass(frozen=True)
class Target:
    """The store of a command: a folder (embedded daemon), or a running daemon.

    Attributes:
        store: The folder; None: the daemon at `host` and `port`.
    """

    store: Path | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    @contextmanager
    def open(self, *, create: bool = False) -> Iterator[MosaicoClient]:
        """A client, closed at the end of the block; `create` allows to create a missing folder."""
        if self.store is None:
            with MosaicoClient.connect(self.host, self.port) as client:
                yield client
            return
        if not self.store.is_dir() and not create:
            raise click.ClickException(
                f"no store at {self.store}; `mosaico ingest` and `mosaico demo` create one"
            )
        with MosaicoClient.embedded(self.store) as client:
            yield client

    @property
    def place(self) -> str:
        """The folder, or `host:port`."""
        return str(self.store) if self.store is not None else f"{self.host}:{self.port}"

    @property
    def flags(self) -> str:
        """The options with which another command uses the same store."""
        return f"--store {self.store}" if self.store is not None else f"--host {self.host} --port {self.port}"


def default_store() -> Path:
    """The folder that a command uses without `--store` and `--host`."""
    named = os.environ.get(STORE_ENV)
    if not named:
        return DEFAULT_STORE.expanduser()
    # mosaicod reads the same variable and accepts URLs.
    url = urlsplit(named)
    if url.scheme not in ("", "file"):
        raise click.UsageError(
            f"{STORE_ENV} is `{named}`, which is not a folder: give --store DIR, or --host of its mosaicod"
        )
    return Path(unquote(url.path) if url.scheme else named).expanduser()


def with_target(default: Callable[[], Path]) -> Callable[[Command], Command]:
    """Adds `--host`, `--port`, `--store` and `--json`; the command receives `target` and `as_json`."""

    def decorate(command: Command) -> Command:
        @click.option("--host", help=f"A running mosaicod.  [default with --port: {DEFAULT_HOST}]")
        @click.option(
            "--port", type=click.IntRange(1, 65535), help=f"Its port.  [default with --host: {DEFAULT_PORT}]"
        )
        @click.option(
            "--store",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder of a store; needs no server.",
        )
        @click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")
        @functools.wraps(command)
        def wrapped(*, host: str | None, port: int | None, store: Path | None, **options: Any) -> Any:
            return command(target=_target(host, port, store, default), **options)

        return wrapped

    return decorate


def _target(host: str | None, port: int | None, store: Path | None, default: Callable[[], Path]) -> Target:
    if host is None and port is None:
        return Target(store=store.expanduser() if store is not None else default())
    if store is not None:
        raise click.UsageError("--store needs no server: give either --store, or --host and --port")
    return Target(host=host or DEFAULT_HOST, port=port or DEFAULT_PORT)


class ManyValues(click.Command):
    """Lets an option take several values: `--topics /a /b` is `--topics /a --topics /b`.

    `many` maps an option to text that each further value must contain; other arguments stay arguments.
    """

    def __init__(self, *args: Any, many: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._many = many

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        option: str | None = None
        remaining = iter(args)
        for arg in remaining:
            if arg in self._many:
                option = arg
                spread += [arg, *(value for value in [next(remaining, None)] if value is not None)]
            elif option is not None and not arg.startswith("-") and self._many[option] in arg:
                spread += [option, arg]
            else:
                option = None
                spread.append(arg)
        return super().parse_args(ctx, spread)
