"""A Mosaico 0.2.4 server as recorded, for clients that must work without extensions."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight

from mosaicolabs import GPS
from mosaicolabs.models._schema import message_schema

from .mosaico02_catalog import Catalog, RefusedError, Topic, check_key
from .tickets import TruncatedError, decode_ticket, encode_ticket
from .vectors import created, recorded_rows, stored_form

STANDARD_HEADERS = {"content-type", "te", "user-agent", "accept-encoding"}
SCHEMAS_ONLY = "facade error :: missing data :: unable to compute optimal batch size"


class _Headers(flight.ServerMiddlewareFactory):
    """Notes headers that no 0.2 client sends."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        self._catalog = catalog

    def start_call(self, info: flight.CallInfo, headers: dict[str, Any]) -> None:
        for name in headers:
            if not name.startswith((":", "grpc-")) and name not in STANDARD_HEADERS:
                self._catalog.note(f"header `{name}` with {info.method.name}")


class Mosaico02(flight.FlightServerBase):
    """The server; `strict` for our client, not strict to replay what other clients sent."""

    def __init__(self, *, strict: bool = True) -> None:
        self.catalog = Catalog(strict=strict)
        self.greetings = 0
        super().__init__("grpc://127.0.0.1:0", middleware={"headers": _Headers(self.catalog)})

    @property
    def extras(self) -> list[str]:
        """What was sent that no 0.2 client sends."""
        return self.catalog.extras

    # -- Flight ----------------------------------------------------------------------------------

    def list_flights(self, context: Any, criteria: bytes) -> Iterator[flight.FlightInfo]:
        self.greetings += 1
        if criteria not in (b"", b"/"):
            raise flight.FlightInternalError("unsupported descriptor type")
        for name in list(self.catalog.sequences):
            endpoint = flight.FlightEndpoint(name.encode(), [])
            yield flight.FlightInfo(None, flight.FlightDescriptor.for_path(name), [endpoint])

    def get_flight_info(self, context: Any, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        with answering():
            known = {"resource_locator", "timestamp_ns_start", "timestamp_ns_end"}
            command = self._command(descriptor, known)
            window = (command.get("timestamp_ns_start"), command.get("timestamp_ns_end"))
            for bound in window:
                if isinstance(bound, float):
                    column = len(descriptor.command) - 1
                    raise RefusedError(
                        "marshal error :: deserialization error :: invalid type: floating point "
                        f"`{bound}`, expected i64 at line 1 column {column}"
                    )
            return self._info(command["resource_locator"].strip("/"), window, descriptor)

    def _info(
        self, locator: str, window: tuple[int | None, int | None], descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        sequence = self.catalog.sequences.get(locator)
        if sequence is not None:
            topics, schema, context = list(sequence.topics.values()), pa.schema([]), sequence.context
        else:
            try:
                topic = self.catalog.find_topic(locator)
            except RefusedError:
                raise RefusedError("repository error :: not found") from None
            filled = topic.rows is not None and topic.times is not None
            topics, context = [topic], topic.context
            schema = topic.rows.schema if filled and topic.rows is not None else pa.schema([])
        endpoints = [_endpoint(topic, window) for topic in topics]
        return flight.FlightInfo(schema.with_metadata(context), descriptor, endpoints)

    def do_get(self, context: Any, ticket: flight.Ticket) -> flight.FlightDataStream:
        with answering():
            locator, (start, end) = self._ticket(ticket.ticket)
            topic = self._stored(locator)
            if topic.rows is None or topic.times is None:
                raise RefusedError(SCHEMAS_ONLY)
            rows = topic.rows.sort_by("timestamp_ns")
            times = rows["timestamp_ns"]
            inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
            return self.stream(_sent_form(rows.filter(inside), topic.context))

    def stream(self, rows: pa.Table) -> flight.FlightDataStream:
        return flight.RecordBatchStream(rows)

    def _ticket(self, ticket: bytes) -> tuple[str, tuple[int, int]]:
        try:
            return decode_ticket(ticket)
        except TruncatedError as end:
            text = f"UnexpectedEnd {{ additional: {end.additional} }}"
            raise RefusedError(f"marshal error :: deserialization error :: {text}") from end

    def _stored(self, locator: str) -> Topic:
        if locator in self.catalog.sequences:
            text = "missing field `properties` at line 1 column 49"
            raise RefusedError(f"facade error :: metadata error :: deserialization error :: {text}")
        try:
            return self.catalog.find_topic(locator)
        except RefusedError:
            raise RefusedError(
                "facade error :: store error :: storage backend error: Object at location "
                f"<STORE_ROOT>/{locator}/metadata.json not found: No such file or directory (os error 2)"
            ) from None

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        with answering():
            command = self._command(descriptor, {"resource_locator", "key"})
            if "key" not in command:
                column = len(descriptor.command)
                text = f"missing field `key` at line 1 column {column}"
                raise RefusedError(f"marshal error :: deserialization error :: {text}")
            _check_times(reader.schema)
            topic = self.catalog.find_topic(command["resource_locator"])
            check_key(command["key"], topic.key)
            batches = []
            for chunk in reader:
                if chunk.app_metadata is not None:
                    self.catalog.note("metadata of a batch")
                batches.append(chunk.data)
            topic.rows = pa.Table.from_batches(batches, reader.schema)
            topic.locked = True

    def do_action(self, context: Any, action: flight.Action) -> Iterator[bytes]:
        with answering():
            response = self.catalog.act(action.type, action.body.to_pybytes())
        answer = {"action": "empty"} if response is None else {"action": action.type, "response": response}
        yield json.dumps(answer).encode()

    def _command(self, descriptor: flight.FlightDescriptor, known: set[str]) -> dict[str, Any]:
        if descriptor.descriptor_type != flight.DescriptorType.CMD:
            raise RefusedError("unsupported descriptor type")
        try:
            command: dict[str, Any] = json.loads(descriptor.command)
        except ValueError as error:
            text = "expected value at line 1 column 1"
            raise RefusedError(f"marshal error :: deserialization error :: {text}") from error
        for name in command.keys() - known:
            self.catalog.note(f"field `{name}` of a command")
        return command

    # -- recorded content ------------------------------------------------------------------------

    def load_recorded(self) -> None:
        """The sequences that Mosaico's own client and a raw one had written when they were recorded."""
        rows = {name: stored_form(recorded_rows(name)) for name in ("imu", "image", "ragged", "mock")}
        tables = {
            "wire-demo/sensors/imu": rows["imu"],
            "wire-demo/gps": _fixes(),
            "wire-demo/cam/front": rows["image"],
            "wire-demo/lidar": rows["ragged"],
            "raw-seq/t/one": rows["mock"],
        }
        for name in ("wire-demo", "raw-seq"):
            sequence, *topics = created(name)
            key = self._created("sequence_create", sequence)
            for body in topics:
                self._created("topic_create", {**body, "sequence_key": key})
                topic = self.catalog.find_topic(body["name"])
                topic.rows, topic.locked = tables.get(topic.locator), True
            self.catalog.act("sequence_finalize", json.dumps({"name": name, "key": key}).encode())

    def _created(self, action: str, body: dict[str, Any]) -> str:
        answer = self.catalog.act(action, json.dumps(body).encode())
        assert answer is not None
        key: str = answer["key"]
        return key


def _fixes() -> pa.Table:
    """Of these rows only the times were recorded."""
    times = range(1_700_000_000_000_000_000, 1_700_000_000_500_000_000, 50_000_000)
    position = {"x": 45.0, "y": 9.0, "z": 120.0}
    rows = [{"timestamp_ns": time, "position": position} for time in times]
    return pa.Table.from_pylist(rows, message_schema(GPS))


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Turns a refusal into the status that is sent."""
    try:
        yield
    except RefusedError as refused:
        raise flight.FlightInternalError(str(refused)) from refused


def _endpoint(topic: Topic, window: tuple[int | None, int | None]) -> flight.FlightEndpoint:
    metadata = json.dumps({"timestamp": topic.times}, separators=(",", ":"))
    ticket = encode_ticket(topic.locator, window)
    return flight.FlightEndpoint(ticket, [f"mosaico:/{topic.locator}"], None, metadata)


def _sent_form(rows: pa.Table, context: dict[str, str]) -> pa.Table:
    """Text and bytes at the top level become views, metadata of fields is lost."""
    views = {pa.string(): pa.string_view(), pa.binary(): pa.binary_view()}
    fields = [pa.field(f.name, views.get(f.type, f.type), f.nullable) for f in rows.schema]
    return rows.cast(pa.schema(fields)).replace_schema_metadata(context)


def _check_times(schema: pa.Schema) -> None:
    if "timestamp_ns" not in schema.names:
        raise RefusedError("sanitization error :: missing timestamp field in schema")
    if schema.field("timestamp_ns").type != pa.int64():
        raise RefusedError("sanitization error :: wrong timestamp field type, expected int64")
