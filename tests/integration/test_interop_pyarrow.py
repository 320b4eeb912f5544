"""The wire protocol of Mosaico 0.2 as used by any Arrow Flight client."""

import json
import re
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from harness.daemon import Daemon
from harness.record import number, record_numbers, replay, sequence_of, topic_of

from mosaicolabs import IMU, Image, ImageFormat, Integer64, MosaicoClient, Vector3d

SCHEMA = pa.schema([pa.field("timestamp_ns", pa.int64(), nullable=False), pa.field("value", pa.float64())])
REFUSED = (pa.ArrowException, flight.FlightError, KeyError, OSError)


@pytest.fixture
def wire(standing_daemon: Daemon) -> Iterator[flight.FlightClient]:
    with flight.connect(f"grpc://{standing_daemon.host}:{standing_daemon.port}") as wire:
        yield wire
    assert standing_daemon.process.poll() is None, "the daemon ended instead of refusing"


@pytest.fixture
def ours(standing_daemon: Daemon) -> Iterator[MosaicoClient]:
    with standing_daemon.connect() as client:
        yield client


def answer(wire: flight.FlightClient, action: str, **body: Any) -> dict[str, Any]:
    """The whole JSON of the one result."""
    results = list(wire.do_action(flight.Action(action, json.dumps(body).encode())))
    assert len(results) == 1
    parsed: dict[str, Any] = json.loads(results[0].body.to_pybytes())
    return parsed


def response(wire: flight.FlightClient, action: str, **body: Any) -> dict[str, Any]:
    envelope = answer(wire, action, **body)
    assert set(envelope) == {"action", "response"}
    assert envelope["action"] == action
    content: dict[str, Any] = envelope["response"]
    return content


def done(wire: flight.FlightClient, action: str, **body: Any) -> bool:
    return answer(wire, action, **body) == {"action": "empty"}


def info(wire: flight.FlightClient, locator: str, **window: int | None) -> flight.FlightInfo:
    command = json.dumps({"resource_locator": locator, **window}).encode()
    return wire.get_flight_info(flight.FlightDescriptor.for_command(command))


def create(wire: flight.FlightClient, sequence: str, *topics: str) -> list[str]:
    """Keys of a new sequence and of its topics."""
    key = response(wire, "sequence_create", name=sequence, user_metadata={})["key"]
    return [key, *(create_topic(wire, f"{sequence}/{topic}", key) for topic in topics)]


def create_topic(wire: flight.FlightClient, locator: str, sequence_key: str) -> str:
    made = response(
        wire,
        "topic_create",
        name=locator,
        sequence_key=sequence_key,
        serialization_format="default",
        ontology_tag="made_up",
        user_metadata={},
    )
    assert set(made) == {"key"}
    key: str = made["key"]
    return key


