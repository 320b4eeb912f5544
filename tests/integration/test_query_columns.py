"""Queries on columns that other Flight clients write: dates, times, lists of structs."""

import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from harness.daemon import Daemon

from mosaicolabs import MosaicoClient, QueryOntologyCatalog, Serializable

pytestmark = pytest.mark.catalog


class Timetable(Serializable):
    """Columns that only other clients write."""

    __msco_pyarrow_struct__ = pa.struct(
        [
            pa.field("day", pa.date32()),
            pa.field("clock", pa.time64("ns")),
            pa.field("moment", pa.timestamp("us", "UTC")),
            pa.field(
                "legs", pa.list_(pa.struct([pa.field("km", pa.float64()), pa.field("to", pa.string())]))
            ),
        ]
    )

    day: date
    clock: time
    moment: datetime
    legs: list[Any]


MOMENT = datetime(2026, 1, 31, 12, 30, tzinfo=timezone.utc)
T = Timetable.Q


@pytest.fixture(scope="module")
def timetable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosaicoClient]:
    """One row, written by a Flight client that is not ours."""
    schema = pa.schema(
        [pa.field("timestamp_ns", pa.int64(), nullable=False), *Timetable.__msco_pyarrow_struct__]
    )
    row = {"day": MOMENT.date(), "clock": MOMENT.time(), "moment": MOMENT}
    legs = [{"km": 3.0, "to": "dock"}, {"km": 40.0, "to": "yard"}]
    with Daemon(tmp_path_factory.mktemp("timetable") / "store") as daemon:
        with flight.connect(f"grpc://{daemon.host}:{daemon.port}") as wire:

            def act(action: str, **body: Any) -> Any:
                (result,) = wire.do_action(flight.Action(action, json.dumps(body).encode()))
                return json.loads(result.body.to_pybytes()).get("response")

            key = act("sequence_create", name="run", user_metadata={})["key"]
            topic = {"name": "run/t", "sequence_key": key, "user_metadata": {}}
            topic_key = act(
                "topic_create", **topic, ontology_tag="timetable", serialization_format="default"
            )["key"]
            command = json.dumps({"resource_locator": "run/t", "key": topic_key}).encode()
            writer, _ = wire.do_put(flight.FlightDescriptor.for_command(command), schema)
            with writer:
                writer.write_batch(
                    pa.RecordBatch.from_pylist([{"timestamp_ns": 1, "legs": legs, **row}], schema)
                )
            act("sequence_finalize", name="run", key=key)
        with daemon.connect() as client:
            yield client


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        (T.day.eq(MOMENT.date()), True),
        (T.day.lt(MOMENT.date()), False),
        (T.day.in_(date(2025, 1, 1), date(2026, 1, 31)), True),
        (T.clock.between(time(12), time(13)), True),
        (T.clock.gt(time(12, 30)), False),
        (T.moment.eq(MOMENT), True),
        (T.moment.eq(MOMENT.astimezone(timezone(timedelta(hours=2)))), True),
        (T.moment.geq(int(MOMENT.timestamp()) * 1_000_000), True),
        (T.moment.gt(MOMENT), False),
        (T.legs.km.gt(39.0), True),
        (T.legs.to.eq("dock"), True),
        (T.legs.to.eq("home"), False),
    ],
    ids=repr,
)
def test_dates_and_lists_of_structs(timetable: MosaicoClient, condition: Any, matches: bool) -> None:
    response = timetable.query(QueryOntologyCatalog(condition))
    assert [item.sequence.name for item in response] == (["run"] if matches else [])
