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
    """Where a command works: a folder (embedded), or a daemon."""

    store: Path | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    @contextmanager
    def open(self, *, create: bool = False) -> Iterator[MosaicoClient]:
        """A client, closed at the end. Only with `create` a folder that does not exist is made."""
        if self.store is None:
            with MosaicoClient.connect(self.host, self.port) as client:
                yield client
            return
        if not self.store.is_dir() and not create:
            raise click.ClickException(
                f"no store at {self.store}; `mosaico ingest` and `mosaico demo` make one"
            )
        with MosaicoClient.embedded(self.store) as client:
            yield client

    @property
    def place(self) -> str:
        """The folder, or `host:port`."""
        return str(self.store) if self.store is not None else f"{self.host}:{self.port}"

    @property
    def flags(self) -> str:
        """The options that lead another command to the same place."""
        return f"--store {self.store}" if self.store is not None else f"--host {self.host} --port {self.port}"


def default_store() -> Path:
    """The folder that is used when a command names none."""
    named = os.environ.get(STORE_ENV)
    if not named:
        return DEFAULT_STORE.expanduser()
    # mosaicod reads the same variable, and takes URLs.
    url = urlsplit(named)
    if url.scheme not in ("", "file"):
        raise click.UsageError(
            f"{STORE_ENV} is `{named}`, which is no folder: give --store DIR, or --host of its mosaicod"
        )
    return Path(unquote(url.path) if url.scheme else named).expanduser()


def with_target(default: Callable[[], Path]) -> Callable[[Command], Command]:
    """Adds `--host`, `--port`, `--store` and `--json`; the command gets `target` and `as_json`."""

    def decorate(command: Command) -> Command:
        @click.option("--host", help=f"A running mosaicod.  [default with --port: {DEFAULT_HOST}]")
        @click.option(
            "--port", type=click.IntRange(1, 65535), help=f"Its port.  [default with --host: {DEFAULT_PORT}]"
        )
        @click.option(
            "--store", type=click.Path(path_type=Path, file_okay=False), help="A folder; no server needed."
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
        raise click.UsageError("--store works without a server: leave out --host and --port, or --store")
    return Target(host=host or DEFAULT_HOST, port=port or DEFAULT_PORT)


class ManyValues(click.Command):
    """Lets an option take several values: `--topics /a /b` is `--topics /a --topics /b`.

    `many` maps the option to what each further value must contain, so that arguments after it stay arguments.
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