def batch(*times: int, schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    return pa.record_batch([list(times), [float(time) for time in times]], schema=schema)


def put(
    wire: flight.FlightClient, locator: str, key: str, *batches: pa.RecordBatch, schema: pa.Schema = SCHEMA
) -> flight.FlightMetadataReader:
    """A whole upload that does not look at the acknowledgements, as Mosaico's clients do."""
    command = json.dumps({"resource_locator": locator, "key": key}).encode()
    writer, acknowledgements = wire.do_put(flight.FlightDescriptor.for_command(command), schema)
    with writer:
        for rows in batches:
            writer.write_batch(rows)
    return acknowledgements


def read(wire: flight.FlightClient, locator: str, **window: int | None) -> pa.Table:
    return wire.do_get(info(wire, locator, **window).endpoints[0].ticket).read_all()


# -- catalog -------------------------------------------------------------------------------------


def test_list_flights(wire: flight.FlightClient, ours: MosaicoClient, name: str) -> None:
    record_numbers(ours, name, {"t": [(1, 1)]})
    for criteria in (b"", b"/"):
        listed = {entry.descriptor.path[0]: entry for entry in wire.list_flights(criteria)}
        entry = listed[name.encode()]
        assert entry.descriptor.descriptor_type == flight.DescriptorType.PATH
        assert len(entry.descriptor.path) == 1
        assert (entry.total_records, entry.total_bytes) == (-1, -1)
    with pytest.raises(REFUSED):
        list(wire.list_flights(b"no such criteria"))


def test_flight_info_of_a_sequence(wire: flight.FlightClient, ours: MosaicoClient, name: str) -> None:
    metadata = {"z": 1, "a": {"nested": [True, None]}}
    with ours.sequence_create(name, metadata) as sequence:
        for topic in ("sensors/imu", "gps"):
            sequence.topic_create(topic, {"t": topic}, IMU)
        sequence.get_topic("gps").push(
            ontology_obj=IMU(acceleration=Vector3d(x=1, y=2, z=3)), message_timestamp_ns=-5
        )
    found = info(wire, name)
    assert len(found.schema) == 0
    assert found.schema.metadata[b"mosaico:context"] == b"sequence"
    assert json.loads(found.schema.metadata[b"mosaico:user_metadata"]) == metadata
    locations = [endpoint.locations for endpoint in found.endpoints]
    assert [[location.uri for location in each] for each in locations] == [
        [f"mosaico:/{name}/sensors/imu".encode()],
        [f"mosaico:/{name}/gps".encode()],
    ]
    empty, filled = (json.loads(endpoint.app_metadata) for endpoint in found.endpoints)
    assert empty["timestamp"] is None
    assert filled["timestamp"] == {"min": -5, "max": -5}
    assert (found.total_records, found.total_bytes) == (-1, -1)


def test_flight_info_of_a_topic(wire: flight.FlightClient, ours: MosaicoClient, name: str) -> None:
    with ours.sequence_create(name) as sequence:
        topic = sequence.topic_create("cam", {"lens": "wide"}, Image)
        topic.push(
            ontology_obj=Image.from_linear_pixels(b"\x01" * 4, 2, 2, 2, "mono8", format=ImageFormat.RAW),
            message_timestamp_ns=7,
        )
    found = info(wire, f"{name}/cam", timestamp_ns_start=None, timestamp_ns_end=100, unknown=1)
    metadata = found.schema.metadata
    assert metadata[b"mosaico:context"] == b"topic"
    assert json.loads(metadata[b"mosaico:user_metadata"]) == {"lens": "wide"}
    assert json.loads(metadata[b"mosaico:properties"]) == {
        "ontology_tag": "image",
        "serialization_format": "image",
    }
    assert found.schema.names[:3] == ["timestamp_ns", "recording_timestamp_ns", "data"]
    assert found.schema.field("timestamp_ns").type == pa.int64()
    (endpoint,) = found.endpoints
    assert [location.uri for location in endpoint.locations] == [f"mosaico:/{name}/cam".encode()]
    assert json.loads(endpoint.app_metadata)["timestamp"] == {"min": 7, "max": 7}


# -- do_get --------------------------------------------------------------------------------------


def test_do_get(wire: flight.FlightClient, ours: MosaicoClient, name: str) -> None:
    record_numbers(ours, name, {"t": [(i, -i) for i in reversed(range(30_000))]})
    reader = wire.do_get(info(wire, f"{name}/t").endpoints[0].ticket)
    assert json.loads(reader.schema.metadata[b"mosaico:properties"])["ontology_tag"] == "integer64"
    assert json.loads(reader.schema.metadata[b"mosaico:user_metadata"]) == {}
    batches = [chunk.data for chunk in reader]
    assert all(rows.num_rows for rows in batches), "a 0.2 client takes a batch without rows for the end"
    table = pa.Table.from_batches(batches)
    assert table["timestamp_ns"].to_pylist() == list(range(30_000))
    assert table["data"].to_pylist() == [-i for i in range(30_000)]


@pytest.mark.parametrize(("start", "end"), [(10, 20), (None, 20), (10, None), (10, 10), (20, 10), (99, None)])
def test_windows_travel_in_tickets(
    wire: flight.FlightClient, ours: MosaicoClient, name: str, start: int | None, end: int | None
) -> None:
    record_numbers(ours, name, {"t": [(i, i) for i in range(50)]})
    table = read(wire, f"{name}/t", timestamp_ns_start=start, timestamp_ns_end=end)
    low, high = 0 if start is None else start, 50 if end is None else end
    assert table["timestamp_ns"].to_pylist() == list(range(low, min(high, 50)))
    bounds = info(wire, f"{name}/t", timestamp_ns_start=start, timestamp_ns_end=end).endpoints[0].app_metadata
    assert json.loads(bounds)["timestamp"] == {"min": 0, "max": 49}


def varint(value: int) -> bytes:
    if value < 251:
        return bytes([value])
    if value < 1 << 16:
        return b"\xfb" + struct.pack("<H", value)
    return b"\xfd" + struct.pack("<Q", value)


def ticket(locator: str, start: int | None = None, end: int | None = None) -> bytes:
    def option(bound: int | None) -> bytes:
        return b"\x00" if bound is None else b"\x01" + varint((bound << 1) ^ (bound >> 63))

    return varint(len(locator)) + locator.encode() + option(start) + option(end)


def test_tickets_have_the_layout_of_the_contract(
    wire: flight.FlightClient, ours: MosaicoClient, name: str
) -> None:
    record_numbers(ours, name, {"t": [(i, i) for i in range(-500, 500)]})
    locator = f"{name}/t"
    assert info(wire, locator).endpoints[0].ticket.ticket == ticket(locator)
    made = {(None, None): 1000, (-3, 4): 7, (300, 400): 100, (-(2**63), 2**63 - 1): 1000}
    for (start, end), rows in made.items():
        assert wire.do_get(flight.Ticket(ticket(locator, start, end))).read_all().num_rows == rows


@pytest.mark.parametrize(
    "bad",
    [b"", b"\x05ab", b"\xff" * 9, b"\x02\xff\xfe\x00\x00", ticket("no-such/topic"), b"{}"],
    ids=repr,
)
def test_bad_tickets_are_refused(wire: flight.FlightClient, bad: bytes) -> None:
    with pytest.raises(REFUSED):
        wire.do_get(flight.Ticket(bad)).read_all()


def test_a_topic_without_data(wire: flight.FlightClient, ours: MosaicoClient, name: str) -> None:
    record_numbers(ours, name, {"t": []})
    assert read(wire, f"{name}/t").num_rows == 0


# -- do_put --------------------------------------------------------------------------------------


def test_an_upload_that_reads_acknowledgements(wire: flight.FlightClient, name: str) -> None:
    sequence_key, key = create(wire, name, "t")
    command = json.dumps({"resource_locator": f"{name}/t", "key": key}).encode()
    writer, acknowledgements = wire.do_put(flight.FlightDescriptor.for_command(command), SCHEMA)
    durable = 0
    for count in range(1, 4):
        writer.write_batch(batch(*range(10 * count - 10, 10 * count)))
        while durable < 10 * count:
            durable = json.loads(acknowledgements.read().to_pybytes())["durable_rows"]
        assert durable == 10 * count
        assert read(wire, f"{name}/t").num_rows == durable
    writer.close()
    assert response(wire, "topic_system_info", name=f"{name}/t")["is_locked"]
    assert done(wire, "sequence_finalize", name=name, key=sequence_key)
    assert read(wire, f"{name}/t")["value"].to_pylist() == [float(i) for i in range(30)]


def test_an_upload_that_ignores_them(wire: flight.FlightClient, ours: MosaicoClient, name: str) -> None:
    sequence_key, key = create(wire, name, "t")
    rows = [batch(*range(i * 100, i * 100 + 100)) for i in range(500)]
    put(wire, f"{name}/t", key, *rows)
    assert done(wire, "sequence_finalize", name=name, key=sequence_key)
    assert read(wire, f"{name}/t").num_rows == 50_000
    handler = topic_of(ours, name, "t")
    assert (handler.ontology_tag, handler.is_locked, handler.timestamp_ns_max) == ("made_up", True, 49_999)


def test_an_upload_of_a_schema_alone_keeps_the_schema(wire: flight.FlightClient, name: str) -> None:
    sequence_key, key = create(wire, name, "t")
    put(wire, f"{name}/t", key)
    assert done(wire, "sequence_finalize", name=name, key=sequence_key)
    assert info(wire, f"{name}/t").schema.names == SCHEMA.names
    assert read(wire, f"{name}/t").num_rows == 0


def test_field_metadata_survives(wire: flight.FlightClient, name: str) -> None:
    described = pa.schema([SCHEMA.field(0), SCHEMA.field(1).with_metadata({"unit": "m/s"})])
    _, key = create(wire, name, "t")
    put(wire, f"{name}/t", key, batch(1, schema=described), schema=described)
    assert info(wire, f"{name}/t").schema.field("value").metadata == {b"unit": b"m/s"}


BAD_SCHEMAS = {
    "no time": pa.schema([pa.field("value", pa.float64())]),
    "time of another type": pa.schema([pa.field("timestamp_ns", pa.timestamp("ns"))]),
    "narrow time": pa.schema([pa.field("timestamp_ns", pa.int32())]),
}


@pytest.mark.parametrize("case", BAD_SCHEMAS)
def test_schemas_without_the_index_column_are_refused(
    wire: flight.FlightClient, name: str, case: str
) -> None:
    _, key = create(wire, name, "t")
    with pytest.raises(REFUSED, match="timestamp_ns"):
        put(wire, f"{name}/t", key, schema=BAD_SCHEMAS[case])
    put(wire, f"{name}/t", key, batch(1))
    assert read(wire, f"{name}/t").num_rows == 1, "the refused upload changed nothing"


@pytest.mark.parametrize(
    "command",
    [b"", b"not json", b"[]", b"{}", b'{"resource_locator": "x/y"}', b'{"resource_locator": 5, "key": "k"}'],
)
def test_bad_descriptors_are_refused(wire: flight.FlightClient, command: bytes) -> None:
    with pytest.raises(REFUSED):
        upload_and_wait(wire, flight.FlightDescriptor.for_command(command))


def test_a_path_descriptor_is_refused(wire: flight.FlightClient) -> None:
    with pytest.raises(REFUSED):
        upload_and_wait(wire, flight.FlightDescriptor.for_path("x", "y"))


def upload_and_wait(wire: flight.FlightClient, descriptor: flight.FlightDescriptor) -> None:
    writer, acknowledgements = wire.do_put(descriptor, SCHEMA)
    with writer:
        writer.write_batch(batch(1))
        writer.done_writing()
        while acknowledgements.read() is not None:
            pass


def test_keys_open_only_their_own_topic(wire: flight.FlightClient, name: str) -> None:
    sequence_key, first, second = create(wire, name, "a", "b")
    for wrong in (second, sequence_key, str(uuid.uuid4()), "no uuid", ""):
        with pytest.raises(REFUSED):
            put(wire, f"{name}/a", wrong, batch(1))
    put(wire, f"{name}/a", first, batch(2))
    assert read(wire, f"{name}/a")["timestamp_ns"].to_pylist() == [2]


def test_locked_topic_refuses_rows(wire: flight.FlightClient, name: str) -> None:
    sequence_key, key = create(wire, name, "t")
    put(wire, f"{name}/t", key, batch(1, 2))
    for finalize_first in (False, True):
        if finalize_first:
            assert done(wire, "sequence_finalize", name=name, key=sequence_key)
        with pytest.raises(REFUSED):
            put(wire, f"{name}/t", key, batch(8, 9))
        assert read(wire, f"{name}/t")["timestamp_ns"].to_pylist() == [1, 2]


def test_two_uploads_to_one_topic(wire: flight.FlightClient, name: str) -> None:
    _, key = create(wire, name, "t")
    command = json.dumps({"resource_locator": f"{name}/t", "key": key}).encode()
    writer, acknowledgements = wire.do_put(flight.FlightDescriptor.for_command(command), SCHEMA)
    with writer:
        writer.write_batch(batch(1))
        assert acknowledgements.read() is not None
        with pytest.raises(REFUSED):
            put(wire, f"{name}/t", key, batch(2))
        writer.write_batch(batch(3))
    assert read(wire, f"{name}/t")["timestamp_ns"].to_pylist() == [1, 3]


def test_null_times_are_refused(wire: flight.FlightClient, name: str) -> None:
    nullable = pa.schema([pa.field("timestamp_ns", pa.int64()), SCHEMA.field(1)])
    _, key = create(wire, name, "t")
    with pytest.raises(REFUSED, match="timestamp_ns"):
        put(
            wire, f"{name}/t", key, pa.record_batch([[1, None], [1.0, 2.0]], schema=nullable), schema=nullable
        )


# -- do_action -----------------------------------------------------------------------------------

DATETIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{3}|\.\d{6}|\.\d{9})? UTC"


