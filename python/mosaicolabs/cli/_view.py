"""`mosaico view`."""

import signal
import sys

import click

from mosaicolabs._terminal.completion import sequence_names
from mosaicolabs._terminal.options import PlaceCommand, Target, with_target
from mosaicolabs._terminal.output import echo, print_json

from ._sequences import require_sequence


@click.command(
    cls=PlaceCommand,
    epilog="""\
\b
--json prints one document: url
""",
)
@click.argument("name", required=False, shell_complete=sequence_names)
@click.option("--no-browser", is_flag=True, help="Print the address and open no browser.")
@click.option(
    "--http-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Of a folder: the port to serve at.  [default: a free one]",
)
@click.option("--url", metavar="URL", help="Of a daemon: its HTTP port.  [default: the port after --port]")
@with_target
def view(
    target: Target, as_json: bool, name: str | None, no_browser: bool, http_port: int, url: str | None
) -> None:
    """Show sequences in the browser: the list, or the sequence NAME.

    Of a folder, the page is served to this machine until Ctrl-C. Of a daemon, the command opens its page.
    """
    if target.store is not None and url is not None:
        raise click.UsageError("--url is for daemons: add --host or --context, or leave it out")
    with target.open() as client:
        if name is not None:
            require_sequence(client, name, target)
        page = client.view(name, url=url, port=http_port)
        if as_json:
            print_json({"url": page.url})
        else:
            echo(page.url)
        sys.stdout.flush()
        if not no_browser and not page.open():
            click.echo("there is no browser here: open the address above in one", err=True)
        if target.store is not None:
            click.echo("serving until Ctrl-C", err=True)
            _wait()


def _wait() -> None:
    """Waits for Ctrl-C or a signal to end, which both are the usual end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        return
