"""`mosaico context`: saved daemons."""

import click

from mosaicolabs._protocol.addresses import addresses_of
from mosaicolabs._terminal.options import Add
from mosaicolabs._terminal.output import counted, echo, print_json
from mosaicolabs._terminal.security_options import security_options, with_security
from mosaicolabs._terminal.tables import Table, print_table
from mosaicolabs.comm.contexts import Context, Contexts, contexts_file
from mosaicolabs.comm.security import Security
from mosaicolabs.comm.target import DEFAULT_PORT


@click.group()
def context() -> None:
    """Save daemons under a name, with their TLS files and API keys.

    They are in ~/.config/mosaico/contexts.json (XDG_CONFIG_HOME), which only its owner can read.
    """


@context.command()
@click.argument("name")
@click.option("--host", required=True, help="Its host, or several separated by commas; grpcs:// for TLS.")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True)
@security_options
@with_security
def add(name: str, host: str, port: int, security: Add | None) -> None:
    """Save a daemon as NAME; replaces the context of that name."""
    addresses_of(host, port)
    settings = Security() if security is None else security(Security())
    settings.arguments(host)
    contexts = Contexts()
    contexts.all[name] = Context(host, port, settings)
    contexts.save()


@context.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")
def list_contexts(as_json: bool) -> None:
    """List the contexts; API keys are not shown."""
    contexts = Contexts()
    rows = [
        {
            "name": name,
            "current": name == contexts.current,
            "host": saved.host,
            "port": saved.port,
            "tls": bool(saved.security.arguments(saved.host)["tls"]),
            "client_certificate": saved.security.client_cert_path is not None,
            "api_key": bool(saved.security.api_key),
        }
        for name, saved in sorted(contexts.all.items())
    ]
    if as_json:
        print_json({"contexts": rows})
        return
    shown = Table("", "context", "host", "port", "TLS", "certificate", "API key", numbers=("port",))
    for row in rows:
        marks = ["yes" if row[key] else "no" for key in ("tls", "client_certificate", "api_key")]
        shown.add_row(
            "*" if row["current"] else "", str(row["name"]), str(row["host"]), str(row["port"]), *marks
        )
    if rows:
        print_table(shown)
    echo(f"{counted(len(rows), 'context')} in {contexts_file()}; `mosaico context add` saves one")


@context.command()
@click.argument("name", required=False)
@click.option("--none", "reset", is_flag=True, help="Use the default store again.")
def use(name: str | None, reset: bool) -> None:
    """Use the context NAME where no other daemon or store is given."""
    if (name is None) != reset:
        raise click.UsageError("give either the name of a context, or --none")
    contexts = Contexts()
    if name is not None:
        contexts.get(name)
    contexts.current = name
    contexts.save()


@context.command("rm")
@click.argument("name")
def remove(name: str) -> None:
    """Remove the context NAME."""
    contexts = Contexts()
    contexts.get(name)
    del contexts.all[name]
    if contexts.current == name:
        contexts.current = None
    contexts.save()
