"""Operators of `.Q` fields: what they send, what they refuse."""

import copy
import pickle
import subprocess
import sys
from datetime import date, datetime, time, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs import (
    IMU,
    CameraInfo,
    HeaderMixin,
    Image,
    QuerySequence,
    RobotJoint,
    Serializable,
    SerializationFormat,
    String,
)
from mosaicolabs.models.data import Boolean, Integer64
from mosaicolabs.models.platform import Sequence, Topic
from mosaicolabs.models.query.expressions import _QueryCatalogExpression, _QuerySequenceExpression
from mosaicolabs.models.query.generation.api import LazyQueryProxy, _QueryProxy, is_model_queryable, queryable


class Schedule(Serializable, HeaderMixin):
    __msco_pyarrow_struct__ = pa.struct(
        [
            pa.field("day", pa.date32()),
            pa.field("clock", pa.time64("ns")),
            pa.field("moment", pa.timestamp("ns", "UTC")),
            pa.field("tags", pa.list_(pa.string())),
            pa.field(
                "legs", pa.list_(pa.struct([pa.field("km", pa.float64()), pa.field("raw", pa.binary())]))
            ),
            pa.field("mode", pa.dictionary(pa.int8(), pa.string())),
            pa.field("Upper", pa.uint64()),
        ]
    )

    day: date | None = None
    clock: time | None = None
    moment: datetime | None = None
    tags: list[str] | None = None
    legs: list[Any] | None = None
    mode: str | None = None
    Upper: int | None = None


X = IMU.Q.acceleration.x
NAME = IMU.Q.header.frame_id
KEY = Sequence.Q.user_metadata["a.b"]


@pytest.mark.parametrize("op", ["eq", "neq", "lt", "leq", "gt", "geq"])
def test_comparisons_send_operator_and_value(op: str) -> None:
    expression = getattr(X, op)(2.5)
    assert isinstance(expression, _QueryCatalogExpression)
    assert (expression.full_path, expression.op, expression.value) == ("imu.acceleration.x", f"${op}", 2.5)
    assert expression.to_dict() == {"imu.acceleration.x": {f"${op}": 2.5}}


def test_operators_with_several_values_take_them_one_by_one_or_together() -> None:
    assert (
        X.in_(1, 2).value
        == X.in_([1, 2]).value
        == X.in_((1, 2)).value
        == X.in_(np.array([1, 2])).value
        == [1, 2]
    )
    assert X.between(1, 2.5).value == X.between([1, 2.5]).value == [1, 2.5]
    assert X.between(2, 2).value == [2, 2]
    assert X.in_(7).value == [7]
    assert NAME.in_("map").value == ["map"]
    assert NAME.in_(["map", "odom"]).to_dict() == {"imu.header.frame_id": {"$in": ["map", "odom"]}}


def test_text_and_bool_and_presence() -> None:
    assert NAME.match("ma%").to_dict() == {"imu.header.frame_id": {"$match": "ma%"}}
    assert Boolean.Q.data.eq(False).to_dict() == {"boolean.data": {"$eq": False}}
    assert X.exists().to_dict() == {"imu.acceleration.x": {"$ex": None}}
    assert X.missing().to_dict() == {"imu.acceleration.x": {"$nex": None}}


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_sent_exactly(number: float) -> None:
    for field in (X, KEY):
        sent = field.eq(number).value
        assert sent == number
        assert type(sent) is type(number)


@pytest.mark.parametrize(
    ("number", "sent"),
    [(np.int64(5), 5), (np.float32(0.5), 0.5), (np.float64(0.1), 0.1), (np.uint8(255), 255)],
)
def test_numpy_scalars_become_numbers(number: Any, sent: float) -> None:
    for field in (X, KEY):
        assert field.gt(number).value == sent
        assert type(field.gt(number).value) is type(sent)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (X, "1"),
        (X, True),
        (X, None),
        (X, [1, 2]),
        (X, []),
        (NAME, 1),
        (NAME, ["map"]),
        (Boolean.Q.data, 1),
        (KEY, None),
        (KEY, {"a": 1}),
        (KEY, [1]),
        (Schedule.Q.moment, "2026-01-01"),
        (Schedule.Q.moment, True),
    ],
)
def test_values_of_other_types_are_refused(field: Any, value: Any) -> None:
    with pytest.raises(
        TypeError, match=f"^{field.full_path} is compared with .*, not {type(value).__name__} "
    ):
        field.eq(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("-inf")])
