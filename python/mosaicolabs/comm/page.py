"""The page of a daemon: sequences in the browser."""

import html
import socket
import webbrowser
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlsplit

from mosaicolabs.exceptions import ConnectionFailedError, InvalidInputError

__all__ = ["PageView"]

_ANSWER_S = 5.0


@dataclass(frozen=True)
class PageView:
    """The page of a daemon, or its view of one sequence. In a notebook, it is shown as a frame.

    Attributes:
        url: The address for a browser.
    """

    url: str

    def open(self) -> bool:
        """Opens the page in the browser; False: there is none."""
        return webbrowser.open(self.url)

    def __str__(self) -> str:
        return self.url

    def _repr_html_(self) -> str:
        return f'<iframe src="{html.escape(self.url)}" width="100%" height="640" style="border:0"></iframe>'


def page_view(base: str, sequence_name: str | None) -> PageView:
    """The page at an HTTP port.

    Args:
        base: The URL of the port.
        sequence_name: The sequence to show; None: the list.

    Example:
        >>> print(page_view("http://localhost:6727/", "run-1"))
        http://localhost:6727/#/s/run-1
        >>> print(page_view("http://localhost:6727", None))
        http://localhost:6727/
    """
    fragment = "" if sequence_name is None else f"#/s/{quote(sequence_name, safe='')}"
    return PageView(f"{base.rstrip('/')}/{fragment}")


def http_base(host: str, port: int, *, tls: bool) -> str:
    """Where a daemon at this address has its HTTP port by default.

    Example:
        >>> http_base("robot", 6726, tls=False), http_base("::1", 7000, tls=True)
        ('http://robot:6727', 'https://[::1]:7001')
    """
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port + 1}"


def check_answers(base: str) -> None:
    """Asks an HTTP port whether it is one.

    Raises:
        InvalidInputError: It is no URL of an HTTP port.
        ConnectionFailedError: Nothing answers there.
    """
    try:
        parts = urlsplit(base)
        port = parts.port
    except ValueError as error:
        raise InvalidInputError(f"`{base}` is no URL: {error}; write it as http://HOST:PORT") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInputError(f"`{base}` is no URL of an HTTP port; write it as http://HOST:PORT")
    try:
        if parts.scheme == "https":
            # The browser decides about the certificate.
            socket.create_connection((parts.hostname, port or 443), _ANSWER_S).close()
            return
        connection = HTTPConnection(parts.hostname, port or 80, timeout=_ANSWER_S)
        with closing(connection):
            connection.request("GET", f"{parts.path.rstrip('/')}/healthz")
            connection.getresponse()
    except (OSError, HTTPException) as error:
        raise ConnectionFailedError(
            f"no HTTP port of the daemon answers at {base} ({error}); start the daemon with --http-port, and "
            "with --http-host if it is on another machine, or give the address of the port"
        ) from error