def test_shapes_of_answers(wire: flight.FlightClient, name: str) -> None:
    made = response(wire, "sequence_create", name=name, user_metadata=None)
    assert set(made) == {"key"}
    assert str(uuid.UUID(made["key"])) == made["key"]
    topic_key = create_topic(wire, f"{name}/t", made["key"])
    assert str(uuid.UUID(topic_key)) == topic_key

    facts = response(wire, "topic_system_info", name=f"{name}/t")
    assert set(facts) == {"chunks_number", "total_size_bytes", "is_locked", "created_datetime"}
    assert (facts["chunks_number"], facts["is_locked"]) == (0, False)
    put(wire, f"{name}/t", topic_key, batch(1))
    facts = response(wire, "topic_system_info", name=f"{name}/t")
    assert (facts["chunks_number"], facts["is_locked"]) == (1, True)
    assert facts["total_size_bytes"] > 0
    assert re.fullmatch(DATETIME, facts["created_datetime"])

    facts = response(wire, "sequence_system_info", name=name)
    assert set(facts) == {"total_size_bytes", "is_locked", "created_datetime"}
    assert facts["is_locked"] is False
    assert done(wire, "sequence_finalize", name=name, key=made["key"])
    assert response(wire, "sequence_system_info", name=name)["is_locked"] is True


