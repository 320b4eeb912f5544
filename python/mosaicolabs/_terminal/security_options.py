"""Options for TLS and API keys."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mosaicolabs.comm.security import API_KEY_ENV, CA_ENV, CLIENT_CERT_ENV, CLIENT_KEY_ENV, TLS_ENV, Security

_FILE = click.Path(path_type=Path, dir_okay=False)


def with_security(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--tls`, `--tls-ca`, `--client-cert`, `--client-key`, `--api-key` and `--api-key-file`.

    The command receives `security`, a function that adds the options to other settings; None: none is given.
    """

    @click.option("--tls", is_flag=True, help=f"Use TLS, with the CAs of the system.  [env {TLS_ENV}]")
    @click.option(
        "--tls-ca",
        "--tls-cert",
        type=_FILE,
        help=f"CA certificates to trust, PEM; implies TLS.  [env {CA_ENV}]",
    )
    @click.option(
        "--client-cert", type=_FILE, help=f"Certificate for a daemon that needs one.  [env {CLIENT_CERT_ENV}]"
    )
    @click.option("--client-key", type=_FILE, help=f"Its private key.  [env {CLIENT_KEY_ENV}]")
    @click.option(
        "--api-key",
        metavar="KEY",
        help=f"API key. Arguments are visible to everyone: prefer the file, or {API_KEY_ENV}.",
    )
    @click.option("--api-key-file", type=_FILE, help="File that holds the API key.")
    @functools.wraps(command)
    def wrapped(
        *,
        tls: bool,
        tls_ca: Path | None,
        client_cert: Path | None,
        client_key: Path | None,
        api_key: str | None,
        api_key_file: Path | None,
        **options: Any,
    ) -> Any:
        given: dict[str, Any] = {
            "enable_tls": tls or None,
            "tls_cert_path": None if tls_ca is None else str(tls_ca.absolute()),
            "client_cert_path": None if client_cert is None else str(client_cert.absolute()),
            "client_key_path": None if client_key is None else str(client_key.absolute()),
            "api_key": _key(api_key, api_key_file),
        }
        given = {name: value for name, value in given.items() if value is not None}
        add = functools.partial(_replaced, given) if given else None
        return command(security=add, **options)

    return wrapped


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
