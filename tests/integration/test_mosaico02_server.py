"""The Mosaico 0.2 server of these tests answers like the recorded one."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from harness.mosaico02 import Mosaico02
from harness.tickets import decode_ticket, encode_ticket
from harness.vectors import recorded, recorded_rows, stored_form

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LAYERS = "layer_"


@pytest.fixture
def server() -> Iterator[Mosaico02]:
    with Mosaico02(strict=False) as server:
        yield server


@pytest.fixture
def wire(server: Mosaico02) -> Iterator[flight.FlightClient]:
    with flight.connect(f"grpc://127.0.0.1:{server.port}") as wire:
        yield wire


class Replay:
    """Sends recorded requests; recorded keys are replaced by those of this run."""

    def __init__(self, wire: flight.FlightClient) -> None:
        self.wire = wire
        self.keys: dict[str, str] = {}

    def act(self, case: dict[str, Any]) -> None:
        request = case["request"]
        body = request["body"].get("text", "")
        if "json" in request["body"]:
            body = json.dumps(request["body"]["json"])
        body = UUID.sub(lambda key: self.keys.get(key[0], key[0]), body)
        action = flight.Action(request["type"], body.encode())
        if case["grpc_code"] != "OK":
            with pytest.raises(flight.FlightInternalError) as refused:
                list(self.wire.do_action(action))
            assert case["grpc_message"] in str(refused.value)
            return
        results = list(self.wire.do_action(action))
        (answer,) = [json.loads(result.body.to_pybytes()) for result in results]
        (expected,) = [part["json"] for part in case["response"]]
        assert shape(answer) == shape(expected)
        if "key" in expected.get("response", {}):
            self.keys[expected["response"]["key"]] = answer["response"]["key"]


def shape(answer: Any) -> Any:
    """What is the same in every run: not keys, times and sizes."""
    if isinstance(answer, dict):
        return {key: shape(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return [shape(value) for value in answer]
    if isinstance(answer, str):
        return UUID.sub("<key>", re.sub(r"^\d{4}-\d\d-\d\d [\d:.]+ UTC$", "<time>", answer))
    return "<size>" if isinstance(answer, int) and not isinstance(answer, bool) and answer > 100 else answer


def put(wire: flight.FlightClient, locator: str, key: str, rows: pa.Table) -> None:
    command = json.dumps({"resource_locator": locator, "key": key}).encode()
    writer, _ = wire.do_put(flight.FlightDescriptor.for_command(command), rows.schema)
    with writer:
        writer.write_table(rows)


def test_actions(wire: flight.FlightClient) -> None:
    replay = Replay(wire)
    for case in recorded("actions"):
        if case["request"]["type"].startswith(LAYERS):
            continue
        if case["case"] == "topic sysinfo locked":  # they were put between these two calls
            rows = stored_form(recorded_rows("mock"))
            _, key, key_of_empty, *_ = replay.keys.values()
            put(wire, "raw-seq/t/one", key, rows)
            put(wire, "raw-seq/empty", key_of_empty, rows.slice(0, 0))
        replay.act(case)


def test_flight_infos(server: Mosaico02, wire: flight.FlightClient) -> None:
    server.load_recorded()
    cases = [case for case in recorded("flight_info") if "wire-demo-report" not in json.dumps(case)]
    for case in cases:
        if case["rpc"] == "GetFlightInfo":
            check_info(wire, case)


def check_info(wire: flight.FlightClient, case: dict[str, Any]) -> None:
    request = case["request"]
    descriptor = (
        flight.FlightDescriptor.for_path(*request["path"])
        if request["type"] == "PATH"
        else flight.FlightDescriptor.for_command(request["cmd"]["text"])
    )
    if case["grpc_code"] != "OK":
        with pytest.raises(flight.FlightInternalError) as refused:
            wire.get_flight_info(descriptor)
        assert case["grpc_message"] in str(refused.value)
        return
    found = wire.get_flight_info(descriptor)
    (expected,) = case["responses"]
    endpoints = [
        (e.ticket.ticket.hex(), [location.uri.decode() for location in e.locations], e.app_metadata.decode())
        for e in found.endpoints
    ]
    assert endpoints == [
        (e["ticket"]["hex"], e["locations"], e["app_metadata"]["text"]) for e in expected["endpoints"]
    ]
    assert (found.total_records, found.total_bytes) == (-1, -1)
    metadata = {key.decode(): value.decode() for key, value in (found.schema.metadata or {}).items()}
    assert metadata == expected["schema"]["metadata"]
    assert found.schema.names == [field["name"] for field in expected["schema"]["fields"]]


def test_list_of_sequences(server: Mosaico02, wire: flight.FlightClient) -> None:
    assert list(wire.list_flights()) == []
    server.load_recorded()
    for criteria in (b"", b"/"):
        listed = {entry.descriptor.path[0] for entry in wire.list_flights(criteria)}
        assert listed == {b"wire-demo", b"raw-seq"}
    with pytest.raises(flight.FlightInternalError, match="unsupported descriptor type"):
        list(wire.list_flights(b"raw-seq"))


def test_rows(server: Mosaico02, wire: flight.FlightClient) -> None:
    server.load_recorded()
    stored = {"imu": "wire-demo/sensors/imu", "image": "wire-demo/cam/front", "ragged": "wire-demo/lidar"}
    for name, locator in {**stored, "mock": "raw-seq/t/one"}.items():
        rows, expected = read(wire, encode_ticket(locator, (None, None))), recorded_rows(name)
        assert rows.schema.equals(expected.schema)
        assert rows.schema.metadata == expected.schema.metadata
        assert rows.equals(expected)


def test_recorded_tickets(server: Mosaico02, wire: flight.FlightClient) -> None:
    server.load_recorded()
    for case in recorded("do_get"):
        ticket = bytes.fromhex(case["ticket"]["hex"])
        if case["grpc_code"] != "OK":
            with pytest.raises(flight.FlightInternalError) as refused:
                read(wire, ticket)
            assert case["grpc_message"] in str(refused.value)
            continue
        schema, *batches = case["response_messages"]
        rows = read(wire, ticket)
        assert rows.schema.names == [field["name"] for field in schema["schema"]["fields"]]
        assert bool(rows.num_rows) == bool(batches), case["case"]


def read(wire: flight.FlightClient, ticket: bytes) -> pa.Table:
    return wire.do_get(flight.Ticket(ticket)).read_all()


def test_tickets() -> None:
    cases = recorded("tickets")
    for case in cases["issued_by_server"]:
        command = case["cmd"]
        window = (command.get("timestamp_ns_start"), command.get("timestamp_ns_end"))
        assert encode_ticket(command["resource_locator"], window).hex() == case["server_ticket_hex"]
    for case in cases["encoder_cases_not_from_server"]:
        locator, (start, end) = decode_ticket(bytes.fromhex(case["hex"]))
        assert locator == case["locator"]
        assert case["start_ns"] in (None, start)
        assert case["end_ns"] in (None, end)


def test_the_strict_server_refuses_what_no_0_2_client_sends() -> None:
    with Mosaico02() as server, flight.connect(f"grpc://127.0.0.1:{server.port}") as wire:
        body = {"name": "s", "user_metadata": {}, "on_error": "delete"}
        with pytest.raises(flight.FlightError, match="on_error"):
            list(wire.do_action(flight.Action("sequence_create", json.dumps(body).encode())))
        options = flight.FlightCallOptions(headers=[(b"mosaico-follow", b"1")])
        with pytest.raises(flight.FlightError, match="mosaico-follow"):
            list(wire.list_flights(options=options))
        assert server.extras == [
            "field `on_error` of sequence_create",
            "header `mosaico-follow` with LIST_FLIGHTS",
        ]
