"""The command `mosaico`; its subcommands are imported when they run."""

import difflib
from importlib import import_module
from typing import Any, NoReturn

import click

from mosaicolabs._distribution import NAME
from mosaicolabs._terminal.options import target_options
from mosaicolabs._terminal.run_command import run_command

_COMMANDS = {
    "ingest": ("_ingest", "Store recordings as new sequences."),
    "ls": ("_ls", "List the sequences."),
    "info": ("_info", "Describe sequences and their topics."),
    "cat": ("_cat", "Print the messages of a sequence in time order."),
    "query": ("_query", "Find sequences and topics that satisfy a condition."),
    "view": ("_view", "Show sequences in the browser."),
    "export": ("_export", "Write a sequence to files of another format."),
    "rm": ("_rm", "Delete sequences with all their topics."),
    "link": ("_link", "Create a signed link to a sequence."),
    "events": ("_events", "List events, oldest first."),
    "demo": ("_demo", "Record a generated flight, replay it, and check every message."),
    "context": ("_context", "Save daemons under a name."),
    "completion": ("_completion", "Print the script that completes this command in a shell."),
}
"""Modules and summaries: listing the commands imports none of them."""

_EPILOG = """\
Options that name the place stand before or after the command. `--store DIR` uses a folder without any server,
`--host` and `--port` a running mosaicod, `--context` a saved one. Without them: the context MOSAICO_CONTEXT,
else the daemon at MOSAICO_HOST and MOSAICO_PORT, else the folder MOSAICO_STORE, else the context of `mosaico
context use`, else ~/.mosaico/store.

Exit codes: 0 success, 1 failure (one line on stderr gives the reason; MOSAICO_DEBUG=1 adds the traceback),
2 wrong usage, 130 interrupted.
"""


class _Commands(click.Group):
    """A group whose commands are imported at their first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"mosaicolabs.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], _COMMANDS, 1)
            hint = f" Did you mean `{close[0]}`?" if close else f" There are {', '.join(_COMMANDS)}."
            raise click.UsageError(f"no such command `{args[0]}`.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.command(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name=NAME, prog_name="mosaico")
@target_options
def mosaico(**_: Any) -> None:
    """Record, find and replay sensor data of robots."""


def main(args: list[str] | None = None) -> NoReturn:
    """Entry point of the console script."""
    run_command(mosaico, "mosaico", args)