def test_numbers_that_json_lacks_are_refused(value: Any) -> None:
    for field in (X, KEY):
        with pytest.raises(ValueError, match="finite number"):
            field.lt(value)


@pytest.mark.parametrize("values", [(), ([],)])
def test_in_needs_values(values: Any) -> None:
    with pytest.raises(ValueError, match="at least one value"):
        X.in_(*values)


@pytest.mark.parametrize("values", [(), (1,), (1, 2, 3), ([1],), (3, 2)])
def test_between_needs_an_ordered_pair(values: Any) -> None:
    with pytest.raises(ValueError, match=r"imu\.acceleration\.x: between"):
        X.between(*values)


@pytest.mark.parametrize("values", [(1, "a"), ("a", 2), (True, 2)])
def test_mixed_types_are_refused(values: Any) -> None:
    for field in (KEY, X):
        for op in ("in_", "between"):
            with pytest.raises(TypeError, match="is compared with"):
                getattr(field, op)(*values)


def test_metadata_has_every_operator_for_what_json_holds() -> None:
    for value in (1, 2.5, "text", True):
        assert KEY.eq(value).to_dict() == {"user_metadata.a.b": {"$eq": value}}
        assert KEY.neq(value).op == "$neq"
    assert isinstance(KEY.eq(1), _QuerySequenceExpression)
    assert KEY.in_("a", "b").value == ["a", "b"]
    assert KEY.match("ali").op == "$match"
    assert KEY.between("a", "b").value == ["a", "b"]
    for op in ("lt", "leq", "gt", "geq"):
        assert getattr(KEY, op)("2026-01-31").value == getattr(NAME, op)("2026-01-31").value == "2026-01-31"
        with pytest.raises(TypeError, match="a number or text"):
            getattr(KEY, op)(True)
    with pytest.raises(TypeError, match="text"):
        KEY.match(5)


def test_metadata_keys() -> None:
    with pytest.raises(TypeError, match="keys of user_metadata are text"):
        Topic.Q.user_metadata[0]
    with pytest.raises(AttributeError, match=r"write user_metadata\['site'\]"):
        Topic.Q.user_metadata.site.eq("north")
    for key in ("", "$or"):
        with pytest.raises(ValueError, match="dotted path"):
            Topic.Q.user_metadata[key]


def test_dates_and_times_are_sent_as_text() -> None:
    q = Schedule.Q
    assert q.day.eq(date(2026, 1, 31)).value == "2026-01-31"
    assert q.clock.lt(time(12, 30)).value == "12:30:00"
    moments = datetime(2026, 1, 31, 12, tzinfo=timezone.utc), datetime(2026, 2, 1, tzinfo=timezone.utc)
    assert q.moment.between(*moments).value == ["2026-01-31T12:00:00+00:00", "2026-02-01T00:00:00+00:00"]
    assert q.moment.geq(1_700_000_000_000_000_000).value == "1700000000000000000"
    with pytest.raises(ValueError, match="is an empty range"):
        q.moment.between(*reversed(moments))
    with pytest.raises(TypeError, match="one type"):
        q.moment.in_(date(2026, 1, 1), moments[0])


