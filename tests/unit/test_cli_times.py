"""Times on the command line are exact to the nanosecond."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs._terminal.output import human_time
from mosaicolabs.cli._times import parse_time

START_NS = 1_403_715_273_262_142_976


@given(st.integers(-(2**63), 2**63 - 1))
def test_nanoseconds(time_ns: int) -> None:
    assert parse_time(str(time_ns), None) == time_ns


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
    "text", ["", "1.5", "+", "+1.5", "+-1s", "yesterday", "2014-13-01", "2014-06-25T25:00", "+1\u0662s"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_time(text, START_NS)


def test_offset_needs_a_start() -> None:
    with pytest.raises(ValueError, match="has no data"):
        parse_time("+1s", None)