@pytest.mark.parametrize("level", ["sequence", "topic"])
def test_notifications(wire: flight.FlightClient, ours: MosaicoClient, name: str, level: str) -> None:
    create(wire, name, "t")
    target, unknown = (name, f"{name}0") if level == "sequence" else (f"{name}/t", f"{name}/u")
    assert response(wire, f"{level}_notify_list", name=target) == {"notifies": []}
    for text in ("first", "größe"):
        assert done(wire, f"{level}_notify_create", name=target, notify_type="error", msg=text)
    notes = response(wire, f"{level}_notify_list", name=target)["notifies"]
    assert [set(note) for note in notes] == [{"name", "notify_type", "msg", "created_datetime"}] * 2
    assert [note["msg"] for note in notes] == ["first", "größe"]
    assert {(note["name"], note["notify_type"]) for note in notes} == {(target, "error")}
    assert all(re.fullmatch(DATETIME, note["created_datetime"]) for note in notes)
    with pytest.raises(REFUSED):
        answer(wire, f"{level}_notify_create", name=target, notify_type="rumour", msg="x")
    listed = ours.list_sequence_notify(name) if level == "sequence" else ours.list_topic_notify(name, "t")
    assert [note.message for note in listed] == ["first", "größe"]
    assert done(wire, f"{level}_notify_purge", name=target)
    assert response(wire, f"{level}_notify_list", name=target) == {"notifies": []}
    assert response(wire, f"{level}_notify_list", name=unknown) == {"notifies": []}
    assert done(wire, f"{level}_notify_purge", name=unknown)


