"""Options for TLS and API keys."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mosaicolabs.comm.security import API_KEY_ENV, CA_ENV, CLIENT_CERT_ENV, CLIENT_KEY_ENV, TLS_ENV, Security

_FILE = click.Path(path_type=Path, dir_okay=False)


def security_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--tls`, `--tls-ca`, `--client-cert`, `--client-key`, `--api-key` and `--api-key-file`."""
    options: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.option("--tls", is_flag=True, help=f"Use TLS, with the CAs of the system.  [env {TLS_ENV}]"),
        click.option(
            "--tls-ca",
            "--tls-cert",
            type=_FILE,
            help=f"CA certificates to trust, PEM; implies TLS.  [env {CA_ENV}]",
        ),
        click.option(
            "--client-cert",
            type=_FILE,
            help=f"Certificate for a daemon that needs one.  [env {CLIENT_CERT_ENV}]",
        ),
        click.option("--client-key", type=_FILE, help=f"Its private key.  [env {CLIENT_KEY_ENV}]"),
        click.option(
            "--api-key",
            metavar="KEY",
            help=f"API key. Arguments are visible to everyone: prefer the file, or {API_KEY_ENV}.",
        ),
        click.option("--api-key-file", type=_FILE, help="File that holds the API key."),
    ]
    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), command)


def with_security(command: Callable[..., Any]) -> Callable[..., Any]:
    """Passes `security_options` to a command as `security`, see `split_security`."""

    @functools.wraps(command)
    def wrapped(**options: Any) -> Any:
        security, others = split_security(options)
        return command(security=security, **others)

    return wrapped


def split_security(
    options: Mapping[str, Any],
) -> tuple[Callable[[Security], Security] | None, dict[str, Any]]:
    """A function that adds the `security_options` to other settings, and the other options.

    The function is None if none of them is given.

    Raises:
        click.UsageError: Two options contradict each other.
        click.ClickException: A file cannot be read.
    """
    others = dict(options)
    given = {
        "enable_tls": others.pop("tls") or None,
        "tls_cert_path": _absolute(others.pop("tls_ca")),
        "client_cert_path": _absolute(others.pop("client_cert")),
        "client_key_path": _absolute(others.pop("client_key")),
        "api_key": _key(others.pop("api_key"), others.pop("api_key_file")),
    }
    given = {name: value for name, value in given.items() if value is not None}
    return functools.partial(_replaced, given) if given else None, others


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _replaced(given: dict[str, Any], settings: Security) -> Security:
    return replace(settings, **given)


def _key(text: str | None, file: Path | None) -> str | None:
    if file is None:
        return text
    if text is not None:
        raise click.UsageError("give either --api-key or --api-key-file")
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"cannot read --api-key-file {file}: {error}") from error
    if not key:
        raise click.ClickException(f"--api-key-file {file} is empty")
    return key
