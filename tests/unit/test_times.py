"""Times in any form are exact to the nanosecond."""

from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs import IMU, Message, Temperature, Time, Topic, data_field
from mosaicolabs._terminal.output import human_time
from mosaicolabs.helpers.times import parse_time, to_ns
from mosaicolabs.models.query import QuerySequence

START_NS = 1_403_715_273_262_142_976
NOON = 1_796_040_000 * 10**9


@given(st.integers(10**17, 2**63 - 1))
def test_nanoseconds(time_ns: int) -> None:
    assert parse_time(str(time_ns), None) == time_ns


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_nanoseconds(time_ns: int) -> None:
    assert to_ns(time_ns) == to_ns(np.int64(time_ns)) == time_ns
    assert to_ns(Time.from_nanoseconds(time_ns)) == time_ns


@given(st.integers(0, 10**15))
def test_offsets_from_the_start(offset_ns: int) -> None:
    assert parse_time(f"+{offset_ns}ns", START_NS) == START_NS + offset_ns
    seconds, fraction = divmod(offset_ns, 10**9)
    assert parse_time(f"+{seconds}.{fraction:09d}s", START_NS) == START_NS + offset_ns


@given(st.integers(0, 253_402_300_799_999_999_999))
def test_printed_times_can_be_parsed(time_ns: int) -> None:
    assert parse_time(human_time(time_ns), None) == time_ns


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2014-06-25", datetime(2014, 6, 25, tzinfo=timezone.utc)),
        ("2014-06-25T16:54", datetime(2014, 6, 25, 16, 54, tzinfo=timezone.utc)),
        ("2014-06-25 16:54:33Z", datetime(2014, 6, 25, 16, 54, 33, tzinfo=timezone.utc)),
        ("2014-06-25T16:54:33+02:00", datetime(2014, 6, 25, 16, 54, 33, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_iso_8601(text: str, moment: datetime) -> None:
    assert parse_time(text, None) == int(moment.timestamp()) * 10**9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "+1.5",
        "-5",
        "+-1s",
        "1.5d",
        "5 s",
        "yesterday",
        "2014-13-01",
        "2014-06-25T25:00",
        "+1\u0662s",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_time(text, START_NS)


def test_offset_needs_a_start() -> None:
    with pytest.raises(ValueError, match="has no data"):
        parse_time("+1s", None)
    with pytest.raises(ValueError, match="counts from the last message"):
        parse_time("-1s", 5)


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("5", START_NS + 5 * 10**9),
        ("0", START_NS),
        ("1.5", START_NS + 1_500_000_000),
        ("1.5s", START_NS + 1_500_000_000),
        ("100ms", START_NS + 100_000_000),
        ("2min", START_NS + 120 * 10**9),
        ("-10s", NOON - 10 * 10**9),
        ("1796040000", NOON),
        ("1796040000.25", NOON + 250_000_000),
        ("1796040000000", NOON),
        ("1796040000000000", NOON),
        ("1796040000000000001", NOON + 1),
    ],
)
def test_what_people_write(text: str, time_ns: int) -> None:
    assert to_ns(text, START_NS, NOON) == time_ns


TOKYO = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("time", "time_ns"),
    [
        (datetime(2026, 11, 30, 12, tzinfo=timezone.utc), NOON),
        (datetime(2026, 11, 30, 21, 0, 0, 250_001, tzinfo=TOKYO), NOON + 250_001_000),
        (pd.Timestamp("2026-11-30 12:00:00.000000001"), NOON + 1),
        (pd.Timestamp("2026-11-30 21:00", tz=TOKYO), NOON),
        (np.datetime64("2026-11-30T12:00:00.000000001"), NOON + 1),
        (np.datetime64("2026-11-30T12:00"), NOON),
        (np.datetime64("2026-11-30"), NOON - 43_200 * 10**9),
        (np.datetime64("2026-12"), NOON + 43_200 * 10**9),
        (timedelta(seconds=1.5), START_NS + 1_500_000_000),
        (pd.Timedelta("3ns"), START_NS + 3),
        (np.timedelta64(2, "m"), START_NS + 120 * 10**9),
        ("2026-11-30T12:00", NOON),
    ],
)
def test_times_of_other_libraries(time: Any, time_ns: int) -> None:
    assert to_ns(time, START_NS) == time_ns


@given(st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1), timezones=st.just(timezone.utc)))
def test_all_forms_of_a_time_agree(moment: datetime) -> None:
    naive = moment.replace(tzinfo=None)
    forms = [
        moment,
        pd.Timestamp(moment),
        pd.Timestamp(naive),
        np.datetime64(naive, "us"),
        naive.isoformat(" ", "microseconds"),
    ]
    assert len({to_ns(form) for form in forms}) == 1
    assert human_time(to_ns(moment))[:10] == moment.isoformat()[:10]


@pytest.mark.parametrize(
    ("time", "error"),
    [
        (datetime(2026, 11, 30), "has no time zone; add tzinfo"),
        (pd.NaT, "NaT is not a time"),
        (np.datetime64("NaT"), "NaT is not a time"),
        (2**63, "64 bits of ns"),
        ("9999-01-01", "64 bits of ns"),
        (np.datetime64("9999-01-01"), "64 bits of ns"),
        (timedelta(seconds=1), "counts from the first message"),
        (1.5, "is not a time"),
        (True, "is not a time"),
        (None, "is not a time"),
    ],
)
def test_what_is_not_a_time(time: Any, error: str) -> None:
    with pytest.raises((ValueError, TypeError), match=error):
        to_ns(time)


@pytest.mark.parametrize(
    "time",
    [
        datetime(2026, 11, 30, 12, tzinfo=timezone.utc),
        np.datetime64("2026-11-30T12"),
        "2026-11-30T12:00",
        Time(sec=NOON // 10**9, nanosec=0),
    ],
)
def test_times_of_messages_and_conditions(time: Any) -> None:
    message = Message(timestamp_ns=time, recording_timestamp_ns=time, data=Temperature(value=1))
    assert (message.timestamp_ns, message.recording_timestamp_ns) == (NOON, NOON)
    assert message.data.header.stamp.to_nanoseconds() == NOON  # type: ignore[attr-defined]
    for field in (IMU.Q.timestamp_ns, data_field("imu.timestamp_ns"), Topic.Q.created_timestamp):
        assert field.geq(time).value == NOON
        assert field.between(time, NOON + 1).value == [NOON, NOON + 1]
    created = QuerySequence().with_created_timestamp(time_start=time).to_dict()
    assert created == {"created_timestamp": {"$geq": NOON}}


def test_numbers_of_messages_stay_numbers() -> None:
    assert Message(timestamp_ns="5", data=Temperature(value=1)).timestamp_ns == 5
    with pytest.raises(ValueError, match="no time zone"):
        Message(timestamp_ns=datetime(2026, 1, 1), data=Temperature(value=1))
