"""Where the data of a topic is, as the catalog answers it."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from mosaicolabs._protocol.system_info import RemoteRows, sum_by_daemon
from mosaicolabs.helpers import unpack_topic_full_path

if TYPE_CHECKING:
    import pyarrow.flight as flight

__all__ = ["Endpoint", "TopicParsingError", "TopicResourceManifest", "bounds"]

Endpoint: TypeAlias = tuple[
    str, bytes, tuple[int, int] | None, int | None, int | None, list[tuple[str, int | None, bool]]
]
"""Locator, ticket, time bounds, rows, number of resumes, rows that only other daemons have."""


class TopicParsingError(Exception):
    """An endpoint does not name a topic."""


@dataclass(frozen=True)
class TopicResourceManifest:
    """One topic of a flight info.

    Attributes:
        topic_name: The topic with a leading slash.
        sequence_name: Its sequence.
        timestamp_ns_min: Lowest time, ns; None without data.
        timestamp_ns_max: Highest time, ns; None without data.
        rows_number: Stored messages; None on a Mosaico 0.2 server, which does not report it.
        resumed: How often the recording was resumed after its connection broke.
        remote_rows: Acknowledged messages that only other daemons have.
        ticket: Opens its stream.
    """

    topic_name: str
    sequence_name: str
    timestamp_ns_min: int | None
    timestamp_ns_max: int | None
    rows_number: int | None = None
    resumed: int = 0
    remote_rows: tuple[RemoteRows, ...] = ()
    ticket: bytes = b""

    @property
    def locator(self) -> str:
        """`sequence/topic`."""
        return f"{self.sequence_name}{self.topic_name}"

    @classmethod
    def from_endpoint(cls, endpoint: Endpoint) -> "TopicResourceManifest":
        """Reads an endpoint as the native client gives it.

        Raises:
            TopicParsingError: Its locator has no topic.
        """
        locator, ticket, bounds, rows, resumed, remote = endpoint
        parts = unpack_topic_full_path(locator)
        if parts is None:
            raise TopicParsingError(f"endpoint {locator!r} does not name a topic; expected sequence/topic")
        low, high = bounds if bounds is not None else (None, None)
        return cls(
            sequence_name=parts[0],
            topic_name=parts[1],
            timestamp_ns_min=low,
            timestamp_ns_max=high,
            rows_number=rows,
            resumed=resumed or 0,
            remote_rows=tuple(sum_by_daemon(RemoteRows(*some) for some in remote)),
            ticket=ticket,
        )

    @classmethod
    def from_flight_endpoint(cls, endpoint: "flight.FlightEndpoint") -> "TopicResourceManifest":
        """Reads an endpoint of a flight info requested with pyarrow.

        Raises:
            TopicParsingError: It has not exactly one location, or its locator has no topic, or one time
                bound without the other.
        """
        if len(endpoint.locations) != 1:
            raise TopicParsingError(f"the endpoint has {len(endpoint.locations)} locations; expected one")
        locator = endpoint.locations[0].uri.decode().removeprefix("mosaico:")
        times = json.loads(endpoint.app_metadata or b"{}").get("timestamp")
        if times is not None and None in (times.get("min"), times.get("max")):
            raise TopicParsingError(f"endpoint {locator!r} has half of its time bounds: {times}")
        bounds = None if times is None else (times["min"], times["max"])
        return cls.from_endpoint((locator, endpoint.ticket.ticket, bounds, None, None, []))


def bounds(manifests: list[TopicResourceManifest], *, follow: bool = False) -> tuple[int | None, int | None]:
    """First and last time of these topics; without a last one if they are followed."""
    lows = [m.timestamp_ns_min for m in manifests if m.timestamp_ns_min is not None]
    highs = [m.timestamp_ns_max for m in manifests if m.timestamp_ns_max is not None]
    return min(lows, default=None), None if follow else max(highs, default=None)
