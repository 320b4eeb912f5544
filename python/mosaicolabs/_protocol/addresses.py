"""Addresses of daemons as users write them."""

from collections.abc import Sequence

from mosaicolabs.exceptions import InvalidInputError

TLS_SCHEMES = ("grpcs://", "grpc+tls://")
PLAIN_SCHEMES = ("grpc://", "grpc+tcp://")


def addresses_of(host: str | Sequence[str], port: int) -> list[tuple[str, int]]:
    """The address of each host.

    Args:
        host: Names or addresses, as a list or separated by commas, each optionally with `:port` and a scheme.
        port: Port of hosts without one.

    Raises:
        InvalidInputError: There is no host, or a port is not between 1 and 65535.

    Example:
        >>> addresses_of("one, two:7000", 6726)
        [('one', 6726), ('two', 7000)]
        >>> addresses_of(["::1", "[fe80::2]:7000"], 6726)
        [('::1', 6726), ('fe80::2', 7000)]
        >>> addresses_of("grpcs://one:7000", 6726)
        [('one', 7000)]
    """
    found = [_address(_split(name)[1], port) for name in _names(host)]
    if not found:
        raise InvalidInputError(
            f"{host!r} contains no host; give `host`, `host:port`, or several separated by commas"
        )
    return found


def tls_of(host: str | Sequence[str]) -> bool | None:
    """Whether the schemes of the hosts ask for TLS; None: no host has a scheme.

    Raises:
        InvalidInputError: Some ask for TLS and others exclude it, or a scheme is unknown.

    Example:
        >>> tls_of("grpcs://one"), tls_of("grpc://one"), tls_of("one:7000")
        (True, False, None)
    """
    asked = {_split(name)[0] for name in _names(host)} - {None}
    if len(asked) > 1:
        raise InvalidInputError(f"{host!r} has addresses with TLS and without; use one kind")
    return asked.pop() if asked else None


def place_of(addresses: Sequence[tuple[str, int]]) -> str:
    """Addresses for messages: `host:port,host:port`."""
    return ",".join(f"{host}:{port}" for host, port in addresses)


def _names(host: str | Sequence[str]) -> list[str]:
    names = host.split(",") if isinstance(host, str) else host
    return [name.strip() for name in names if name.strip()]


def _split(name: str) -> tuple[bool | None, str]:
    """Whether a scheme asks for TLS, and the rest."""
    for schemes, tls in ((TLS_SCHEMES, True), (PLAIN_SCHEMES, False)):
        for scheme in schemes:
            if name.lower().startswith(scheme):
                return tls, name[len(scheme) :].rstrip("/")
    if "://" in name:
        known = ", ".join((*TLS_SCHEMES, *PLAIN_SCHEMES))
        raise InvalidInputError(f"`{name}` has an unknown scheme; the known ones are {known}")
    return None, name


def _address(name: str, port: int) -> tuple[str, int]:
    if not name:
        raise InvalidInputError("an address has a scheme, but no host")
    # More than one colon outside of brackets: an IPv6 address without a port.
    host, colon, digits = name.rpartition(":")
    if not colon or name.endswith("]") or (":" in host and not host.endswith("]")):
        return name.strip("[]"), port
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65536):
        raise InvalidInputError(f"`{name}` has no port between 1 and 65535 after its colon")
    return host.strip("[]"), int(digits)
