"""The envelope: times, headers, refusals, rows of data frames, and plans for reading."""

import copy
import logging
import math
import pickle
from enum import Enum
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import mosaicolabs.models.data as data_classes
import mosaicolabs.models.sensors as sensor_classes
from mosaicolabs.models import BaseModel, Header, HeaderMixin, Message, Serializable, Time
from mosaicolabs.models._decode_plan import LEAF, decode_plan
from mosaicolabs.models.data import Floating64, Integer64, Point3d, Vector3d, Velocity
from mosaicolabs.models.sensors import GPS, IMU, CameraInfo, Image, Range, RobotJoint, Temperature

STAMP = Header(stamp=Time(sec=7, nanosec=5), frame_id="imu")


class Bare(Serializable):
    """A data class that cannot have a header."""

    __msco_pyarrow_struct__ = pa.struct([pa.field("number", pa.int32())])
    __ontology_tag__ = "test_message_bare"

    number: int


class Clash(Serializable):
    __msco_pyarrow_struct__ = pa.struct([pa.field("timestamp_ns", pa.int64())])
    __ontology_tag__ = "test_message_clash"

    timestamp_ns: int


class Narrow(Message):
    """A subclass goes through pydantic and behaves the same."""


def imu(header: Header | None = None) -> IMU:
    return IMU(acceleration=Vector3d(x=0, y=0, z=9.81), header=header)


@pytest.fixture(params=[Message, Narrow], ids=["quick", "validated"])
def envelope(request: pytest.FixtureRequest) -> Any:
    return request.param


# Times


@given(st.integers(-(2**63), 2**63 - 1))
def test_quick_and_validated_messages_are_equal(ns: int) -> None:
    quick = Message(timestamp_ns=ns, data=Integer64(data=ns), recording_timestamp_ns=ns)
    slow = Message(timestamp_ns=str(ns), data=Integer64(data=ns), recording_timestamp_ns=ns)  # type: ignore[arg-type]
    assert quick == slow
    assert quick.model_fields_set == slow.model_fields_set
    assert repr(quick) == repr(slow)
    assert quick.data.header == slow.data.header == Header(stamp=Time.from_nanoseconds(ns))  # type: ignore[attr-defined]


def test_time_is_timestamp_then_stamp_then_recording(envelope: Any) -> None:
    data = imu(STAMP)
    assert envelope(data=data, timestamp_ns=1, recording_timestamp_ns=2).timestamp_ns == 1
    assert envelope(data=data, recording_timestamp_ns=2).timestamp_ns == STAMP.stamp.to_nanoseconds()
    assert envelope(data=imu(), recording_timestamp_ns=2).timestamp_ns == 2
    assert envelope(data=Bare(number=1), recording_timestamp_ns=2).timestamp_ns == 2


def test_timestamp_is_an_alias(envelope: Any) -> None:
    assert envelope(data=imu(), timestamp_ns=3).timestamp == 3


def test_no_time(envelope: Any) -> None:
    for data in (imu(), Bare(number=1)):
        with pytest.raises(ValidationError, match=r"Timestamp data is needed\."):
            envelope(data=data)


@pytest.mark.parametrize(("given_time", "ns"), [("5", 5), (1.0, 1), (True, 1), (np.float64(2.0), 2)])
def test_coercion(given_time: Any, ns: int) -> None:
    message = Message(data=imu(), timestamp_ns=given_time)
    assert type(message.timestamp_ns) is int
    assert message.timestamp_ns == ns
    assert message == Message(data=message.data, timestamp_ns=ns)


