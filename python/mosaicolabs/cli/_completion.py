"""`mosaico completion`."""

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from mosaicolabs._terminal.run_command import complete_variable

_SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
_EPILOG = """\
\b
Add the line of your shell to its start file; it completes commands, options, names of sequences and topics:
  ~/.bashrc                    eval "$(mosaico completion bash)"
  ~/.zshrc                     eval "$(mosaico completion zsh)"
  ~/.config/fish/config.fish   mosaico completion fish | source
"""


@click.command(epilog=_EPILOG)
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes this command in SHELL."""
    name = "mosaico"
    click.echo(_SHELLS[shell](ctx.find_root().command, {}, name, complete_variable(name)).source())
