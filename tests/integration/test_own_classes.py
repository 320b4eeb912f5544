"""Classes of users: columns from annotations, values that come back equal, classes that change."""

import itertools
import typing
from datetime import date, datetime, timedelta, timezone
from enum import Enum
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from harness.record import topic_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import Field, field_validator

from mosaicolabs import (
    BaseModel,
    HeaderMixin,
    Message,
    MosaicoClient,
    QueryOntologyCatalog,
    Serializable,
    Vector3d,
)
from mosaicolabs.models.serializable import _CLASS_BY_TAG

_numbers = itertools.count()


class Gear(Enum):
    REVERSE = -1
    FIRST = 1


class Mode(str, Enum):
    ROAD = "road"
    OFF = "off-road"


class Wheel(BaseModel):
    rpm: float
    seen: datetime | None = None
    samples: NDArray[np.float32]


class Vehicle(BaseModel):
    doors: int
    speed: float | None = Field(None, description="m/s")
    name: str = "unnamed"
    raw: bytes
    built: date
    started: datetime
    took: timedelta
    gear: Gear
    mode: Mode
    gears: list[Gear]
    limits: dict[str, float]
    wheels: dict[int, Wheel]
    spare: Wheel | None = None
    row: list[Wheel]
    counts: NDArray[np.int16]
    size: tuple[float, float, float]
    path: tuple[int, ...]
    kind: Literal["car", "truck"]
    at: Vector3d
    level: Annotated[int, pa.int8()]
    grid: list[list[int]]
    electric: bool
    times: list[datetime]


class OwnVehicle(Serializable, HeaderMixin, Vehicle):
    pass


class CheckedVehicle(Serializable, HeaderMixin, Vehicle):
    """The same with a validator, which is read in another way."""

    @field_validator("doors")
    @classmethod
    def _positive(cls, doors: int) -> int:
        assert doors >= 0
        return doors


FLOATS = st.floats(allow_nan=False)
INTS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.datetimes(
    timezones=st.just(timezone.utc), min_value=datetime(1700, 1, 1), max_value=datetime(2250, 1, 1)
)
WHEELS = st.builds(
    Wheel,
    rpm=FLOATS,
    seen=st.none() | TIMES,
    samples=st.lists(st.floats(width=32, allow_nan=False), max_size=3).map(lambda x: np.array(x, np.float32)),
)
VEHICLES = st.fixed_dictionaries(
    {
        "doors": st.integers(0, 5),
        "speed": st.none() | FLOATS,
        "raw": st.binary(max_size=5),
        "built": st.dates(),
        "started": TIMES,
        "took": st.timedeltas(timedelta(days=-9999), timedelta(days=9999)),
        "gear": st.sampled_from(Gear),
        "mode": st.sampled_from(Mode),
        "gears": st.lists(st.sampled_from(Gear), max_size=3),
        "limits": st.dictionaries(st.text(max_size=3), FLOATS, max_size=3),
        "wheels": st.dictionaries(INTS, WHEELS, max_size=2),
        "spare": st.none() | WHEELS,
        "row": st.lists(WHEELS, max_size=2),
        "counts": st.lists(st.integers(-(2**15), 2**15 - 1), max_size=3).map(lambda x: np.array(x, np.int16)),
        "size": st.tuples(FLOATS, FLOATS, FLOATS),
        "path": st.lists(INTS, max_size=3).map(tuple),
        "kind": st.sampled_from(["car", "truck"]),
        "at": st.builds(Vector3d, x=FLOATS, y=FLOATS, z=FLOATS),
        "level": st.integers(-128, 127),
        "grid": st.lists(st.lists(INTS, max_size=2), max_size=2),
        "electric": st.booleans(),
        "times": st.lists(TIMES, max_size=2),
    }
)


