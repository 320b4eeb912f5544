"""How a connection is secured: TLS, and the API key that its calls carry."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mosaicolabs._protocol.addresses import tls_of
from mosaicolabs.exceptions import InvalidInputError

__all__ = ["Security", "is_switched_on"]

TLS_ENV = "MOSAICO_TLS"
CA_ENV = "MOSAICO_TLS_CERT_FILE"
CLIENT_CERT_ENV = "MOSAICO_TLS_CLIENT_CERT_FILE"
CLIENT_KEY_ENV = "MOSAICO_TLS_CLIENT_KEY_FILE"
API_KEY_ENV = "MOSAICO_API_KEY"
PLAIN_TEXT_KEY_ENV = "MOSAICO_ALLOW_PLAIN_TEXT_KEY"


@dataclass(frozen=True)
class Security:
    """TLS and API key of a connection.

    Attributes:
        enable_tls: Use TLS; any of the files below and addresses with `grpcs://` switch it on too.
        tls_cert_path: CA certificates to trust, PEM. None: those of the system.
        client_cert_path: The client's own certificate, PEM, for daemons that require one.
        client_key_path: Its private key.
        api_key: The API key that each call carries; not shown.
    """

    enable_tls: bool = False
    tls_cert_path: str | os.PathLike[str] | None = None
    client_cert_path: str | os.PathLike[str] | None = None
    client_key_path: str | os.PathLike[str] | None = None
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Security":
        """The settings in the environment; an empty variable counts as not set."""
        values = os.environ if environ is None else environ
        return cls(
            enable_tls=is_switched_on(values, TLS_ENV),
            tls_cert_path=values.get(CA_ENV) or None,
            client_cert_path=values.get(CLIENT_CERT_ENV) or None,
            client_key_path=values.get(CLIENT_KEY_ENV) or None,
            api_key=values.get(API_KEY_ENV) or None,
        )

    def arguments(self, host: str | Sequence[str]) -> dict[str, Any]:
        """Arguments of the native connection to `host`.

        Raises:
            FileNotFoundError: A file does not exist.
            InvalidInputError: Settings contradict each other.
        """
        ca = _file("tls_cert_path", self.tls_cert_path)
        certificate = _file("client_cert_path", self.client_cert_path)
        key = _file("client_key_path", self.client_key_path)
        if (certificate is None) != (key is None):
            raise InvalidInputError("client_cert_path and client_key_path belong together; give both or none")
        wanted = self.enable_tls or ca is not None or certificate is not None
        scheme = tls_of(host)
        if wanted and scheme is False:
            raise InvalidInputError(
                f"{host!r} is an address without TLS, but TLS is switched on; write grpcs:// instead of grpc://"
            )
        return {
            "tls": wanted or scheme is True,
            "ca": ca,
            "identity": None if certificate is None else (certificate, key),
            "api_key": self.api_key or None,  # an empty key is none, as in Mosaico
            "allow_plain_text_key": is_switched_on(os.environ, PLAIN_TEXT_KEY_ENV),
        }


def is_switched_on(values: Mapping[str, str], name: str) -> bool:
    """Whether a variable is true.

    Raises:
        InvalidInputError: It is neither true nor false.
    """
    text = values.get(name, "").strip().lower()
    if text in ("", "0", "false", "no", "off"):
        return False
    if text in ("1", "true", "yes", "on"):
        return True
    raise InvalidInputError(f"{name} is `{values[name]}`; it is either true or false")


def _file(name: str, path: str | os.PathLike[str] | None) -> Path | None:
    if path is None:
        return None
    if not os.fspath(path):
        raise InvalidInputError(f"{name} is empty; give a file, or None")
    found = Path(path).expanduser()
    if not found.exists():
        raise FileNotFoundError(f"{name}: there is no file {found}")
    return found
