"""Runs a command; turns every failure into one line and an exit code."""

import os
import sys
from typing import NoReturn

import click
from click.shell_completion import shell_complete

from mosaicolabs._printable import printable

DEBUG_ENV = "MOSAICO_DEBUG"


def complete_variable(name: str) -> str:
    """The variable with which the completion scripts of shells call the command `name`."""
    return f"_{name}_COMPLETE".replace("-", "_").replace(".", "_").upper()


def run_command(command: click.Command, name: str, args: list[str] | None = None) -> NoReturn:
    """Runs a command to its exit code; a failure is one line on stderr."""
    variable = complete_variable(name)
    if instruction := os.environ.get(variable):
        sys.exit(shell_complete(command, {}, name, variable, instruction))
    try:
        with command.make_context(name, sys.argv[1:] if args is None else list(args)) as context:
            command.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except BrokenPipeError:
        # The reader, such as `head`, has what it needs. The interpreter must not flush into the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except click.UsageError as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail(name, "interrupted", code=130)
    except Exception as error:
        if os.environ.get(DEBUG_ENV):
            raise
        if isinstance(error, click.ClickException):
            _fail(name, error.format_message(), code=error.exit_code)
        # Notes describe further failures while the first one was handled.
        reason = str(error) or type(error).__name__
        _fail(name, "; ".join([reason, *getattr(error, "__notes__", [])]), code=1)
    sys.exit(0)


def _fail(name: str, reason: str, *, code: int) -> NoReturn:
    click.echo(printable(f"{name}: {' '.join(reason.split())}"), err=True)
    sys.exit(code)