@pytest.mark.parametrize("cls", [OwnVehicle, CheckedVehicle])
def test_any_value_comes_back_equal(
    standing_store: MosaicoClient, cls: type[OwnVehicle | CheckedVehicle]
) -> None:
    @given(st.lists(VEHICLES, min_size=1, max_size=4))
    def survive(values: list[dict[str, Any]]) -> None:
        name = f"own-{next(_numbers)}"
        pushed = [cls(**some) for some in values]
        with standing_store.sequence_create(name) as sequence:
            topic = sequence.topic_create("t", {}, cls)
            for index, data in enumerate(pushed):
                topic.push(ontology_obj=data, message_timestamp_ns=index)
        read: list[Any] = [
            message.data for message in topic_of(standing_store, name, "t").get_data_streamer()
        ]
        assert read == pushed
        for before, after in zip(pushed, read, strict=True):
            assert type(after) is cls
            assert after.counts.dtype == np.int16
            assert [type(value) for value in after.__dict__.values()] == [
                type(value) for value in before.__dict__.values()
            ]

    survive()


def test_columns_follow_from_annotations() -> None:
    columns = {field.name: field for field in OwnVehicle.__msco_pyarrow_struct__}
    assert list(columns) == [*Vehicle.model_fields, "header"], "columns of mixins are the last"
    assert str(columns["doors"].type) == "int64"
    assert not columns["doors"].nullable
    assert columns["speed"].nullable
    assert columns["speed"].metadata == {b"description": b"m/s"}
    assert columns["level"].type == pa.int8()
    assert columns["counts"].type == pa.list_(pa.int16())
    assert columns["size"].type == pa.list_(pa.float64(), 3)
    assert columns["at"].type == Vector3d.__msco_pyarrow_struct__
    entry = pa.struct([("key", pa.string()), ("value", pa.float64())])
    assert columns["limits"].type == pa.list_(entry)


def define(name: str, base: type = Serializable, **annotations: Any) -> type[Serializable]:
    """A class with these fields; each is an annotation, or an annotation with a default."""
    fields = {key: value if isinstance(value, tuple) else (value, ...) for key, value in annotations.items()}
    body: dict[str, Any] = {"__module__": __name__, "__annotations__": {k: v[0] for k, v in fields.items()}}
    body.update({key: default for key, (_, default) in fields.items() if default is not ...})
    return type(base)(name, (base,), body)


class Loop(BaseModel):
    inner: "Loop | None" = None


@pytest.mark.parametrize(
    ("annotation", "named"),
    [
        (set[int], "set"),
        (object, "object"),
        (int | str, r"int \| str"),
        (Any, "Any"),
        (list, "list"),
        (tuple[int, str], "items of several types"),
        (NDArray[np.datetime64], "no numbers of a certain type"),
        (NDArray[Any], "no numbers of a certain type"),
        (Literal["a", 1], "neither all int nor all str"),
        (typing.Optional["NotDefined"], "NotDefined"),  # type: ignore[name-defined]  # noqa: F821
    ],
)
def test_what_has_no_column_is_one_short_error(annotation: Any, named: str) -> None:
    with pytest.raises(TypeError, match=rf"field 'odd' of 'Odd' has the type .*{named}") as raised:
        define("Odd", odd=annotation)
    assert "Annotated[..., pyarrow type]" in str(raised.value)
    assert len(str(raised.value)) < 350
    assert "odd" not in _CLASS_BY_TAG


def test_a_class_that_contains_itself() -> None:
    with pytest.raises(TypeError, match=r"field 'inner' of 'Loop' has the type Loop \(it contains itself\)"):
        define("Odd", odd=Loop)


def test_a_value_that_cannot_be_stored_is_named(client: MosaicoClient) -> None:
    values: dict[str, Any] = {
        "doors": 4, "raw": b"", "built": date(2026, 1, 1), "started": datetime.now(timezone.utc),
        "took": timedelta(0), "gear": 1, "mode": "road", "gears": [], "limits": {}, "wheels": {}, "row": [],
        "counts": np.zeros(2, np.int16), "size": (1, 2, 3), "path": (), "kind": "car",
        "at": Vector3d(x=0, y=0, z=0), "level": 1, "grid": [], "electric": True, "times": [],
    }  # fmt: skip
    good = OwnVehicle(**values)
    wheel = Wheel(rpm=1, samples=np.zeros((2, 2), np.float32))
    with client.sequence_create("s") as sequence:
        topic = sequence.topic_create("t", {}, OwnVehicle)
        for update, error in (
            ({"started": datetime(2026, 1, 1)}, "field `started` .* has no time zone"),
            ({"spare": wheel}, r"field `spare\.samples` .* shape \(2, 2\).*ravel"),
            ({"level": 200}, "field `level` .*200"),
            ({"started": "now"}, "field `started` does not encode"),
        ):
            with pytest.raises(ValueError, match=error):
                topic.push(Message(timestamp_ns=1, data=good.model_copy(update=update)))
        with pytest.raises(ValueError, match="holds OwnVehicle, not Vector3d"):
            topic.push(Message(timestamp_ns=1, data=good.at))
        topic.push(Message(timestamp_ns=1, recording_timestamp_ns=2, data=good))
        topic.submit(2, lambda: good)
    messages = list(topic_of(client, "s", "t").get_data_streamer())
    assert [message.recording_timestamp_ns for message in messages] == [2, None]
    found = client.query(QueryOntologyCatalog(OwnVehicle.Q.gear.eq(1) & OwnVehicle.Q.built.match("2026-01")))
    assert found[0].topics[0].name == "/t"


