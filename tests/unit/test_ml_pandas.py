"""Frames of merged topics against a model that places one value at a time."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs.ml import _pandas
from mosaicolabs.ml._pandas import wide_frame
from mosaicolabs.ml._wide_table import Merged

STRINGS = str(pd.Series(["x"]).dtype)  # pandas 3 has a type of its own for them

# Type: values, dtype in a frame without missing values, dtype in another one.
TYPES: dict[pa.DataType, tuple[st.SearchStrategy[Any], str, str]] = {
    pa.float32(): (st.floats(width=32), "float32", "float32"),
    pa.float64(): (st.floats(), "float64", "float64"),
    pa.int16(): (st.integers(-(2**15), 2**15 - 1), "int16", "float64"),
    pa.uint32(): (st.integers(0, 2**32 - 1), "uint32", "float64"),
    pa.int64(): (st.integers(-(2**63), 2**63 - 1), "Int64", "Int64"),
    pa.uint64(): (st.integers(0, 2**64 - 1), "UInt64", "UInt64"),
    pa.bool_(): (st.booleans(), "boolean", "boolean"),
    pa.large_string(): (st.text(max_size=3), STRINGS, STRINGS),
    pa.large_binary(): (st.binary(max_size=3), "object", "object"),
    pa.large_list(pa.float64()): (st.lists(st.floats(allow_nan=False), max_size=2), "object", "object"),
    pa.timestamp("ns"): (
        st.integers(0, 2**60).map(pd.Timestamp),
        "datetime64[ns]",
        "datetime64[ns]",
    ),
}


@st.composite
def topics(draw: st.DrawFn, number: int) -> pa.Table:
    """Rows in time order with columns of all types, in chunks; some columns have no value at all."""
    times = sorted(draw(st.lists(st.integers(0, 9), max_size=6)))
    columns = {"timestamp_ns": pa.array(times, pa.int64())}
    for place, type_ in enumerate(draw(st.lists(st.sampled_from(list(TYPES)), max_size=6))):
        cells = draw(st.sampled_from([st.none(), TYPES[type_][0], st.none() | TYPES[type_][0]]))
        values = draw(st.lists(cells, min_size=len(times), max_size=len(times)))
        columns[f"t{number}.c{place}"] = pa.array(values, type_)
    table = pa.table(columns)
    cut = draw(st.integers(0, len(times)))
    return pa.concat_tables([table.slice(0, cut), table.slice(cut)])


several = st.integers(1, 4).flatmap(lambda count: st.tuples(*map(topics, range(count))))


def plain(value: Any) -> Any:
    """One value as it can be compared; what is missing is None."""
    if isinstance(value, np.ndarray | list):
        return list(value)
    return None if pd.isna(value) else value


@pytest.fixture(scope="module", params=["pandas 3", "pandas 2"])
def _either_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Frames are put together in another way where pandas has no function for it."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "pandas 2":
            patch.setattr(_pandas, "_frame", _pandas._joined)
        yield


@pytest.mark.usefixtures("_either_way")
@given(found=several)
def test_every_value_is_where_the_model_puts_it(found: tuple[pa.Table, ...]) -> None:
    times = [table["timestamp_ns"].to_pylist() for table in found]
    rows = [(time, n, row) for n, own in enumerate(times) for row, time in enumerate(own)]
    rows.sort(key=lambda row: row[:2])
    frame = wide_frame(Merged(list(found)))
    names = ["timestamp_ns", *(name for table in found for name in table.column_names[1:])]
    assert list(frame.columns) == names
    assert frame.index.equals(pd.RangeIndex(len(rows)))
    assert frame["timestamp_ns"].dtype == np.int64
    assert frame["timestamp_ns"].tolist() == [time for time, _, _ in rows]
    at = 0
    for topic, table in enumerate(found):
        for column in table.columns[1:]:
            at += 1
            cells = [column[row].as_py() if n == topic else None for _, n, row in rows]
            series = frame.iloc[:, at]
            assert list(map(plain, series.tolist())) == list(map(plain, cells))
            _, complete, missing = TYPES[column.type]
            assert str(series.dtype) == (missing if None in cells else complete)


@pytest.mark.usefixtures("_either_way")
def test_a_cell_can_be_written_without_touching_others() -> None:
    nothing = {f"{type_} {twin}": pa.nulls(2, type_) for type_ in TYPES for twin in range(2)}
    for name in nothing:
        frame = wide_frame(Merged([pa.table({"timestamp_ns": [1, 2]} | nothing)]))
        frame.loc[0, name] = {"str": "x", "boolean": True, "datetime64[ns]": pd.Timestamp(0)}.get(
            str(frame[name].dtype), 1
        )
        assert frame.notna().sum().sum() == 2 + 1
        assert frame.notna()[name].tolist() == [True, False]


def test_pandas_gets_nan_unless_that_loses_digits() -> None:
    table = pa.table(
        {
            "timestamp_ns": [2**62 + 1, 2**62 + 3],
            "f32": pa.array([0.5, None], pa.float32()),
            "f64": pa.array([None, math.inf]),
            "i32": pa.array([1, None], pa.int32()),
            "i64": pa.array([2**53 + 1, None], pa.int64()),
            "u64": pa.array([None, 2**64 - 1], pa.uint64()),
            "flag": pa.array([None, False]),
            "text": pa.array(["x", None], pa.large_string()),
            "raw": pa.array([b"\x00", None], pa.large_binary()),
            "items": pa.array([[1.0, 2.0], None], pa.large_list(pa.float64())),
        }
    )
    frame = wide_frame(Merged([table]))
    assert list(frame.columns) == table.schema.names
    assert frame["timestamp_ns"].dtype == np.int64
    assert frame["timestamp_ns"].tolist() == [2**62 + 1, 2**62 + 3]
    dtypes = {name: str(frame[name].dtype) for name in ("f32", "f64", "i32", "i64", "u64", "flag")}
    assert dtypes == {
        "f32": "float32",
        "f64": "float64",
        "i32": "float64",
        "i64": "Int64",
        "u64": "UInt64",
        "flag": "boolean",
    }
    assert frame["i64"][0] == 2**53 + 1
    assert frame["u64"][1] == 2**64 - 1
    assert frame["f64"][1] == math.inf
    assert [frame[name].isna().tolist() for name in ("text", "raw", "items")] == [[False, True]] * 3
    assert frame["items"][0].tolist() == [1.0, 2.0]
    assert frame["raw"][0] == b"\x00"


def test_a_wide_frame_can_be_added_to() -> None:
    columns = {f"c{n}": [0.5] for n in range(300)}
    frame = wide_frame(Merged([pa.table({"timestamp_ns": [1]} | columns)]))
    frame["more"] = 1.0  # a frame of 300 blocks would warn here, and warnings are errors
    assert frame.shape == (1, 302)
    assert isinstance(frame.index, pd.RangeIndex)
