"""Assembles the commands; turns every failure into one line and an exit code."""

import os
import sys
from typing import NoReturn

import click

from ._cat import cat
from ._catalog import info, ls, rm
from ._demo import demo
from ._events import events
from ._ingest import ingest
from ._query import query

DEBUG_ENV = "MOSAICO_DEBUG"

_EPILOG = """\
Where: `--store DIR` works on a folder without any server, `--host`/`--port` on a running mosaicod. With
neither it is the folder named by MOSAICO_STORE, else ~/.mosaico/store.

Exit codes: 0 done, 1 failed (one line on stderr says why; MOSAICO_DEBUG=1 adds the traceback), 2 wrong usage.
"""


@click.group(
    epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="mosaicolabs", prog_name="mosaico")
def mosaico() -> None:
    """Record, find and replay sensor data of robots."""


for command in (ingest, ls, info, cat, query, rm, events, demo):
    mosaico.add_command(command)


def main(args: list[str] | None = None) -> NoReturn:
    """Entry point of the console script."""
    run_command(mosaico, "mosaico", args)


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
        # Notes tell what else went wrong while the failure was dealt with.
        reason = str(error) or type(error).__name__
        _fail(name, "; ".join([reason, *getattr(error, "__notes__", [])]), code=1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(name: str, reason: str, *, code: int) -> NoReturn:
    click.echo(f"{name}: {' '.join(reason.split())}", err=True)
    sys.exit(code)