def redefine(name: str, **annotations: Any) -> type[Serializable]:
    """Another version of a class, as a later program would have it."""
    _CLASS_BY_TAG.pop("evolving", None)
    return define(name, __ontology_tag__=(typing.ClassVar[str], "evolving"), **annotations)


@pytest.fixture
def evolving(client: MosaicoClient) -> MosaicoClient:
    """A sequence with a topic of the first version: `n`, an int of 32 bits, and `text`."""
    first = redefine("First", n=Annotated[int, pa.int32()], text=str)
    with client.sequence_create("s") as sequence:
        topic = sequence.topic_create("t", {}, first)
        topic.push(Message(timestamp_ns=1, data=first(n=5, text="five")))
    return client


def read(client: MosaicoClient) -> Any:
    (message,) = topic_of(client, "s", "t").get_data_streamer()
    return message.data


def test_added_fields_get_their_defaults(evolving: MosaicoClient) -> None:
    cls = redefine(
        "Added",
        n=int,
        text=str,
        unit=(str, "rpm"),
        tags=(list[int], Field(default_factory=list)),
        more=(float | None, None),
    )
    assert read(evolving) == cls(n=5, text="five", unit="rpm", tags=[], more=None)
    cls = redefine("AddedOptional", n=int, text=str, more=(float | None, None))
    assert read(evolving) == cls(n=5, text="five")
    redefine("AddedRequired", n=int, text=str, more=float)
    with pytest.raises(ValueError, match=r"'s/t' has no column `evolving\.more`.*'AddedRequired' requires"):
        read(evolving)


def test_removed_fields_are_left_out(evolving: MosaicoClient) -> None:
    cls = redefine("Removed", n=int)
    assert read(evolving) == cls(n=5)


def test_widened_fields(evolving: MosaicoClient) -> None:
    cls = redefine("Widened", n=float, text=str | None)
    data = read(evolving)
    assert data == cls(n=5.0, text="five")
    assert type(data.n) is float


def test_another_type_is_refused(evolving: MosaicoClient) -> None:
    redefine("Other", n=str, text=str)
    with pytest.raises(ValueError, match=r"column `evolving\.n` as int32, its class has it as string"):
        read(evolving)
    assert topic_of(evolving, "s", "t").to_arrow().column("n").to_pylist() == [5]


def test_nested_fields_evolve_too(client: MosaicoClient) -> None:
    inner = define("Inner1", BaseModel, x=Annotated[float, pa.float32()], gone=int)
    first = redefine("Outer1", inner=inner, many=list[inner])  # type: ignore[valid-type]
    with client.sequence_create("s") as sequence:
        topic = sequence.topic_create("t", {}, first)
        one = inner(x=0.5, gone=1)
        topic.push(Message(timestamp_ns=1, data=first(inner=one, many=[one])))
    later = define("Inner2", BaseModel, x=float, new=(str, "added"))
    cls = redefine("Outer2", inner=later, many=list[later])  # type: ignore[valid-type]
    assert read(client) == cls(inner=later(x=0.5), many=[later(x=0.5)])
    lacking = define("Inner3", BaseModel, x=float, new=str)
    redefine("Outer3", inner=later, many=list[lacking])  # type: ignore[valid-type]
    with pytest.raises(ValueError, match=r"no column `evolving\.many\.new`, which 'Inner3' requires"):
        read(client)
