"""Servers that lie: each failure is a mosaicolabs exception, and their texts never command a terminal."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from mosaicolabs import MosaicoClient
from mosaicolabs.exceptions import MosaicoError, NotFoundError

ESCAPES = "\x1b[2J\x1b]0;title\x07\r\u202e"
PROPERTIES = {"serialization_format": "default", "ontology_tag": "integer64"}
TIMES = pa.field("timestamp_ns", pa.int64(), nullable=False)


class Liar(flight.FlightServerBase):
    """Answers with what a test puts into it."""

    def __init__(self) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self.user_metadata = "{}"
        self.properties = json.dumps(PROPERTIES)
        self.endpoint_metadata = b'{"timestamp": {"min": 1, "max": 2}}'
        self.location = "mosaico:/s/t"
        self.table = pa.table(
            {"timestamp_ns": [1, 2], "data": [3, 4]}, pa.schema([TIMES, ("data", pa.int64())])
        )
        self.error: Exception | None = None

    def list_flights(self, context: Any, criteria: bytes) -> Iterator[flight.FlightInfo]:
        return iter(())

    def get_flight_info(self, context: Any, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        topic = json.loads(descriptor.command)["resource_locator"].count("/") > 0
        metadata = {
            "mosaico:context": "topic" if topic else "sequence",
            "mosaico:user_metadata": self.user_metadata,
        }
        if topic:
            metadata["mosaico:properties"] = self.properties
        schema = self.table.schema if topic else pa.schema([])
        endpoint = flight.FlightEndpoint(
            b"ticket", [flight.Location(self.location)], None, self.endpoint_metadata
        )
        return flight.FlightInfo(schema.with_metadata(metadata), descriptor, [endpoint])

    def do_get(self, context: Any, ticket: flight.Ticket) -> flight.RecordBatchStream:
        metadata = {"mosaico:properties": self.properties, "mosaico:user_metadata": self.user_metadata}
        return flight.RecordBatchStream(self.table.replace_schema_metadata(metadata))

    def do_action(self, context: Any, action: flight.Action) -> Iterator[bytes]:
        if self.error is not None:
            raise self.error
        facts: dict[str, Any] = {
            "total_size_bytes": 1,
            "created_datetime": "2026-01-01 00:00:00 UTC",
            "is_locked": True,
        }
        if action.type.startswith("topic"):
            facts["chunks_number"] = 1
        yield json.dumps({"action": action.type, "response": facts}).encode()


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as server:
        yield server


@pytest.fixture
def client(liar: Liar) -> Iterator[MosaicoClient]:
    with MosaicoClient.connect("127.0.0.1", liar.port, answer_timeout_s=5) as client:
        yield client


def values(client: MosaicoClient) -> list[int]:
    handler = client.topic_handler("s", "t")
    assert handler is not None
    return [message.data.data for message in handler.get_data_streamer()]


def test_an_honest_answer_is_read(client: MosaicoClient) -> None:
    assert values(client) == [3, 4]


def test_texts_of_errors_command_no_terminal(liar: Liar, client: MosaicoClient) -> None:
    liar.error = KeyError(f"gone{ESCAPES}")
    with pytest.raises(MosaicoError) as raised:
        client.list_sequence_notify("s")
    assert not set(ESCAPES) & set(str(raised.value)) - set("[2J]0;title")


@pytest.mark.parametrize(
    "lie",
    [
        {"user_metadata": "[" * 100_000},
        {"user_metadata": "{"},
        {"user_metadata": '"text"'},
        {"properties": "[]"},
        {"properties": json.dumps({**PROPERTIES, "ontology_tag": ESCAPES})},
        {"endpoint_metadata": b"\xff"},
        {"endpoint_metadata": b'{"timestamp": {"min": "x", "max": []}}'},
        {"location": "grpc://127.0.0.1:1/s/t"},
        {"table": pa.table({"data": [3, 4]})},
        {"table": pa.table({"timestamp_ns": ["a"], "data": [1]})},
        {"table": pa.table({"timestamp_ns": pa.array([1, None], pa.int64()), "data": [1, 2]})},
        {"table": pa.table({"timestamp_ns": [1]}, pa.schema([TIMES]))},
        {"table": pa.table({"timestamp_ns": [1], "data": ["x"]}, pa.schema([TIMES, ("data", pa.string())]))},
        {"table": pa.table({"timestamp_ns": [1], "data": [None]}, pa.schema([TIMES, ("data", pa.null())]))},
    ],
    ids=lambda lie: str(lie)[:60].replace("\n", " ").replace("\x1b", ""),
)
def test_a_lie_is_an_exception_or_no_data(liar: Liar, client: MosaicoClient, lie: dict[str, Any]) -> None:
    for name, value in lie.items():
        setattr(liar, name, value)
    found, raised = [], None
    try:
        found = values(client)
    except MosaicoError as error:
        raised = str(error)
    assert "\x1b" not in (raised or "")
    assert raised or len(found) in {1, 2}, "rows are missing, and nothing says so"


def test_metadata_of_many_keys(liar: Liar, client: MosaicoClient) -> None:
    liar.user_metadata = json.dumps({f"key-{number}": number for number in range(200_000)})
    handler = client.sequence_handler("s")
    assert handler is not None
    assert len(handler.user_metadata) == 200_000


def test_a_refusal_keeps_its_class(liar: Liar, client: MosaicoClient) -> None:
    liar.error = flight.FlightUnavailableError("nobody is there")
    with pytest.raises(MosaicoError) as raised:
        client.list_sequence_notify("s")
    assert not isinstance(raised.value, NotFoundError)
