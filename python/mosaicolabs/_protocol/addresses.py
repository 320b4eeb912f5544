"""Addresses of daemons as users write them."""

from collections.abc import Sequence

from mosaicolabs.exceptions import InvalidInputError


def addresses_of(host: str | Sequence[str], port: int) -> list[tuple[str, int]]:
    """The address of each host.

    Args:
        host: Names or addresses, as a list or separated by commas, each optionally with `:port`.
        port: Port of hosts without one.

    Raises:
        InvalidInputError: There is no host, or a port is not between 1 and 65535.

    Example:
        >>> addresses_of("one, two:7000", 6726)
        [('one', 6726), ('two', 7000)]
        >>> addresses_of(["::1", "[fe80::2]:7000"], 6726)
        [('::1', 6726), ('fe80::2', 7000)]
    """
    names = host.split(",") if isinstance(host, str) else host
    found = [_address(name.strip(), port) for name in names if name.strip()]
    if not found:
        raise InvalidInputError(
            f"{host!r} contains no host; give `host`, `host:port`, or several separated by commas"
        )
    return found


def place_of(addresses: Sequence[tuple[str, int]]) -> str:
    """Addresses for messages: `host:port,host:port`."""
    return ",".join(f"{host}:{port}" for host, port in addresses)


def _address(name: str, port: int) -> tuple[str, int]:
    # More than one colon outside of brackets: an IPv6 address without a port.
    host, colon, digits = name.rpartition(":")
    if not colon or name.endswith("]") or (":" in host and not host.endswith("]")):
        return name.strip("[]"), port
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65536):
        raise InvalidInputError(f"`{name}` has no port between 1 and 65535 after its colon")
    return host.strip("[]"), int(digits)
