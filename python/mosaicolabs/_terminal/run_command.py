"""Runs a command; turns every failure into one line and an exit code."""

import os
import sys
from typing import NoReturn

import click

from .output import echo

DEBUG_ENV = "MOSAICO_DEBUG"


def run_command(command: click.Command, name: str, args: list[str] | None = None) -> NoReturn:
    """Runs a command to its exit code; a failure is one line on stderr."""
    try:
        code = command.main(args=args, prog_name=name, standalone_mode=False)
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
    sys.exit(code if isinstance(code, int) else 0)


def _fail(name: str, reason: str, *, code: int) -> NoReturn:
    echo(f"{name}: {' '.join(reason.split())}", err=True)
    sys.exit(code)
