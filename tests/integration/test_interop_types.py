"""Columns of every type between pyarrow and the daemon, and error codes in client exceptions."""

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from harness.daemon import Daemon
from harness.record import record_numbers

from mosaicolabs import Message, MosaicoClient, Serializable
from mosaicolabs.exceptions import AlreadyExistsError, FailedPreconditionError

PAIR = pa.struct([pa.field("x", pa.float64()), pa.field("Y.z", pa.string())])
COLUMNS: dict[str, tuple[pa.DataType, list[object]]] = {
    "list": (pa.list_(pa.float32()), [[1.5, None], None, []]),
    "large_list": (pa.large_list(pa.int16()), [[1, 2, 3], None, []]),
    "fixed_list": (pa.list_(pa.int8(), 2), [[1, 2], [3, None], [5, 6]]),
    "list_of_structs": (pa.list_(PAIR), [[{"x": 1.0, "Y.z": "a"}], None, []]),
    "nested": (pa.struct([pa.field("deep", PAIR)]), [{"deep": {"x": None, "Y.z": "größe"}}, None, None]),
    "map": (pa.map_(pa.string(), pa.int32()), [[("a", 1), ("b", None)], None, []]),
    "large_string": (pa.large_string(), ["", None, "x" * 100]),
    "string_view": (pa.string_view(), ["", None, "longer than twelve bytes"]),
    "binary_view": (pa.binary_view(), [b"", None, b"longer than twelve bytes"]),
    "decimal": (pa.decimal128(20, 3), [Decimal("-12.345"), None, Decimal(0)]),
    "unsigned": (pa.uint64(), [2**64 - 1, None, 0]),
    "date": (pa.date32(), [date(1969, 12, 31), None, date(2026, 1, 1)]),
    "flag": (pa.bool_(), [True, None, False]),
}


class InteropLists(Serializable):
    """Lists of every kind, alone and below each other."""

    __msco_pyarrow_struct__ = pa.struct(
        [
            pa.field("large", pa.large_list(pa.float64()), nullable=False),
            pa.field("small", pa.list_(pa.float64()), nullable=False),
            pa.field("deep", pa.list_(pa.large_list(pa.struct([pa.field("x", pa.large_list(pa.int8()))])))),
        ]
    )

    large: list[float]
    small: list[float]
    deep: list[list[dict[str, list[int] | None]]] | None = None


@pytest.fixture
def wire(standing_daemon: Daemon) -> Iterator[flight.FlightClient]:
    with flight.connect(f"grpc://{standing_daemon.host}:{standing_daemon.port}") as wire:
        yield wire


@pytest.fixture
def ours(standing_daemon: Daemon) -> Iterator[MosaicoClient]:
    with standing_daemon.connect() as client:
        yield client


def act(wire: flight.FlightClient, action: str, **body: object) -> dict[str, str]:
    (result,) = wire.do_action(flight.Action(action, json.dumps(body).encode()))
    response: dict[str, str] = json.loads(result.body.to_pybytes())["response"]
    return response


def upload(wire: flight.FlightClient, sequence: str, rows: pa.RecordBatch) -> str:
    """Uploads to a topic of its own and returns the locator."""
    key = act(wire, "sequence_create", name=sequence, user_metadata={})["key"]
    locator = f"{sequence}/t"
    topic_key = act(
        wire,
        "topic_create",
        name=locator,
        sequence_key=key,
        serialization_format="ragged",
        ontology_tag="made.up",
        user_metadata={},
    )["key"]
    command = json.dumps({"resource_locator": locator, "key": topic_key}).encode()
    writer, _ = wire.do_put(flight.FlightDescriptor.for_command(command), rows.schema)
    with writer:
        writer.write_batch(rows)
    return locator


def download(wire: flight.FlightClient, locator: str) -> pa.Table:
    command = json.dumps({"resource_locator": locator}).encode()
    (endpoint,) = wire.get_flight_info(flight.FlightDescriptor.for_command(command)).endpoints
    return wire.do_get(endpoint.ticket).read_all()


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_comes_back_as_it_was(wire: flight.FlightClient, name: str, kind: str) -> None:
    data_type, values = COLUMNS[kind]
    schema = pa.schema([pa.field("timestamp_ns", pa.int64(), nullable=False), pa.field(kind, data_type)])
    rows = pa.record_batch([pa.array([1, 2, 3]), pa.array(values, data_type)], schema=schema)
    found = download(wire, upload(wire, name, rows))
    assert found.schema.field(kind).type == data_type
    assert found[kind].to_pylist() == rows[kind].to_pylist()
    found.validate(full=True)


def test_dictionaries_come_back_decoded(wire: flight.FlightClient, name: str) -> None:
    words = pa.array(["on", None, "off", "on"]).dictionary_encode()
    rows = pa.record_batch({"timestamp_ns": [1, 2, 3, 4], "word": words})
    found = download(wire, upload(wire, name, rows))
    assert found["word"].to_pylist() == ["on", None, "off", "on"]
    assert found.schema.field("word").type == pa.string()


def test_codes_of_errors_reach_the_exceptions(ours: MosaicoClient, name: str) -> None:
    record_numbers(ours, name, {"t": [(1, 1)]})

    with pytest.raises(FailedPreconditionError) as locked:
        ours.sequence_delete(name)
    assert locked.value.code == "sequence_locked"
    with pytest.raises(AlreadyExistsError) as taken:
        record_numbers(ours, name, {})
    assert taken.value.code == "sequence_exists"


def test_columns_of_the_client_keep_their_types(
    ours: MosaicoClient, wire: flight.FlightClient, name: str
) -> None:
    sent = InteropLists(large=[0.5, 1.5], small=[2.5], deep=[[{"x": [1, 2]}, {"x": None}], []])
    with ours.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, InteropLists)
        for time_ns in range(3):
            topic.push(Message(timestamp_ns=time_ns, data=sent))
    command = json.dumps({"resource_locator": f"{name}/t"}).encode()
    info = wire.get_flight_info(flight.FlightDescriptor.for_command(command))
    read = wire.do_get(info.endpoints[0].ticket).read_all()
    for field in InteropLists.__msco_pyarrow_struct__:
        assert info.schema.field(field.name).type == field.type
        assert read.schema.field(field.name).type == field.type
        assert read[field.name].to_pylist() == [getattr(sent, field.name)] * 3