def test_abort_and_delete(wire: flight.FlightClient, name: str) -> None:
    key, topic_key = create(wire, name, "t")
    put(wire, f"{name}/t", topic_key, batch(1))
    with pytest.raises(REFUSED):
        answer(wire, "sequence_abort", name=name, key=str(uuid.uuid4()))
    assert done(wire, "sequence_abort", name=name, key=key)
    for locator in (name, f"{name}/t"):
        with pytest.raises(REFUSED):
            info(wire, locator)
    create(wire, name, "t")
    assert done(wire, "topic_delete", name=f"{name}/t")
    assert info(wire, name).endpoints == []
    assert done(wire, "sequence_delete", name=name)
    with pytest.raises(REFUSED):
        answer(wire, "sequence_delete", name=name)


def test_finalize_needs_the_key_and_locked_topics(wire: flight.FlightClient, name: str) -> None:
    key, topic_key = create(wire, name, "t")
    with pytest.raises(REFUSED):
        answer(wire, "sequence_finalize", name=name, key=key)
    put(wire, f"{name}/t", topic_key, batch(1))
    for wrong in (topic_key, str(uuid.uuid4()), "no uuid"):
        with pytest.raises(REFUSED):
            answer(wire, "sequence_finalize", name=name, key=wrong)
    assert done(wire, "sequence_finalize", name=name, key=key)
    for action in ("sequence_finalize", "sequence_abort"):
        with pytest.raises(REFUSED, match=r"locked|finalized"):
            answer(wire, action, name=name, key=key)
    with pytest.raises(REFUSED, match=r"locked|finalized"):
        answer(wire, "sequence_delete", name=name)
    with pytest.raises(REFUSED, match=r"locked|finalized"):
        answer(wire, "topic_delete", name=f"{name}/t")
    with pytest.raises(REFUSED):
        create_topic(wire, f"{name}/late", key)
    assert read(wire, f"{name}/t").num_rows == 1


