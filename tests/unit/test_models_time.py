"""Times survive every conversion with the documented precision."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mosaicolabs.models import Header, Time
from mosaicolabs.models.header import header_at

NANOSECONDS = st.integers(-(2**63), 2**63 - 1)


@given(NANOSECONDS)
def test_nanoseconds_round_trip(ns: int) -> None:
    time = Time.from_nanoseconds(ns)
    assert 0 <= time.nanosec < 10**9
    assert time.to_nanoseconds() == ns


@given(st.integers(-(2**53), 2**53))
def test_milliseconds_round_trip(ms: int) -> None:
    assert Time.from_milliseconds(ms).to_milliseconds() == ms


@given(NANOSECONDS)
def test_milliseconds_are_truncated(ns: int) -> None:
    assert Time.from_nanoseconds(ns).to_milliseconds() == ns // 1_000_000


@given(st.datetimes(timezones=st.timezones()))
def test_datetime_round_trip_keeps_the_microsecond(dt: datetime) -> None:
    back = Time.from_datetime(dt).to_datetime()
    assert back == dt.astimezone(timezone.utc)
    assert back.utcoffset() == timedelta(0)


def test_naive_datetime_is_local_time() -> None:
    naive = datetime(2026, 7, 1, 12, 0, 0, 123456)
    assert Time.from_datetime(naive).to_datetime() == naive.astimezone(timezone.utc)


@given(st.floats(-4e9, 4e9))
def test_float_round_trip_to_the_nanosecond(seconds: float) -> None:
    # Half a nanosecond of rounding, and what a float of that size cannot resolve.
    assert abs(Time.from_float(seconds).to_float() - seconds) <= 0.5e-9 + abs(seconds) * 2**-52


@pytest.mark.parametrize(
    ("seconds", "sec", "nanosec"),
    [(1.5, 1, 500_000_000), (-1.5, -2, 500_000_000), (1.99999999999, 2, 0), (-1e-12, 0, 0), (0.0, 0, 0)],
)
def test_float_floors_and_carries(seconds: float, sec: int, nanosec: int) -> None:
    assert Time.from_float(seconds) == Time(sec=sec, nanosec=nanosec)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), float("-inf")])
def test_float_that_is_not_a_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        Time.from_float(seconds)


@pytest.mark.parametrize("nanosec", [-1, 10**9, 2**32])
def test_nanosec_out_of_range(nanosec: int) -> None:
    with pytest.raises(ValidationError, match="carry full seconds into sec"):
        Time(sec=0, nanosec=nanosec)


def test_now_is_now() -> None:
    before = datetime.now(timezone.utc) - timedelta(microseconds=1)
    assert before <= Time.now().to_datetime() <= datetime.now(timezone.utc)


@given(NANOSECONDS)
def test_header_without_validation_equals_the_validated_one(ns: int) -> None:
    quick, slow = header_at(ns), Header(stamp=Time.from_nanoseconds(ns))
    assert quick == slow
    assert quick.model_dump() == slow.model_dump()
    assert quick.model_fields_set == slow.model_fields_set
    assert quick.model_copy(deep=True) == slow
    assert repr(quick) == repr(slow)
