"""Alignment of samples with times, against the definitions."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.ml import Signal
from mosaicolabs.ml.dataset._align import interpolate, pick
from mosaicolabs.ml.dataset._columns import numbers

SAMPLES = st.lists(st.integers(0, 60), max_size=12).map(sorted)
TIMES = st.lists(st.integers(-5, 70), min_size=1, max_size=8)
AGES = st.none() | st.integers(0, 20)


@given(SAMPLES, TIMES, AGES)
def test_hold_is_the_last_sample(samples: list[int], at: list[int], age: int | None) -> None:
    chosen = pick(np.array(samples, np.int64), np.array(at, np.int64), "hold", age)

    for time, number in zip(at, chosen.tolist(), strict=True):
        before = [i for i, sample in enumerate(samples) if sample <= time]
        fresh = [i for i in before[-1:] if age is None or time - samples[i] <= age]
        assert number == (fresh[0] if fresh else -1)


@given(SAMPLES, TIMES, AGES)
def test_nearest(samples: list[int], at: list[int], age: int | None) -> None:
    chosen = pick(np.array(samples, np.int64), np.array(at, np.int64), "nearest", age)

    for time, number in zip(at, chosen.tolist(), strict=True):
        distance = min((abs(sample - time) for sample in samples), default=None)
        if distance is None or (age is not None and distance > age):
            assert number == -1
        else:
            assert abs(samples[number] - time) == distance
            assert samples[number] == min(s for s in samples if abs(s - time) == distance)


@given(SAMPLES, TIMES, AGES)
def test_linear(samples: list[int], at: list[int], age: int | None) -> None:
    times = np.array(samples, np.int64)
    values = np.stack([times * 2.0 + 1, -times], axis=1) if samples else np.zeros((0, 2))

    found, valid = interpolate(times, values, np.array(at, np.int64), age, rotations=False)

    for time, value, is_valid in zip(at, found, valid, strict=True):
        before = [s for s in samples if s <= time]
        after = [s for s in samples if s >= time]
        near = before and after and (age is None or max(time - before[-1], after[0] - time) <= age)
        assert is_valid == bool(near)
        expected = [2.0 * time + 1, -time] if near else [0.0, 0.0]
        assert value.tolist() == pytest.approx(expected)


def test_linear_is_exact_at_samples() -> None:
    values = np.array([[math.inf], [0.1], [5.0]])

    found, valid = interpolate(
        np.array([0, 10, 20]), values, np.array([0, 10, 20, 15]), None, rotations=False
    )

    assert found[:, 0].tolist() == [math.inf, 0.1, 5.0, 2.55]
    assert valid.all()


def about_z(degrees: float) -> list[float]:
    half = math.radians(degrees) / 2
    return [0.0, 0.0, math.sin(half), math.cos(half)]


@pytest.mark.parametrize("sign", [1, -1])
def test_slerp_turns_evenly_on_the_shorter_arc(sign: int) -> None:
    values = np.array([about_z(10), np.multiply(sign, about_z(100)), about_z(100.00001)])

    found, valid = interpolate(
        np.array([0, 900, 1000]), values, np.array([0, 100, 450, 900, 950, 1001]), None, rotations=True
    )

    assert valid.tolist() == [True, True, True, True, True, False]
    for value, degrees in zip(found, [10, 20, 55, 100, 100.000005], strict=False):
        assert abs(np.dot(value, about_z(degrees))) == pytest.approx(1, abs=1e-12)


def test_columns_as_numbers() -> None:
    point = pa.struct([("x", pa.float64()), ("n", pa.int32())])
    table = pa.table(
        {
            "p": pa.array([{"x": 1.5, "n": 2}, None, {"x": None, "n": 1}, {"x": 4.0, "n": 5}], point),
            "joints": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]),
            "on": [True, False, True, False],
        }
    )

    values, present = numbers(table, ["p.x", "joints", "p.n", "on"], "/t")

    assert present.tolist() == [True, False, False, True]
    assert values[present].tolist() == [[1.5, 1.0, 2.0, 2.0, 1.0], [4.0, 7.0, 8.0, 5.0, 0.0]]


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (
            pa.array([[1.0], [1.0, 2.0]]),
            "column 'c' of /t has lists of 1 to 2 values; an array needs one length",
        ),
        (pa.array(["a", "b"]), "column 'c' of /t has the type string; give columns with numbers"),
    ],
)
def test_columns_that_are_no_array(column: pa.Array, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        numbers(pa.table({"c": column}), ["c"], "/t")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"columns": "data"}, "columns is a list of paths, not 'data'"),
        ({}, "give either columns or image"),
        ({"columns": ["a"], "image": True}, "give either columns or image"),
        ({"columns": ["a"], "align": "cubic"}, "align is one of hold, nearest, linear, slerp, not 'cubic'"),
        ({"image": (4, 4), "align": "linear"}, "pictures are not interpolated"),
        ({"columns": ["a"], "offsets_s": ()}, "offsets_s is empty"),
        ({"columns": ["a"], "max_age_s": math.nan}, "max_age_s is a time in seconds, not nan"),
    ],
)
def test_settings_that_contradict(arguments: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        Signal("/t", **arguments)  # type: ignore[arg-type]
