"""Messages that cannot be read now are named before anything is read."""

import logging
from typing import Any, cast

import pytest

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.actions import Facts
from mosaicolabs._protocol.manifests import Endpoint
from mosaicolabs.enum import FlightAction

FACTS: Facts = (1, "2026-01-01 00:00:00 UTC", False, None)


class Answers:
    """A native client of a daemon with two topics."""

    def __init__(self, *remote: list[tuple[str, int | None, bool]]) -> None:
        self.endpoints: list[Endpoint] = [
            (f"run/t{number}", b"", None, 0, None, rows) for number, rows in enumerate(remote)
        ]

    def info(self, *_: Any) -> tuple[dict[str, str], list[Endpoint], Facts]:
        return {"mosaico:context": "sequence"}, self.endpoints, FACTS


def describe(client: Answers) -> None:
    actions.describe(cast("_native.Client", client), FlightAction.SEQUENCE_SYSTEM_INFO, "run")


def test_the_log_names_messages_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mosaicolabs"):
        describe(Answers([("one:6726", 10, True)], [("one:6726", 5, True), ("two:6726", None, False)]))
    assert [record.getMessage() for record in caplog.records] == [
        "'run': reads lack 15 messages on one:6726, which is storing them",
        "'run': reads lack an unknown number of messages on two:6726, which is not running",
    ]


def test_nothing_is_said_where_nothing_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "mosaicolabs"):
        describe(Answers([], []))
    assert not caplog.records
