"""Options that several commands share."""

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click

from mosaicolabs._protocol.addresses import tls_of
from mosaicolabs._terminal.contexts import Contexts
from mosaicolabs._terminal.security_options import with_security
from mosaicolabs.comm import MosaicoClient
from mosaicolabs.comm.security import Security

CONTEXT_ENV = "MOSAICO_CONTEXT"
STORE_ENV = "MOSAICO_STORE"
DEFAULT_STORE = Path("~/.mosaico/store")
DEFAULT_HOST = "localhost"
DEFAULT_PORT = 6726

Command = Callable[..., Any]
Add = Callable[[Security], Security]


@dataclass(frozen=True)
class Target:
    """The store of a command: a folder (embedded daemon), or a running daemon.

    Attributes:
        store: The folder; None: the daemon at `host` and `port`.
        security: TLS and API key of the connection.
        context: Name of the saved context that all this is from.
    """

    store: Path | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    security: Security = field(default_factory=Security)
    context: str | None = None

    @contextmanager
    def open(self, *, create: bool = False) -> Iterator[MosaicoClient]:
        """A client, closed at the end of the block; `create` allows to create a missing folder."""
        if self.store is None:
            with MosaicoClient.connect(self.host, self.port, **asdict(self.security)) as client:
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
        if self.store is not None:
            return f"--store {self.store}"
        return (
            f"--host {self.host} --port {self.port}" if self.context is None else f"--context {self.context}"
        )


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
    """Adds `--host`, `--port`, `--context`, `--store`, TLS, `--import` and `--json`.

    The command receives `target` and `as_json`.
    """

    def decorate(command: Command) -> Command:
        @click.option("--host", help=f"A running mosaicod.  [default with --port: {DEFAULT_HOST}]")
        @click.option(
            "--port", type=click.IntRange(1, 65535), help=f"Its port.  [default with --host: {DEFAULT_PORT}]"
        )
        @click.option("--context", help=f"A saved daemon, see `mosaico context`.  [env {CONTEXT_ENV}]")
        @with_security
        @click.option(
            "--store",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder of a store; needs no server.",
        )
        @click.option(
            "--import",
            "modules",
            multiple=True,
            metavar="MODULE",
            help="First import MODULE, which defines data classes; may be repeated.",
        )
        @click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")
        @functools.wraps(command)
        def wrapped(
            *,
            host: str | None,
            port: int | None,
            context: str | None,
            store: Path | None,
            security: Add | None,
            modules: tuple[str, ...],
            **options: Any,
        ) -> Any:
            import_modules(modules)
            if store is not None:
                if any(option is not None for option in (host, port, context, security)):
                    raise click.UsageError(
                        "--store needs no server: give either --store, or --host, --port, --context and TLS"
                    )
                return command(target=Target(store=store.expanduser()), **options)
            return command(target=_target(host, port, context, security, default), **options)

        return wrapped

    return decorate


def import_modules(names: Iterable[str]) -> None:
    """Imports modules that define data classes, also from the current folder.

    Raises:
        click.ClickException: One cannot be imported.
    """
    for name in names:
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, here)
        try:
            import_module(name)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise click.ClickException(f"--import {name} failed: {reason}") from error


def _target(
    host: str | None, port: int | None, context: str | None, security: Add | None, default: Callable[[], Path]
) -> Target:
    if host is not None or port is not None:
        if context is not None:
            raise click.UsageError("give either --context, or --host and --port")
        host = host or DEFAULT_HOST
        target = Target(host=host, port=port or DEFAULT_PORT, security=_from_env(host))
    else:
        name = context or os.environ.get(CONTEXT_ENV) or _current(default)
        if name is None:
            if security is not None:
                raise click.UsageError("TLS and API keys are for daemons: add --host or --context")
            return Target(store=default())
        # The variables may belong to another daemon.
        saved = Contexts().get(name)
        target = Target(host=saved.host, port=saved.port, security=saved.security, context=name)
    return target if security is None else replace(target, security=security(target.security))


def _from_env(host: str) -> Security:
    settings = Security.from_env()
    if tls_of(host) is False:
        # The address on the command line takes precedence over the variables.
        return Security(api_key=settings.api_key)
    return settings


def _current(default: Callable[[], Path]) -> str | None:
    """The context in use, for commands that use the default store otherwise."""
    if default is not default_store or os.environ.get(STORE_ENV):
        return None
    return Contexts().current


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
