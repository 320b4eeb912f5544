"""Options that several commands share."""

import functools
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosaicolabs._terminal.security_options import security_options, split_security
from mosaicolabs.comm.target import (
    CONTEXT_ENV,
    DEFAULT_PORT,
    HOST_ENV,
    PORT_ENV,
    STORE_ENV,
    folder_of,
)
from mosaicolabs.comm.target import Target as Place
from mosaicolabs.exceptions import InvalidInputError

if TYPE_CHECKING:
    from mosaicolabs.comm import MosaicoClient
    from mosaicolabs.comm.security import Security

Command = Callable[..., Any]
Add = Callable[["Security"], "Security"]


@dataclass(frozen=True)
class Target(Place):
    """The place of a command.

    Attributes:
        is_named: Whether options name it.
        timeout_s: How long to wait for a daemon, s.
    """

    is_named: bool = False
    timeout_s: int = 5

    @classmethod
    def at(cls, place: Place, *, is_named: bool) -> "Target":
        """The same place, for a command."""
        return cls(**{field.name: getattr(place, field.name) for field in fields(place)}, is_named=is_named)

    def again(self, command: str) -> str:
        """A command of `mosaico` that uses the same place."""
        if not self.is_named:
            place = ""  # the environment names it
        elif self.store is not None:
            place = f" --store {shlex.quote(str(self.store))}"
        elif self.context is not None:
            place = f" --context {self.context}"
        else:
            place = f" --host {self.host} --port {self.port}"
        return f"mosaico {command}{place}"

    @contextmanager
    def open(self, *, create: bool = False) -> Iterator["MosaicoClient"]:
        """A client, closed at the end of the block; `create` allows to create a missing folder."""
        from mosaicolabs.comm import MosaicoClient  # takes long to import

        if self.store is None:
            with MosaicoClient.connect(
                self.host, self.port, self.timeout_s, **asdict(self.security)
            ) as client:
                yield client
            return
        if not self.store.is_dir() and not create:
            raise click.ClickException(
                f"no store at {self.store}; `mosaico ingest` and `mosaico demo` create one"
            )
        with MosaicoClient.embedded(self.store) as client:
            yield client


def target_options(command: Command) -> Command:
    """Adds `--host`, `--port`, `--context`, TLS and `--store`, `--import` and `--json`."""
    options: list[Callable[[Command], Command]] = [
        click.option("--host", metavar="HOST", help=f"A running mosaicod.  [env {HOST_ENV}]"),
        click.option(
            "--port",
            type=click.IntRange(1, 65535),
            metavar="PORT",
            help=f"Its port.  [env {PORT_ENV}; default: {DEFAULT_PORT}]",
        ),
        click.option(
            "--context", metavar="NAME", help=f"A saved daemon, see `mosaico context`.  [env {CONTEXT_ENV}]"
        ),
        security_options,
        click.option(
            "--store",
            type=click.Path(file_okay=False),
            metavar="DIR",
            help=f"Folder of a store; needs no server.  [env {STORE_ENV}]",
        ),
        click.option(
            "--import",
            "modules",
            multiple=True,
            metavar="MODULE",
            help="First import MODULE, which defines data classes; may be repeated.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout."),
    ]
    # The last decorator is the first in the help.
    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), command)


def with_target(command: Command) -> Command:
    """Adds `target_options`, which may also precede the name of the command.

    The command receives `target` and `as_json`.
    """

    @functools.wraps(command)
    def wrapped(**options: Any) -> Any:
        context = click.get_current_context()
        target, others = _split(options, context)
        before = context.find_root().params.get("modules", ())
        import_modules(dict.fromkeys((*before, *others.pop("modules"))))
        return command(target=target, **others)

    return target_options(wrapped)


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


def target_of(context: click.Context) -> Target:
    """The place of a command whose arguments are parsed, for completions.

    Raises:
        click.UsageError: The options contradict each other.
    """
    return _split(context.params, context)[0]


def _split(options: Mapping[str, Any], context: click.Context) -> tuple[Target, dict[str, Any]]:
    """The place that options before or after the command name, and the other options."""
    merged = dict(options)
    before = context.find_root().params
    for name in before.keys() & merged.keys():
        # A flag that is not given is False, any other option None.
        if merged[name] is None or merged[name] is False:
            merged[name] = before[name]
    place = {name: merged.pop(name) for name in ("host", "port", "context", "store")}
    security, others = split_security(merged)
    return _target(**place, security=security), others


def _target(
    host: str | None, port: int | None, context: str | None, store: str | None, security: Add | None
) -> Target:
    try:
        if store is not None:
            if any(option is not None for option in (host, port, context, security)):
                raise click.UsageError(
                    "--store needs no server: give either --store, or --host, --port, --context and TLS"
                )
            return Target(store=folder_of(store, "--store"), is_named=True)
        if host is not None or port is not None:
            if context is not None:
                raise click.UsageError("give either --context, or --host and --port")
            place = Place.of_daemon(host, port)
        else:
            place = Place.of_context(context) if context is not None else Place.from_env()
    except InvalidInputError as error:
        raise click.UsageError(str(error)) from error
    if security is not None:
        if place.store is not None:
            raise click.UsageError("TLS and API keys are for daemons: add --host or --context")
        place = replace(place, security=security(place.security))
    return Target.at(place, is_named=any(option is not None for option in (host, port, context)))


PLACE_OPTIONS = ("host", "port", "context", "store")
SECURITY_OPTIONS = ("tls", "tls_ca", "client_cert", "client_key", "api_key", "api_key_file")


class PlaceCommand(click.Command):
    """A command whose help lists the options that name the place after its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the arguments; while a shell completes a value, its option has none yet."""
        if ctx.resilient_parsing and args and args[-1].startswith("-"):
            args = args[:-1]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options in sections."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = {option.name: option.get_help_record(ctx) for option in options}
        sections = {
            "Options": [name for name in records if name not in (*PLACE_OPTIONS, *SECURITY_OPTIONS)],
            "Place (these options may also precede the command; TLS: `mosaico --help`)": PLACE_OPTIONS,
        }
        for title, names in sections.items():
            rows = [record for record in map(records.get, names) if record is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class ManyValues(PlaceCommand):
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
