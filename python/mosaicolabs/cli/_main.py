"""The command `mosaico` and its subcommands."""

from typing import NoReturn

import click

from mosaicolabs._terminal.run_command import run_command

from ._cat import cat
from ._catalog import info, ls, rm
from ._context import context
from ._demo import demo
from ._events import events
from ._ingest import ingest
from ._link import link
from ._query import query

_EPILOG = """\
`--store DIR` uses a folder without any server, `--host`/`--port` a running mosaicod, `--context` a saved one.
The default is the context in MOSAICO_CONTEXT, else the folder in MOSAICO_STORE, else the context of `mosaico
context use`, else ~/.mosaico/store.

Exit codes: 0 success, 1 failure (one line on stderr gives the reason; MOSAICO_DEBUG=1 adds the traceback),
2 wrong usage, 130 interrupted.
"""


@click.group(
    epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="mosaicolabs-native", prog_name="mosaico")
def mosaico() -> None:
    """Record, find and replay sensor data of robots."""


for command in (ingest, ls, info, cat, query, rm, link, events, demo, context):
    mosaico.add_command(command)


def main(args: list[str] | None = None) -> NoReturn:
    """Entry point of the console script."""
    run_command(mosaico, "mosaico", args)