@pytest.mark.parametrize("given_time", [1.5, "soon", math.nan, [1]])
@pytest.mark.parametrize("name", ["timestamp_ns", "recording_timestamp_ns"])
def test_invalid_times_are_refused(given_time: Any, name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Message(**{"timestamp_ns": 1, "data": imu(), name: given_time})


# Headers


def test_a_missing_header_is_filled_into_the_data_object(envelope: Any) -> None:
    data = imu()
    message = envelope(data=data, timestamp_ns=5_000_000_001)
    assert message.data is data
    assert data.header == Header(stamp=Time(sec=5, nanosec=1))


def test_a_given_header_is_kept_even_if_it_disagrees(envelope: Any) -> None:
    data = imu(STAMP)
    for ns in (1, 2):
        message = envelope(data=data, timestamp_ns=ns)
        assert message.data is data
        assert data.header is STAMP


def test_a_header_given_later_is_kept(envelope: Any) -> None:
    data = imu()
    data.header = STAMP
    assert envelope(data=data, timestamp_ns=1).data.header is STAMP


def test_reuse_does_not_change_the_first_message(envelope: Any) -> None:
    data = imu()
    first, second = envelope(data=data, timestamp_ns=1), envelope(data=data, timestamp_ns=2)
    assert first.data.header.stamp.to_nanoseconds() == 1
    assert second.data.header.stamp.to_nanoseconds() == 2
    assert first.data is data
    assert second.data.acceleration is data.acceleration
    third = envelope(data=second.data, timestamp_ns=3)
    assert [m.data.header.stamp.nanosec for m in (first, second, third)] == [1, 2, 3]


def test_reuse_at_the_same_time_shares_the_object(envelope: Any) -> None:
    data = imu()
    assert envelope(data=data, timestamp_ns=1).data is envelope(data=data, timestamp_ns=1).data


def test_reuse_without_a_time_takes_the_stamp(envelope: Any) -> None:
    data = imu()
    envelope(data=data, timestamp_ns=9)
    assert envelope(data=data, recording_timestamp_ns=4).timestamp_ns == 9


def test_a_copy_of_filled_data_gets_a_header_of_its_own(envelope: Any) -> None:
    first = envelope(data=imu(), timestamp_ns=1)
    second = envelope(data=first.data.model_copy(), timestamp_ns=2)
    assert second.data.header.stamp.nanosec == 2


def test_filling_does_not_change_a_shared_fields_set(envelope: Any) -> None:
    shared = {"header", "acceleration", "angular_velocity", "orientation"}
    read, other = imu(), imu(STAMP)
    for data in (read, other):
        object.__setattr__(data, "__pydantic_fields_set__", shared)
    envelope(data=read, timestamp_ns=1)
    assert envelope(data=other, timestamp_ns=1).data is other
    assert envelope(data=read, timestamp_ns=2).data.header.stamp.nanosec == 2
    assert "header" in shared


def test_nested_objects_get_no_header(envelope: Any) -> None:
    assert envelope(data=imu(), timestamp_ns=1).data.acceleration.header is None


def test_data_without_a_header_field(envelope: Any) -> None:
    message = envelope(data=Bare(number=1), timestamp_ns=5)
    assert message.get_data(Bare).number == 1
    assert not hasattr(message.data, "header")


# Data


@pytest.mark.parametrize("data", [None, 5, {}, {"number": 1}, STAMP, object(), Bare])
def test_invalid_data_is_refused(data: Any, envelope: Any) -> None:
    with pytest.raises(ValidationError):
        envelope(data=data, timestamp_ns=1)


def test_instance_of_the_base_class_is_refused(envelope: Any) -> None:
    with pytest.raises(ValidationError, match="'Serializable' is not a data class"):
        envelope(data=Serializable(), timestamp_ns=1)


def test_data_missing(envelope: Any) -> None:
    with pytest.raises(ValidationError, match=r"data\n  Field required"):
        envelope(timestamp_ns=1)


def test_a_field_named_like_a_time(envelope: Any) -> None:
    for _ in range(2):
        with pytest.raises(ValidationError, match=r"\['timestamp_ns'\] of 'Clash' are named like columns"):
            envelope(data=Clash(timestamp_ns=1), timestamp_ns=1)


def test_type_tag_and_data(envelope: Any) -> None:
    message = envelope(data=imu(), timestamp_ns=1)
    assert message.ontology_type() is IMU
    assert message.ontology_tag() == "imu"
    assert message.get_data(IMU) is message.get_data(Serializable) is message.data
    with pytest.raises(TypeError, match="the data is of class 'IMU', not 'GPS'"):
        message.get_data(GPS)


def test_subclass_fields_are_kept() -> None:
    class Labelled(Message):
        label: str

    assert Labelled(data=imu(), timestamp_ns=1, label="x").label == "x"


def test_message_is_an_ordinary_model(envelope: Any) -> None:
    message = envelope(data=imu(), timestamp_ns=1)
    for twin in (pickle.loads(pickle.dumps(message)), copy.deepcopy(message), message.model_copy()):
        assert twin == message
    assert message != envelope(data=imu(), timestamp_ns=2)
    assert envelope.model_validate({"data": message.data, "timestamp_ns": 1}) == message
    message.recording_timestamp_ns = 8
    assert message.model_dump(exclude={"data"}) == {"timestamp_ns": 1, "recording_timestamp_ns": 8}


# Rows of data frames


class Row:
    """Stands in for a pandas Series."""

    def __init__(self, **columns: Any) -> None:
        self.columns = columns

    def items(self) -> Any:
        return self.columns.items()


def row_of(topic: str, message: Message, **more: Any) -> dict[str, Any]:
    """The row that a flattened frame has for the message."""

    def flatten(prefix: str, struct: Any, values: dict[str, Any] | None) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for field in struct:
            value = None if values is None else values[field.name]
            if pa.types.is_struct(field.type):
                flat |= flatten(f"{prefix}.{field.name}", field.type, value)
            elif value is None:
                flat[f"{prefix}.{field.name}"] = math.nan
            else:
                flat[f"{prefix}.{field.name}"] = np.array(value) if isinstance(value, list) else value
        return flat

    cls = message.ontology_type()
    values = message.data.model_dump()
    times = {
        "timestamp_ns": np.int64(message.timestamp),
        f"{topic}.{cls.ontology_tag()}.recording_timestamp_ns": math.nan,
    }
    return times | flatten(f"{topic}.{cls.ontology_tag()}", cls.__msco_pyarrow_struct__, values) | more


@pytest.mark.parametrize(
    "data",
    [
        imu(STAMP),
        GPS(position=Point3d(x=45, y=7, z=200, covariance=[1.0] * 9)),
        RobotJoint(names=["a", "b"], positions=[1, 2], velocities=[], efforts=[0, 1]),
        Bare(number=4),
    ],
)
def test_row_round_trip(data: Serializable) -> None:
    message = Message(data=data, timestamp_ns=5)
    back = Message.from_dataframe_row(
        Row(**row_of("/a/b", message, **{"/c.imu.acceleration.x": 1.0})), "/a/b"
    )
    assert back == message


def test_row_with_recording_time_and_own_time_column() -> None:
    row = {"t": 5.0, "/a.floating64.data": np.float32(1.5), "/a.floating64.recording_timestamp_ns": 6.0}
    message = Message.from_dataframe_row(Row(**row), "/a", timestamp_column_name="t")
    assert message == Message(timestamp_ns=5, recording_timestamp_ns=6, data=Floating64(data=1.5))


@pytest.mark.parametrize(
    "row",
    [
        {"timestamp_ns": 5},
        {"timestamp_ns": 5, "/other.imu.acceleration.x": 1.0},
        {"/a.floating64.data": 1.0},
        {"timestamp_ns": math.nan, "/a.floating64.data": 1.0},
        {"timestamp_ns": None, "/a.floating64.data": 1.0},
        {"timestamp_ns": 5, "/a.floating64.data": math.nan, "/a.floating64.header.seq": None},
    ],
)
def test_row_without_a_record(row: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert Message.from_dataframe_row(Row(**row), "/a") is None
    assert not caplog.records


def test_row_that_is_not_a_valid_message(caplog: pytest.LogCaptureFixture) -> None:
    row = Row(**{"timestamp_ns": 5, "/a.imu.acceleration.x": 1.0})
    with caplog.at_level(logging.ERROR, logger="mosaicolabs"):
        assert Message.from_dataframe_row(row, "/a") is None
    assert "row of topic '/a'" in caplog.text
    assert "acceleration.y" in caplog.text


def test_row_without_a_known_tag() -> None:
    with pytest.raises(ValueError, match=r"have no registered ontology tag \(found \['unheard'\]\)"):
        Message.from_dataframe_row(Row(**{"timestamp_ns": 5, "/a.unheard.data": 1.0}), "/a")


# Plans


class Colour(Enum):
    RED = "red"


class Spot(BaseModel):
    x: float
    colour: Colour | None = None


class Checked(BaseModel):
    x: float

    @pydantic.field_validator("x")
    @classmethod
    def small(cls, v: float) -> float:
        return min(v, 1.0)


class PostInit(BaseModel):
    x: float

    def model_post_init(self, context: Any, /) -> None:
        self.x += 1


class Private(BaseModel):
    x: float
    _seen: bool = False


class Aliased(BaseModel):
    x: float = pydantic.Field(alias="X")


class Bounded(BaseModel):
    x: Annotated[float, pydantic.Field(gt=0)]


class OwnInit(BaseModel):
    x: float

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


class Configured(BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)

    x: float


class Roomy(BaseModel):
    x: float
    y: float = 0.0


class Inexact(BaseModel):
    x: int


X = pa.struct([pa.field("x", pa.float64())])
SPOT = pa.struct([pa.field("x", pa.float64()), pa.field("colour", pa.string())])


def plan_of_field(name: str, annotation: Any, type_: pa.DataType) -> Any:
    """The node of the only field of a user's data class."""
    cls = type(
        name,
        (Serializable,),
        {
            "__module__": __name__,
            "__annotations__": {"value": annotation},
            "__msco_pyarrow_struct__": pa.struct([pa.field("value", type_)]),
        },
    )
    plan = decode_plan(cls)
    if plan == ("validated", cls):
        return "validated as a whole"
    assert plan[:2] == ("model", cls)
    ((field, node),) = plan[2]
    assert field == "value"
    return node


def test_shipped_classes_need_no_validation() -> None:
    # Sensors are imported at their first use.
    classes = [getattr(module, name) for module in (data_classes, sensor_classes) for name in module.__all__]
    shipped = [cls for cls in classes if isinstance(cls, type) and issubclass(cls, Serializable)]
    assert len(shipped) == 39
    for cls in shipped:
        assert "'validated'" not in repr(decode_plan(cls))


def test_plan_of_nested_structs() -> None:
    kind, cls, fields = decode_plan(Velocity)
    assert (kind, cls) == ("model", Velocity)
    assert [name for name, _ in fields] == [field.name for field in Velocity.__msco_pyarrow_struct__]
    assert dict(fields)["linear"] == decode_plan(Vector3d)
    assert dict(dict(fields)["header"][2])["stamp"] == ("model", Time, (("sec", LEAF), ("nanosec", LEAF)))


def test_plan_of_enum_and_lists() -> None:
    assert dict(decode_plan(Image)[2])["format"][0] == "convert"
    assert dict(decode_plan(CameraInfo)[2])["intrinsic_parameters"] == LEAF


def test_plan_is_computed_once() -> None:
    assert decode_plan(IMU) is decode_plan(IMU)


@pytest.mark.parametrize(
    ("annotation", "type_", "node"),
    [
        (int, pa.uint64(), LEAF),
        (bytes | None, pa.large_binary(), LEAF),
        (list[list[str]], pa.list_(pa.list_(pa.string())), LEAF),
        (Colour, pa.string(), ("convert", Colour)),
        (list[Colour], pa.list_(pa.string()), ("list", ("convert", Colour))),
        (Spot, SPOT, ("model", Spot, (("x", LEAF), ("colour", ("convert", Colour))))),
        (
            list[Spot | None] | None,
            pa.list_(SPOT),
            ("list", ("model", Spot, (("x", LEAF), ("colour", ("convert", Colour))))),
        ),
        *[(cls, X, ("validated", cls)) for cls in (Checked, PostInit, Private, Aliased, Bounded, OwnInit)],
        (Configured, X, ("validated", Configured)),
        (Roomy, X, ("validated", Roomy)),
        (Inexact, X, ("validated", Inexact)),
        (list[Checked], pa.list_(X), ("list", ("validated", Checked))),
        (float, pa.int64(), "validated as a whole"),
        (int, pa.float64(), "validated as a whole"),
        (int | str, pa.int64(), "validated as a whole"),
        (dict[str, float], X, "validated as a whole"),
        (tuple[float, ...], pa.list_(pa.int64()), "validated as a whole"),
        (dict[str, tuple[float]], pa.list_(pa.int64()), "validated as a whole"),
        (list[float], pa.float64(), "validated as a whole"),
        (list[float], pa.list_(pa.int64()), "validated as a whole"),
        (Any, pa.int64(), "validated as a whole"),
        (bool, pa.int8(), "validated as a whole"),
    ],
)
def test_plan_of_a_users_field(
    annotation: Any, type_: pa.DataType, node: Any, request: pytest.FixtureRequest
) -> None:
    number = request.node.callspec.indices["annotation"]
    assert plan_of_field(f"TestPlan{number}Field", annotation, type_) == node


def test_checks_of_a_users_subclass_of_a_shipped_class_run() -> None:
    assert decode_plan(Range)[0] == "model"

    class Described(Temperature.__base__, HeaderMixin):  # type: ignore[misc, name-defined]
        __msco_pyarrow_struct__ = pa.struct([pa.field("value", pa.float64())])
        __ontology_tag__ = "test_described"

        value: float

        @pydantic.model_validator(mode="before")
        @classmethod
        def look(cls, values: Any) -> Any:
            return values

    assert decode_plan(Described) == ("validated", Described)