def test_lists_are_compared_by_their_elements() -> None:
    assert Schedule.Q.tags.match("wet").full_path == "schedule.tags"
    assert Schedule.Q.legs.km.gt(3.0).to_dict() == {"schedule.legs.km": {"$gt": 3.0}}
    assert RobotJoint.Q.names.eq("elbow").full_path == "robot_joint.names"
    assert CameraInfo.Q.intrinsic_parameters.gt(500.0).full_path == "camera_info.intrinsic_parameters"
    assert Schedule.Q.mode.eq("auto").full_path == "schedule.mode"
    assert Schedule.Q.Upper.gt(2**63).value == 2**63


@pytest.mark.parametrize("name", ["eq", "exists", "nothing"])
def test_binary_has_no_operators(name: str) -> None:
    with pytest.raises(AttributeError, match=r"image\.data cannot be queried"):
        getattr(Image.Q.data, name)


def test_errors_of_unknown_fields_list_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="imu has no field 'speed'; it has: timestamp_ns"):
        IMU.Q.speed.eq(1)
    with pytest.raises(AttributeError, match=r"imu\.acceleration has no field 'w'; it has: x, y, z"):
        IMU.Q.acceleration.w.eq(1)
    with pytest.raises(AttributeError, match=r"has no operator 'match'; it has: between"):
        X.match("a")


def test_every_class_has_its_own_proxy_built_once() -> None:
    assert IMU.Q is IMU.Q
    assert isinstance(IMU.Q, _QueryProxy)
    assert Integer64.Q.data.full_path == "integer64.data"
    assert String.Q.header.stamp.sec.full_path == "string.header.stamp.sec"
    assert Schedule.Q.timestamp_ns.full_path == "schedule.timestamp_ns"
    assert is_model_queryable(Schedule)
    assert not is_model_queryable(Serializable)


@pytest.mark.parametrize("made", [IMU.Q, X, X.gt(1) | X.lt(0), Image.Q.data, Topic.Q.user_metadata, KEY])
def test_fields_and_conditions_can_be_copied_and_pickled(made: Any) -> None:
    for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert repr(again) == repr(made)


def test_text_enums_are_text() -> None:
    assert Topic.Q.serialization_format.eq(SerializationFormat.Image).value == "image"


def test_importing_builds_no_proxy() -> None:
    code = "import mosaicolabs as m; p = vars(m.Serializable)['Q']._proxies; print(len(p), m.IMU.Q, len(p))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "0"
    assert done.stdout.split()[-1] == "1"


class WordMapper:
    def __init__(self, words: int = 1) -> None:
        self.words = words

    def build_map(self, class_type: type, query_expression_type: Any, path_prefix: str | None = None) -> Any:
        field = X.__class__(f"{path_prefix}.word", query_expression_type)
        return path_prefix or "", {f"word{number}": field for number in range(self.words)}


def test_custom_classes_can_be_queryable() -> None:
    @queryable(WordMapper, _QueryCatalogExpression, prefix="page", words=2)
    class Page:
        Q: LazyQueryProxy

    assert is_model_queryable(Page)
    assert Page.Q.queryable_fields == ["word0", "word1"]
    assert Page.Q.word1.lt(3).to_dict() == {"page.word": {"$lt": 3}}


def test_operators_of_python() -> None:
    x = IMU.Q.acceleration.x
    assert (x > 3).to_dict() == x.gt(3).to_dict()
    assert (x >= 3).to_dict() == x.geq(3).to_dict()
    assert (x < 3).to_dict() == x.lt(3).to_dict()
    assert (x <= 3).to_dict() == x.leq(3).to_dict()
    assert ((x > 3) & ~(x > 4)).op == "$and"
    for mistake in (
        lambda: x > 3 and x < 4,
        lambda: 3 < x < 4,
        lambda: not (x > 3),
        lambda: bool(QuerySequence()),
    ):
        with pytest.raises(TypeError, match=r"no truth value.*& \| ~"):
            mistake()
    with pytest.raises(TypeError, match=r"write imu\.acceleration\.x\.eq\(3\) in place of =="):
        _ = x == 3
    assert x == IMU.Q.acceleration.x
    assert x != IMU.Q.acceleration.y