def test_an_empty_sequence_may_be_finalized(wire: flight.FlightClient, name: str) -> None:
    (key,) = create(wire, name)
    assert done(wire, "sequence_finalize", name=name, key=key)


@pytest.mark.parametrize(
    "bad", ["", "/", "!!", "a b", "größe", "../up", "a/b", "a\\b", "a#b", ".", "_x", "a\n", "x" * 5000]
)
def test_bad_sequence_names_are_refused(wire: flight.FlightClient, bad: str) -> None:
    before = [entry.descriptor.path for entry in wire.list_flights()]
    with pytest.raises(REFUSED):
        answer(wire, "sequence_create", name=bad, user_metadata={})
    assert [entry.descriptor.path for entry in wire.list_flights()] == before


def test_topics_belong_to_the_sequence_of_the_key(wire: flight.FlightClient, name: str) -> None:
    key, *_ = create(wire, name)
    create(wire, f"{name}0")
    for foreign in (f"{name}0/x", f"other/{name}", name, f"{name}/", f"{name}/a b", f"{name}/../x"):
        with pytest.raises(REFUSED):
            create_topic(wire, foreign, key)
    create_topic(wire, f"{name}/{name}", key)
    with pytest.raises(REFUSED):
        create_topic(wire, f"{name}/{name}", key)
    assert len(info(wire, name).endpoints) == 1


def test_deleting_a_topic_spares_those_below_it(wire: flight.FlightClient, name: str) -> None:
    key, _, below = create(wire, name, "a", "a/b")
    put(wire, f"{name}/a/b", below, batch(1, 2))
    assert done(wire, "topic_delete", name=f"{name}/a")
    assert read(wire, f"{name}/a/b").num_rows == 2
    assert done(wire, "sequence_finalize", name=name, key=key)


def test_unknown_things_are_refused(wire: flight.FlightClient, name: str) -> None:
    for action, body in {
        "no_such_action": b"{}",
        "sequence_create": b"not json",
        "topic_create": b"{}",
        "sequence_finalize": b"[]",
        "sequence_system_info": b'{"name": 5}',
    }.items():
        with pytest.raises(REFUSED) as raised:
            list(wire.do_action(flight.Action(action, body)))
        assert "panick" not in str(raised.value)
    for locator in (name, f"{name}/t", "", "//"):
        with pytest.raises(REFUSED):
            info(wire, locator)
    with pytest.raises(REFUSED):
        wire.get_flight_info(flight.FlightDescriptor.for_command(b"not json"))
    with pytest.raises(REFUSED):
        wire.get_flight_info(flight.FlightDescriptor.for_path("x"))


def test_errors_do_not_reveal_the_path_of_the_store(
    wire: flight.FlightClient, standing_daemon: Daemon, name: str
) -> None:
    for locator in (name, f"{name}/t"):
        with pytest.raises(REFUSED) as raised:
            info(wire, locator)
        assert str(standing_daemon.folder) not in str(raised.value)
        assert name in str(raised.value)


def test_client_reads_rows_of_pyarrow(wire: flight.FlightClient, ours: MosaicoClient, name: str) -> None:
    """A foreign client uploads what our classes describe,"""
    key = response(wire, "sequence_create", name=name, user_metadata={"by": "pyarrow"})["key"]
    topic_key = response(
        wire,
        "topic_create",
        name=f"{name}/t",
        sequence_key=key,
        serialization_format="default",
        ontology_tag="integer64",
        user_metadata={},
    )["key"]
    schema = pa.schema([SCHEMA.field(0), pa.field("data", pa.int64())])
    put(wire, f"{name}/t", topic_key, pa.record_batch([[2, 1], [20, 10]], schema=schema), schema=schema)
    assert done(wire, "sequence_finalize", name=name, key=key)
    assert replay(ours, name) == [("/t", 1, 10), ("/t", 2, 20)]
    assert sequence_of(ours, name).user_metadata == {"by": "pyarrow"}


def test_pyarrow_reads_rows_of_the_client(wire: flight.FlightClient, ours: MosaicoClient, name: str) -> None:
    with ours.sequence_create(name) as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        topic.push(number(3, 30))
    (row,) = read(wire, f"{name}/t").to_pylist()
    assert (row["timestamp_ns"], row["recording_timestamp_ns"], row["data"]) == (3, None, 30)
    assert row["header"]["stamp"] == {"sec": 0, "nanosec": 3}
