"""Addresses of daemons as users write them."""

import pytest

from mosaicolabs._protocol.addresses import addresses_of, place_of
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
    ],
)
def test_hosts_with_and_without_ports(host: str | list[str], found: list[tuple[str, int]]) -> None:
    assert addresses_of(host, 6726) == found


def test_addresses_keep_their_order() -> None:
    assert place_of([("one", 1), ("two", 2)]) == "one:1,two:2"


@pytest.mark.parametrize("host", ["", " , ", [], "one:", "one:0", "one:65536", "one:x", "one:²"])
def test_invalid_addresses_are_refused(host: str | list[str]) -> None:
    with pytest.raises(InvalidInputError):
        addresses_of(host, 6726)
