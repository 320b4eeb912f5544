"""Addresses of daemons as users write them."""

import pytest

from mosaicolabs._protocol.addresses import addresses_of, place_of, tls_of
from mosaicolabs.exceptions import InvalidInputError


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("one", [("one", 6726)]),
        ("one:1", [("one", 1)]),
        ("one, two:65535 ,", [("one", 6726), ("two", 65535)]),
        (["one", "two:7"], [("one", 6726), ("two", 7)]),
        ("::1", [("::1", 6726)]),
        ("[::1]", [("::1", 6726)]),
        ("[::1]:7", [("::1", 7)]),
        ("grpcs://one:7", [("one", 7)]),
        ("GRPC+TLS://one/", [("one", 6726)]),
        ("grpc://[::1]:7,grpc+tcp://two", [("::1", 7), ("two", 6726)]),
    ],
)
def test_hosts_with_and_without_ports(host: str | list[str], found: list[tuple[str, int]]) -> None:
    assert addresses_of(host, 6726) == found


def test_addresses_keep_their_order() -> None:
    assert place_of([("one", 1), ("two", 2)]) == "one:1,two:2"


@pytest.mark.parametrize(
    "host", ["", " , ", [], "one:", "one:0", "one:65536", "one:x", "one:²", "http://one", "grpcs://"]
)
def test_invalid_addresses_are_refused(host: str | list[str]) -> None:
    with pytest.raises(InvalidInputError):
        addresses_of(host, 6726)


@pytest.mark.parametrize(
    ("host", "tls"),
    [
        ("one", None),
        ("grpc://one", False),
        ("grpcs://one, two", True),
        (["grpc+tls://one", "grpcs://two"], True),
    ],
)
def test_schemes_ask_for_tls(host: str | list[str], tls: bool | None) -> None:
    assert tls_of(host) is tls


def test_addresses_with_and_without_tls_do_not_mix() -> None:
    with pytest.raises(InvalidInputError, match="one kind"):
        tls_of("grpc://one,grpcs://two")
