"""SyncTransformer and its policies against a model that computes one tick and one row at a time."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mosaicolabs.ml import SyncAsOf, SyncDrop, SyncHold, SyncPolicy, SyncTransformer

NAMES = ["x", "y", "z"]
STEP_NS = 10
FPS = 1e9 / STEP_NS
INT64 = (-(2**63), 2**63 - 1)

Cell = Any
Rows = list[tuple[int, dict[str, Cell]]]


class MeanSinceLastTick:
    """A policy of a user that needs every sample, not only the last."""

    def apply(self, grid: Any, s_ts: Any, s_val: Any) -> Any:
        return np.array(
            [_mean(s_val[(tick - s_ts < STEP_NS) & (s_ts <= tick)]) for tick in grid.tolist()], dtype=object
        )


def _mean(samples: Any) -> float | None:
    return float(samples.astype(float).mean()) if len(samples) else None


POLICIES: dict[str, tuple[SyncPolicy, Callable[[int, list[tuple[int, Cell]]], Cell]]] = {
    "hold": (SyncHold(), lambda tick, past: past[-1][1] if past else None),
    "as of": (SyncAsOf(7), lambda tick, past: past[-1][1] if past and tick - past[-1][0] <= 7 else None),
    "drop": (SyncDrop(STEP_NS), lambda tick, past: past[-1][1] if past and tick - past[-1][0] < 10 else None),
    "mean": (
        MeanSinceLastTick(),
        lambda tick, past: _mean(np.array([value for time, value in past if time > tick - STEP_NS])),
    ),
}


def model(rows: Rows, names: list[str], value_at: Callable[[int, Any], Cell]) -> list[dict[str, Cell]]:
    """What the documentation says, for the whole recording at once."""
    if not rows:
        return []
    ticks = range(rows[0][0], rows[-1][0] + 1, STEP_NS)
    return [
        {"timestamp_ns": tick}
        | {
            name: value_at(
                tick, [(time, row[name]) for time, row in rows if time <= tick and row.get(name) is not None]
            )
            for name in names
        }
        for tick in ticks
    ]


@st.composite
def recordings(draw: st.DrawFn) -> tuple[Rows, list[int]]:
    """Rows of three columns with gaps, two mostly with the same ones, and where to cut them into chunks."""
    steps = draw(st.lists(st.integers(0, 6) | st.integers(0, 60), max_size=40))
    time = draw(st.integers(-100, 100) | st.sampled_from([INT64[0], INT64[1] - 2500]))
    rows: Rows = []
    alike = draw(st.integers(0, 40))
    for step in steps:
        time += step
        cells = {name: draw(st.none() | st.integers(-9, 9).map(float)) for name in NAMES}
        if len(rows) != alike:
            cells["z"] = None if cells["x"] is None else cells["x"] + 100
        rows.append((time, cells))
    # A chunk gives the tick at its last row's time, so rows of one time belong in one chunk.
    places = [n for n in range(len(rows) + 1) if n in (0, len(rows)) or rows[n - 1][0] < rows[n][0]]
    return rows, sorted(draw(st.lists(st.sampled_from(places), max_size=8)))


def pandas_frame(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame(
        {"timestamp_ns": np.array([time for time, _ in rows], dtype=np.int64)}
        | {name: np.array([row[name] for _, row in rows], dtype=float) for name in NAMES}
    )


def arrow_table(rows: Rows) -> pa.Table:
    return pa.table(
        {"timestamp_ns": pa.array([time for time, _ in rows], pa.int64())}
        | {name: pa.array([row[name] for _, row in rows], pa.float64()) for name in NAMES}
    )


def polars_frame(rows: Rows) -> pl.DataFrame:
    frame = pl.from_arrow(arrow_table(rows))
    assert isinstance(frame, pl.DataFrame)
    return frame


FRAMES: dict[str, tuple[Callable[[Rows], Any], Callable[[Any], list[dict[str, Cell]]]]] = {
    "pandas": (pandas_frame, lambda frame: frame.to_dict("records")),
    "arrow": (arrow_table, lambda table: table.to_pylist()),
    "polars": (polars_frame, lambda frame: frame.to_dicts()),
}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("policy", POLICIES)
@given(recording=recordings())
def test_every_tick_is_that_of_the_model_however_the_rows_are_cut(
    kind: str, policy: str, recording: tuple[Rows, list[int]]
) -> None:
    rows, cuts = recording
    (make, read), (applied, value_at) = FRAMES[kind], POLICIES[policy]
    sync = SyncTransformer(FPS, applied)
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        found += read(sync.transform(make(rows[begin:end])))
    assert found == model(rows, NAMES, value_at)


@given(
    s_ts=st.lists(st.integers(*INT64), min_size=1).map(sorted),
    grid=st.lists(st.integers(*INT64)).map(sorted),
    age=st.integers(0, 2**64),
)
@example(s_ts=[INT64[0]], grid=[INT64[1]], age=5)
def test_policies_by_themselves_over_all_of_int64(s_ts: list[int], grid: list[int], age: int) -> None:
    values = [f"at {time}" for time in s_ts]
    expected: dict[str, list[Cell]] = {"hold": [], "as of": [], "drop": []}
    for tick in grid:
        past = [place for place, time in enumerate(s_ts) if time <= tick]
        last = past[-1] if past else None
        old = None if last is None else tick - s_ts[last]
        value = None if last is None else values[last]
        expected["hold"].append(value)
        expected["as of"].append(value if old is not None and old <= age else None)
        expected["drop"].append(value if old is not None and old < age + 1 else None)
    arrays = np.array(grid, dtype=np.int64), np.array(s_ts), np.array(values)
    policies = {"hold": SyncHold(), "as of": SyncAsOf(age), "drop": SyncDrop(age + 1)}
    for name, policy in policies.items():
        applied = policy.apply(*arrays)
        assert applied.dtype == object
        assert applied.tolist() == expected[name]


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"timestamp_ns": columns.pop("t"), **columns})


def test_columns_come_in_order_as_objects_with_none() -> None:
    data = pd.DataFrame({"b": [1.5, None], "timestamp_ns": [0, 20], "a": ["x", None], "never": [None, None]})
    synced = SyncTransformer(FPS, SyncDrop(STEP_NS)).transform(data)
    assert list(synced.columns) == ["timestamp_ns", "b", "a", "never"]
    assert synced["timestamp_ns"].dtype == np.int64
    assert synced["timestamp_ns"].tolist() == [0, 10, 20]
    assert {synced[name].dtype for name in ("b", "a", "never")} == {np.dtype(object)}
    assert synced["b"].tolist() == [1.5, None, None]
    assert synced["a"].tolist() == ["x", None, None]
    assert synced["never"].tolist() == [None, None, None]
    assert synced.index.equals(pd.RangeIndex(3))


def test_values_of_any_kind_are_held_as_they_are() -> None:
    big = 2**63 - 1
    data = frame(
        t=[0, 20],
        number=pd.array([big, None], dtype="Int64"),
        flag=pd.array([True, None], dtype="boolean"),
        items=[np.array([1.0, 2.0]), None],
        day=pd.to_datetime(["2026-01-01", None]),
        raw=[b"\x00", None],
    )
    last = SyncTransformer(FPS).transform(data).iloc[-1]
    assert last["number"] == big
    assert last["flag"] is True
    assert last["items"].tolist() == [1.0, 2.0]
    assert last["day"] == pd.Timestamp("2026-01-01")
    assert last["raw"] == b"\x00"


def test_arrow_columns_keep_their_types() -> None:
    types = {
        "i": (pa.int64(), 2**63 - 1),
        "f": (pa.float32(), 0.5),
        "s": (pa.large_string(), "x"),
        "l": (pa.list_(pa.int16()), [1, 2]),
        "d": (pa.struct([("a", pa.int8())]), {"a": 1}),
        "t": (pa.timestamp("ns"), None),
    }
    table = pa.table(
        {"timestamp_ns": [0, 20]}
        | {name: pa.array([value, None], type_) for name, (type_, value) in types.items()}
    )
    for given_ in (table, table.to_batches()[0], table.to_reader()):
        synced = SyncTransformer(FPS).transform(given_)
        assert synced.schema.names == table.schema.names
        assert synced.schema.types == table.schema.types
        assert synced.to_pylist()[-1] == {name: value for name, (_, value) in types.items()} | {
            "timestamp_ns": 20
        }


def test_nan_is_not_a_sample_in_arrow_either() -> None:
    table = pa.table({"timestamp_ns": [0, 10], "x": [1.0, float("nan")]})
    assert SyncTransformer(FPS).transform(table).column("x").to_pylist() == [1.0, 1.0]


def test_numbers_that_a_policy_computes_keep_their_own_type() -> None:
    class Linear:
        def apply(self, grid: Any, s_ts: Any, s_val: Any) -> Any:
            return np.interp(grid, s_ts, s_val)

    data = {"timestamp_ns": [0, 20], "x": [1, 2]}
    assert SyncTransformer(FPS, Linear()).transform(pd.DataFrame(data))["x"].tolist() == [1.0, 1.5, 2.0]
    table = SyncTransformer(FPS, Linear()).transform(pa.table(data))
    assert table.column("x").to_pylist() == [1.0, 1.5, 2.0]


def test_columns_of_numbers_and_objects_keep_their_order() -> None:
    class Counted:
        def apply(self, grid: Any, s_ts: Any, s_val: Any) -> Any:
            return SyncHold().apply(grid, s_ts, s_val) if s_val.dtype == object else np.arange(len(grid))

    data = frame(t=[0, 10], n=[1, 2], o=["x", "y"], m=[0.5, 1.5], never=[None, None])
    synced = SyncTransformer(FPS, Counted()).transform(data)
    assert synced.to_dict("list") == {
        "timestamp_ns": [0, 10],
        "n": [0, 1],
        "o": ["x", "y"],
        "m": [0, 1],
        "never": [None, None],
    }
    assert [synced[name].dtype.kind for name in synced] == ["i", "i", "O", "i", "O"]


def test_subclass_of_a_policy_is_respected() -> None:
    class Doubled(SyncHold):
        def apply(self, grid: Any, s_ts: Any, s_val: Any) -> Any:
            return super().apply(grid, s_ts, s_val * 2)

    sync = SyncTransformer(FPS, Doubled())
    assert sync.transform(frame(t=[0, 10], x=[1.0, 2.0]))["x"].tolist() == [2.0, 4.0]


def test_a_policy_that_writes_to_its_input_changes_no_other_column() -> None:
    class Careless:
        def apply(self, grid: Any, s_ts: Any, s_val: Any) -> Any:
            values = SyncHold().apply(grid, s_ts, s_val)
            s_ts[:] = 2**62
            return values

    sync = SyncTransformer(FPS, Careless())
    for time in (0, 10):
        synced = sync.transform(frame(t=[time], x=[1.0], y=[2.0]))
        assert synced.to_dict("records") == [{"timestamp_ns": time, "x": 1.0, "y": 2.0}]


def test_a_chunk_without_samples_leaves_their_type() -> None:
    types = []

    class Noted:
        def apply(self, grid: Any, s_ts: Any, s_val: Any) -> Any:
            types.append(s_val.dtype)
            return SyncHold().apply(grid, s_ts, s_val)

    sync = SyncTransformer(FPS, Noted())
    for time, value in ((0, None), (10, 1.5), (20, None), (30, 2.5)):
        sync.transform(frame(t=[time], x=[value]))
    assert types == [np.float64] * 3


def test_names_of_columns_may_be_of_any_kind() -> None:
    for names in ([], [1, 2.5, "x"], [("a", "b"), ("a", "c")]):
        data = pd.DataFrame([[0, *map(float, range(len(names)))]], columns=["timestamp_ns", *names])
        synced = SyncTransformer(FPS).transform(data.astype({"timestamp_ns": int}))
        assert synced.columns.equals(data.columns)
        assert synced.iloc[0].tolist() == data.iloc[0].tolist()


def test_samples_of_a_chunk_without_a_due_tick_count_later() -> None:
    sync = SyncTransformer(FPS).fit(frame(t=[0], x=[0.0]))
    sync.transform(frame(t=[0], x=[0.0]))
    empty = sync.transform(frame(t=[4], x=[4.0]))
    assert list(empty.columns) == ["timestamp_ns", "x"]
    assert len(empty) == 0
    assert sync.transform(frame(t=[10], x=[None])).to_dict("records") == [{"timestamp_ns": 10, "x": 4.0}]


def test_columns_may_appear_and_disappear() -> None:
    sync = SyncTransformer(FPS)
    sync.transform(frame(t=[0], x=[1.0], y=[2.0]))
    assert list(sync.transform(frame(t=[10], y=[3.0])).columns) == ["timestamp_ns", "y"]
    assert sync.transform(frame(t=[20], x=[None], z=[None])).to_dict("records") == [
        {"timestamp_ns": 20, "x": 1.0, "z": None}
    ]


def test_a_column_may_change_its_type_without_loss() -> None:
    sync = SyncTransformer(FPS)
    sync.transform(frame(t=[0], x=[2**62 + 1]))
    held = sync.transform(frame(t=[10, 20], x=[None, 0.5]))
    assert held["x"].tolist() == [2**62 + 1, 0.5]


def test_fit_sets_the_first_tick_once_and_reset_clears_the_state() -> None:
    sync = SyncTransformer(FPS)
    assert sync.fit(frame(t=[5], x=[1.0])) is sync
    sync.fit(frame(t=[7], x=[1.0]))
    assert sync.transform(frame(t=[9, 16], x=[1.0, 2.0]))["timestamp_ns"].tolist() == [5, 15]
    sync.reset()
    again = sync.fit_transform(frame(t=[18, 28], x=[None, None]))
    assert again.to_dict("records") == [{"timestamp_ns": 18, "x": None}, {"timestamp_ns": 28, "x": None}]
    sync.reset()
    assert sync.transform(frame(t=[-3], x=[1.0]))["timestamp_ns"].tolist() == [-3]


def test_own_time_column_and_its_types() -> None:
    for times in ([0, 10], [0.0, 10.0], pd.array([0, 10], dtype="Int64"), np.array([0, 10], dtype=np.uint64)):
        data = pd.DataFrame({"stamp": times, "x": [1.0, 2.0]})
        synced = SyncTransformer(FPS, timestamp_column="stamp").transform(data)
        assert synced["stamp"].tolist() == [0, 10]


def test_the_step_is_cut_to_whole_nanoseconds() -> None:
    assert SyncTransformer(30).step_ns == 33_333_333
    assert SyncTransformer(0.5).step_ns == 2_000_000_000


def test_a_state_can_be_pickled_between_chunks() -> None:
    sync = SyncTransformer(FPS, SyncAsOf(25))
    sync.transform(frame(t=[0], x=[1.0]))
    assert pickle.loads(pickle.dumps(sync)).transform(frame(t=[10], x=[None]))["x"].tolist() == [1.0]


# Refused


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 2e9, 1e-320])
def test_rates_without_a_step(fps: float) -> None:
    with pytest.raises(ValueError, match="target_fps is"):
        SyncTransformer(fps)


@pytest.mark.parametrize("policy", [None, SyncHold, object()])
def test_invalid_policies_are_refused(policy: Any) -> None:
    with pytest.raises(TypeError, match="is not a policy"):
        SyncTransformer(FPS, policy)


def test_invalid_ages_are_refused() -> None:
    with pytest.raises(ValueError, match="tolerance_ns is -1"):
        SyncAsOf(-1)
    with pytest.raises(ValueError, match="step_ns is 0"):
        SyncDrop(0)


@pytest.mark.parametrize("error", [ValueError, KeyError])
@pytest.mark.parametrize("call", ["fit", "transform"])
def test_no_time_column(call: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^Unable to find time column 'timestamp_ns' among \['x'\]$"):
        getattr(SyncTransformer(FPS), call)(pd.DataFrame({"x": [1.0]}))


@pytest.mark.parametrize(
    "times",
    [
        [0.5, 1.0],
        [0.0, None],
        [0.0, float("inf")],
        [0.0, 1e19],
        ["a", "b"],
        pd.to_datetime([0, 1]),
        [0, 2**64 - 1],
    ],
)
def test_times_that_are_not_integers_are_refused(times: Any) -> None:
    with pytest.raises(ValueError, match="must contain integers, ns, without missing values"):
        SyncTransformer(FPS).transform(frame(t=times, x=[1.0, 2.0]))


def test_rows_out_of_order() -> None:
    with pytest.raises(ValueError, match="row 2 at 4 ns is earlier than the one before"):
        SyncTransformer(FPS).transform(frame(t=[0, 5, 4], x=[1.0, 2.0, 3.0]))
    sync = SyncTransformer(FPS)
    sync.transform(frame(t=[0, 5], x=[1.0, 2.0]))
    with pytest.raises(ValueError, match="begins at 4 ns, the last one ended at 5 ns"):
        sync.transform(frame(t=[4, 20], x=[1.0, 2.0]))


def test_time_that_would_exhaust_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="ticks of 10 ns lie between 0 and 1700000000000000000 ns"):
        SyncTransformer(FPS).transform(frame(t=[0, 1_700_000_000_000_000_000], x=[1.0, 2.0]))


def test_invalid_frames_are_refused() -> None:
    with pytest.raises(TypeError, match="dict is not a frame"):
        SyncTransformer(FPS).transform({"timestamp_ns": [0]})
    twice = pd.DataFrame([[0, 1.0, 2.0]], columns=["timestamp_ns", "x", "x"])
    with pytest.raises(ValueError, match=r"columns \['x'\] exist more than once"):
        SyncTransformer(FPS).transform(twice)


def test_a_policy_that_fails_changes_nothing() -> None:
    class Short:
        def apply(self, grid: Any, s_ts: Any, s_val: Any) -> Any:
            return SyncHold().apply(grid, s_ts, s_val) if s_val[-1] < 9 else s_val[:0]

    sync = SyncTransformer(FPS, Short())
    sync.transform(frame(t=[0], x=[1.0]))
    with pytest.raises(ValueError, match=r"gave column 'x' values of shape \(0,\); there are 2 ticks"):
        sync.transform(frame(t=[10, 20], x=[2.0, 9.0]))
    assert sync.transform(frame(t=[10, 20], x=[3.0, None]))["x"].tolist() == [3.0, 3.0]
