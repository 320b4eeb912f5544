"""`mosaicod import --mapping`: plain Parquet becomes topics, value by value, or is refused as a whole."""

import itertools
import json
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from harness.daemon import MOSAICOD, run_mosaicod
from harness.record import sequence_of, topic_of
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs import IMU, CameraInfo, Floating32, HeaderMixin, MosaicoClient, Serializable
from mosaicolabs.models._schema import message_schema

Write = Callable[[dict[str, Any], Path], None]

IMU_TOPIC = """
[[sequence]]
name = "flight"

[[sequence.topic]]
name = "imu"
files = "*.parquet"
ontology_tag = "imu"
"""
BY_NAME = """
[sequence.topic.columns]
timestamp_ns = "time"
"acceleration.x" = "ax"
"acceleration.y" = "ay"
"acceleration.z" = "az"
"""


def import_(source: Path, mapping: str, store: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    file = source.parent / f"{source.name}.toml"
    file.write_text(mapping)
    done = run_mosaicod("import", source, "--mapping", file, "--local-store", store, "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def refusal(source: Path, mapping: str, store: Path) -> str:
    """What is said about a folder that is not taken over; nothing of it is in the store."""
    file = source.parent / f"{source.name}.toml"
    file.write_text(mapping)
    done = run_mosaicod("import", source, "--mapping", file, "--local-store", store, "--json")
    assert done.returncode == 1, done.stdout
    assert not list(store.glob("seq/*"))
    if done.stdout:
        report = json.loads(done.stdout)
        assert report["sequences"] == []
        return str(report["problems"])
    return done.stderr


def whole(store: Path) -> None:
    done = run_mosaicod("check", "--deep", "--local-store", store)
    assert done.returncode == 0, done.stdout


def stored(store: Path, sequence: str = "flight", topic: str = "imu") -> pa.Table:
    with MosaicoClient.embedded(store) as client:
        return topic_of(client, sequence, topic).to_arrow()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def _pyarrow(columns: dict[str, Any], file: Path) -> None:
    pq.write_table(pa.table(columns), file, row_group_size=700)


def _pandas(columns: dict[str, Any], file: Path) -> None:
    pd.DataFrame(columns).to_parquet(file)


def _pandas_index(columns: dict[str, Any], file: Path) -> None:
    pd.DataFrame(columns).set_index("time").to_parquet(file, compression="gzip")


def _polars(columns: dict[str, Any], file: Path) -> None:
    pl.DataFrame(columns).write_parquet(file)


@pytest.mark.parametrize("write", [_pyarrow, _pandas, _pandas_index, _polars])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_columns_of_any_writer(write: Write, unit: str, source: Path, store: Path) -> None:
    rng = np.random.default_rng(7)
    seconds = rng.permutation(2000)
    force = {axis: rng.normal(size=2000) for axis in ("ax", "ay", "az")}
    times = seconds.astype(f"datetime64[{'ms' if unit == 's' else unit}]")
    for part in range(2):
        rows = slice(part * 1000, (part + 1) * 1000)
        columns = {"time": times[rows], **{axis: values[rows] for axis, values in force.items()}}
        if unit == "s":
            columns["time"] = seconds[rows]
        write(columns, source / f"part-{part}.parquet")
    mapping = IMU_TOPIC + BY_NAME
    factor = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    if unit == "s":
        mapping = mapping.replace('"time"', '{ column = "time", unit = "s" }')
    report = import_(source, mapping, store)
    assert (report["sequences"], report["topics"], report["rows"]) == (["flight"], 1, 2000)
    table = stored(store)
    assert table["timestamp_ns"].to_pylist() == [at * factor for at in range(2000)]
    order = np.argsort(seconds)
    for axis in "xyz":
        found = table["acceleration"].combine_chunks().field(axis)
        assert found.equals(pa.array(force[f"a{axis}"][order]))
    whole(store)


def test_a_mapping_of_everything(source: Path, store: Path) -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
    when_ns = int(when.timestamp()) * 10**9 + 678901000
    table = pa.table(
        {
            "t": pa.array([when, when], pa.timestamp("us", "Europe/Rome")),
            "received": pa.array([1767323045.75, None], pa.float64()),
            "frame": pa.array(["a", "b"]).dictionary_encode(),
            "pose": pa.array(
                [{"gyro": {"x": 1.0, "y": 2.0, "z": 3.0}, "spare": 1}, None],
                pa.struct([("gyro", pa.struct([(a, pa.float64()) for a in "xyz"])), ("spare", pa.int8())]),
            ),
            "ax_g": pa.array([1, None], pa.int16()),
            "acceleration.y": pa.array([2.5, 3.5], pa.float32()),
            "acceleration.z": pa.array([9, 8], pa.uint64()),
            "matrix": pa.array([[1, 2], []], pa.large_list(pa.int32())),
            "__index_level_0__": [0, 1],
            "note": ["x", "y"],
        }
    )
    mapping = """
    [[sequence]]
    name = "drive-{flight}"
    metadata = { robot = "{robot}", runs = [1, 2], nested = { on = 2026-01-02 } }

    [[sequence.topic]]
    name = "imu/{side}"
    files = "robot={robot}/{flight}/{side}-*.parquet"
    ontology_tag = "imu"
    metadata = { side = "{side}" }
    ignore = ["__index_level_*__", "note", "pose.spare"]

    [sequence.topic.columns]
    timestamp_ns = "t"
    recording_timestamp_ns = { column = "received", unit = "s" }
    "header.stamp" = "t"
    "header.frame_id" = "frame"
    "header.seq" = { constant = 7 }
    "acceleration.x" = { column = "ax_g", scale = 9.80665, offset = 0.5 }
    "acceleration.covariance" = "matrix"
    "acceleration.covariance_type" = { constant = 3 }
    "angular_velocity" = "pose.gyro"
    "orientation.covariance" = { constant = [1, 0.5] }
    """
    for flight, side in itertools.product(["f1", "f2"], ["left", "right"]):
        folder = source / "robot=r7" / flight
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / f"{side}-0.parquet")
    pq.write_table(table, source / "robot=r7" / "stray.parquet")
    report = import_(source, mapping, store)
    assert report["sequences"] == ["drive-f1", "drive-f2"]
    assert (report["topics"], report["rows"]) == (4, 8)
    assert report["left_out"] == ["robot=r7/stray.parquet"]
    with MosaicoClient.embedded(store) as client:
        flight = sequence_of(client, "drive-f2")
        assert flight.user_metadata == {"robot": "r7", "runs": [1, 2], "nested": {"on": "2026-01-02"}}
        assert flight.topics == ["/imu/left", "/imu/right"]
        topic = topic_of(client, "drive-f2", "imu/left")
        assert topic.user_metadata == {"side": "left"}
        first, second = [(message, message.get_data(IMU)) for message in topic.get_data_streamer()]
        assert [m.timestamp_ns for m, _ in (first, second)] == [when_ns, when_ns]
        assert [m.recording_timestamp_ns for m, _ in (first, second)] == [1767323045750000000, None]
        header = first[1].header
        assert header is not None
        assert (header.stamp.to_nanoseconds(), header.frame_id, header.seq) == (when_ns, "a", 7)
        force = first[1].acceleration
        assert (force.x, force.y, force.z) == (9.80665 + 0.5, 2.5, 9.0)
        assert (force.covariance, force.covariance_type) == ([1.0, 2.0], 3)
        rate = first[1].angular_velocity
        assert rate is not None
        assert (rate.x, rate.y, rate.z) == (1.0, 2.0, 3.0)
        assert second[1].angular_velocity is None
        table = topic.to_arrow()
        assert table["orientation"].combine_chunks().field("covariance").to_pylist() == [[1.0, 0.5]] * 2
        # The same columns as those of a recording.
        assert table.schema.equals(message_schema(IMU), check_metadata=False)
    whole(store)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"az": None}, "no column `az`"),
        ({"extra": [1, 2, 3]}, "the columns `extra` of a.parquet are mapped to nothing"),
        ({"ax.raw": [1, 2, 3]}, "the columns `ax.raw` of a.parquet are mapped to nothing"),
        (
            {"time": pa.array([1, None, 3])},
            "a.parquet: column `timestamp_ns`, row 1: null was given, Int64 is required (from `time`)",
        ),
        ({"time": pa.array([1.0, 2.5, 3.0])}, "row 1: Int64 cannot hold 2.5 without loss (from `time`)"),
        (
            {"time": pa.array(["1", "2", "3"])},
            "column `timestamp_ns`: Utf8 was given, Int64 is required (from `time`)",
        ),
        (
            {"time": pa.array([1, 2, 2**60], pa.timestamp("us"))},
            "column `timestamp_ns`, row 2: Timestamp(ns) cannot hold",
        ),
        (
            {"az": [1, 2, 2**53 + 1]},
            "column `acceleration.z`, row 2: Float64 cannot hold 9007199254740993 without loss (from `az`)",
        ),
        ({"az": [[1.0], [2.0], [3.0]]}, "column `acceleration.z`: List(Float64"),
    ],
)
def test_lossy_imports_are_refused(change: dict[str, Any], words: str, source: Path, store: Path) -> None:
    columns = {"time": [1, 2, 3], "ax": [1.0] * 3, "ay": [1.0] * 3, "az": [1.0] * 3} | change
    pq.write_table(pa.table({k: v for k, v in columns.items() if v is not None}), source / "a.parquet")
    assert words in refusal(source, IMU_TOPIC + BY_NAME, store).replace("\\'", "'")


def test_rows_are_counted_from_the_first_of_their_file(source: Path, store: Path) -> None:
    values = pa.array([1.0] * 250_000 + [None], pa.float64())
    table = pa.table({"timestamp_ns": range(250_001), "data": values})
    pq.write_table(table, source / "b.parquet", row_group_size=10_000)
    pq.write_table(table.slice(0, 10), source / "a.parquet")
    mapping = IMU_TOPIC.replace('"imu"', '"floating64"')
    assert "b.parquet: column `data`, row 250000: null was given" in refusal(source, mapping, store)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (IMU_TOPIC.replace("ontology_tag", "ontologytag"), "did you mean `ontology_tag`?"),
        (IMU_TOPIC.replace("*.parquet", "*.pq"), "has no file like `*.pq`"),
        (IMU_TOPIC.replace('tag = "imu"', 'tag = "imus"'), "no class with the tag `imus`"),
        (IMU_TOPIC.replace("flight", "{flight}"), "`files` does not have"),
        (IMU_TOPIC + IMU_TOPIC, "makes the sequence `flight` twice"),
        (IMU_TOPIC.replace('name = "imu"', 'name = ""'), "name"),
        (IMU_TOPIC + "[sequence.topic.columns]\nacceleration.x = 'ax'", "unknown field `x`"),
        (IMU_TOPIC + "schema = 'none.arrow'", "none.arrow cannot be used as a schema"),
        (IMU_TOPIC + BY_NAME + "hight = 'az'", "column `hight`"),
        (IMU_TOPIC + BY_NAME + "header = { constant = 'x' }", "column `header`: Utf8 was given"),
        (IMU_TOPIC + BY_NAME + "'header.seq' = { constant = -1 }", "UInt32 cannot hold -1"),
    ],
)
def test_invalid_mappings_are_refused(mapping: str, words: str, source: Path, store: Path) -> None:
    columns = {"time": [1, 2], "ax": [1.0, 2.0], "ay": [1.0, 2.0], "az": [1.0, 2.0]}
    pq.write_table(pa.table(columns), source / "a.parquet")
    assert words in refusal(source, mapping, store)


def test_failure_of_one_sequence_does_not_affect_others(source: Path, store: Path) -> None:
    good = pa.table({"timestamp_ns": [1, 2], "data": pa.array([0.5, 1.5], pa.float64())})
    for name, table in [("a", good), ("b", good.drop_columns("data")), ("c", good)]:
        (source / name).mkdir()
        pq.write_table(table, source / name / "x.parquet")
    (source / "d").mkdir()
    damaged = bytearray((source / "a" / "x.parquet").read_bytes())
    damaged[4:60] = bytes(56)
    (source / "d" / "x.parquet").write_bytes(damaged)
    mapping = """
    [[sequence]]
    name = "{flight}"
    [[sequence.topic]]
    name = "level"
    files = "{flight}/x.parquet"
    ontology_tag = "floating32"
    """
    report = import_(source, mapping, store, code=1)
    assert report["sequences"] == ["a", "c"]
    missing, unreadable = sorted(problem["text"] for problem in report["problems"])
    assert "column `data`: missing" in missing
    assert "`d`" in unreadable
    assert len(list((store / "seq").iterdir())) == 2
    with MosaicoClient.embedded(store) as client:
        messages = topic_of(client, "a", "level").get_data_streamer()
        assert [message.get_data(Floating32).data for message in messages] == [0.5, 1.5]


def test_several_topics_of_one_file(source: Path, store: Path) -> None:
    table = pa.table({"t": [1, 2], "celsius": [20.0, 21.0], "pascal": [1e5, 1.1e5]})
    pq.write_table(table, source / "weather.parquet", compression="brotli")
    mapping = """
    [[sequence]]
    name = "weather"
    [[sequence.topic]]
    name = "temperature"
    files = "weather.parquet"
    ontology_tag = "temperature"
    columns = { timestamp_ns = "t", value = { column = "celsius", offset = 273.15 } }
    [[sequence.topic]]
    name = "pressure"
    files = "weather.parquet"
    ontology_tag = "pressure"
    columns = { timestamp_ns = "t", value = "pascal" }
    """
    assert import_(source, mapping, store)["topics"] == 2
    assert stored(store, "weather", "temperature")["value"].to_pylist() == [293.15, 294.15]
    assert stored(store, "weather", "pressure")["value"].to_pylist() == [1e5, 1.1e5]
    assert "`pascal`" in refusal(source, mapping[: mapping.rindex("[[sequence.topic]]")], store / "other")


class PlainWheel(Serializable, HeaderMixin):
    """Speed of one wheel, of a class that the package does not have."""

    __msco_pyarrow_struct__ = pa.struct([pa.field("rpm", pa.float64(), nullable=False)])
    rpm: float


def test_a_class_of_the_user(source: Path, store: Path) -> None:
    pq.write_table(pa.table({"timestamp_ns": [5], "rpm": [1.5]}), source / "a.parquet")
    struct = PlainWheel.__msco_pyarrow_struct__
    (source.parent / "wheel.arrow").write_bytes(pa.schema(list(struct)).serialize())
    mapping = IMU_TOPIC.replace('tag = "imu"', 'tag = "plain_wheel"\nschema = "wheel.arrow"')
    import_(source, mapping, store)
    with MosaicoClient.embedded(store) as client:
        [message] = topic_of(client, "flight", "imu").get_data_streamer()
        assert message.get_data(PlainWheel).rpm == 1.5
        assert client.topic_handler("flight", "imu").to_arrow().schema.equals(message_schema(PlainWheel))


def test_existing_data_stays_and_the_source_is_unchanged(source: Path, store: Path) -> None:
    pq.write_table(pa.table({"timestamp_ns": [5], "data": [1.5]}), source / "a.parquet")
    source.joinpath("a.parquet").chmod(0o444)
    before = [(file, file.stat().st_mtime_ns, file.read_bytes()) for file in source.iterdir()]
    mapping = IMU_TOPIC.replace('tag = "imu"', 'tag = "floating64"')
    assert import_(source, mapping, store)["sequences"] == ["flight"]
    again = import_(source, mapping, store)
    assert (again["sequences"], again["present"], again["rows"]) == ([], ["flight"], 0)
    assert [(file, file.stat().st_mtime_ns, file.read_bytes()) for file in source.iterdir()] == before
    assert "lie in each other" in refusal(source, mapping, source / "store")


def test_dry_run_reports_and_writes_nothing(source: Path, store: Path) -> None:
    columns = {"time": [1, 2], "ax": [1.0, 2.0], "ay": [1.0, 2.0], "az": [1.0, 2.0]}
    pq.write_table(pa.table(columns), source / "a.parquet")
    pq.write_table(pa.table(columns), source / "b.parquet")
    report = import_(source, IMU_TOPIC + BY_NAME, store, "--dry-run")
    [flight] = report["sequences"]
    [topic] = flight["topics"]
    assert (topic["rows"], topic["files"]) == (4, ["a.parquet", "b.parquet"])
    assert topic["columns"]["acceleration.x"] == "ax"
    assert not store.exists()
    mapping = source.parent / "plain.toml"
    done = run_mosaicod("import", source, "--mapping", mapping, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "acceleration.x = ax" in done.stdout
    assert run_mosaicod("import", source, "--local-store", store, "--dry-run").returncode == 2


def test_killed_import_resumes(source: Path, store: Path) -> None:
    rows = pa.table({"timestamp_ns": range(100_000), "data": np.random.default_rng(1).normal(size=100_000)})
    names = [f"f{number:02}" for number in range(12)]
    for name in names:
        pq.write_table(rows, source / f"{name}.parquet")
    mapping = """
    [[sequence]]
    name = "{name}"
    [[sequence.topic]]
    name = "level"
    files = "{name}.parquet"
    ontology_tag = "floating64"
    """
    file = source.parent / "plain.toml"
    file.write_text(mapping)
    command = [MOSAICOD, "import", source, "--mapping", file, "--local-store", store]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and len(list(store.glob("seq/*/final.json"))) < 3:
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -signal.SIGKILL, "it was faster than the test"
    done = import_(source, mapping, store)
    assert 2 <= len(done["present"]) < len(names)
    assert sorted(done["present"] + done["sequences"]) == names
    with MosaicoClient.embedded(store) as client:
        for name in names:
            assert topic_of(client, name, "level").to_arrow()["data"].equals(rows["data"])
    whole(store)


def test_chunks_of_a_store_of_mosaico_are_plain_parquet(shared: Path, tmp_path: Path) -> None:
    reference, stores = shared / "data" / "reference_store", [tmp_path / "whole", tmp_path / "plain"]
    done = run_mosaicod("import", reference / "store", "--local-store", stores[0], "--assume-finalized")
    assert done.returncode == 0, done.stderr
    mapping = """
    [[sequence]]
    name = "small-types"
    [[sequence.topic]]
    name = "counter"
    files = "small-types/counter/*.parquet"
    ontology_tag = "integer64"
    """
    folder = reference / "store"
    [kind] = {
        topic["ontology_tag"]
        for name, topic in json.loads((reference / "expected.json").read_text())["sequences"]["small-types"][
            "topics"
        ].items()
        if name == "/counter"
    }
    (tmp_path / "m.toml").write_text(mapping.replace("integer64", kind))
    done = run_mosaicod("import", folder, "--mapping", tmp_path / "m.toml", "--local-store", stores[1])
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (stored(store, "small-types", "counter") for store in stores)
    assert first.num_rows > 0
    assert first.equals(second)


def test_a_real_recording(shared: Path, tmp_path: Path) -> None:
    euroc = shared / "data" / "euroc_micro"
    source = tmp_path / "plain"
    source.mkdir()
    table = pyarrow.csv.read_csv(euroc / "mav0" / "imu0" / "data.csv")
    pq.write_table(table, source / "imu0.parquet", row_group_size=5000)
    names = table.column_names
    columns = [
        "timestamp_ns",
        *(f"angular_velocity.{a}" for a in "xyz"),
        *(f"acceleration.{a}" for a in "xyz"),
    ]
    lines = "\n".join(f'"{column}" = "{name}"' for column, name in zip(columns, names, strict=True))
    mapping = f"{IMU_TOPIC}\n[sequence.topic.columns]\n{lines}\n"
    assert import_(source, mapping, tmp_path / "store")["rows"] == table.num_rows == 29120
    found = stored(tmp_path / "store")
    for column, name in zip(columns, names, strict=True):
        outer, *inner = column.split(".")
        values = found[outer].combine_chunks()
        assert (values.field(*inner) if inner else values).equals(table[name].combine_chunks())


def test_a_camera_with_fixed_lists(source: Path, store: Path) -> None:
    table = pa.table(
        {
            "timestamp_ns": [1],
            "K": pa.array([np.arange(9.0)], pa.list_(pa.float32())),
            "D": pa.array([[0.1, 0.2]]),
        }
    )
    pq.write_table(table, source / "a.parquet", compression="lz4")
    mapping = (
        IMU_TOPIC.replace('tag = "imu"', 'tag = "camera_info"')
        + """
    [sequence.topic.columns]
    intrinsic_parameters = "K"
    distortion_parameters = "D"
    distortion_model = { constant = "plumb_bob" }
    width = { constant = 640 }
    height = { constant = 480 }
    rectification_parameters = { constant = [1, 0, 0, 0, 1, 0, 0, 0, 1] }
    projection_parameters = { constant = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0] }
    """
    )
    import_(source, mapping, store)
    with MosaicoClient.embedded(store) as client:
        [message] = topic_of(client, "flight", "imu").get_data_streamer()
        camera = message.get_data(CameraInfo)
        assert (camera.width, camera.height, camera.distortion_model) == (640, 480, "plumb_bob")
        assert list(camera.intrinsic_parameters) == list(np.arange(9.0))
        assert list(camera.distortion_parameters) == [0.1, 0.2]
        assert list(camera.projection_parameters)[:2] == [1.0, 0.0]


ANY_FLOAT = st.floats(width=32)
ROWS = st.lists(
    st.tuples(
        st.integers(-(2**62), 2**62),
        ANY_FLOAT,
        st.none() | ANY_FLOAT,
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.none() | st.lists(ANY_FLOAT, max_size=3),
    ),
    max_size=30,
)


@given(
    parts=st.lists(ROWS, min_size=1, max_size=3),
    float_type=st.sampled_from([pa.float32(), pa.float64()]),
    text_type=st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]),
    codec=st.sampled_from(["none", "snappy", "gzip", "zstd", "lz4", "brotli"]),
    group=st.integers(1, 20),
)
def test_any_rows_come_back(
    parts: list[list[tuple[Any, ...]]],
    float_type: pa.DataType,
    text_type: pa.DataType,
    codec: str,
    group: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    source, store = folder / "plain", folder / "store"
    source.mkdir()
    types = [pa.int64(), float_type, float_type, text_type, pa.list_(float_type)]
    for number, rows in enumerate(parts):
        columns = [pa.array([row[index] for row in rows], kind) for index, kind in enumerate(types)]
        table = pa.table(columns, ["time", "ax", "ay", "frame", "matrix"])
        pq.write_table(table, source / f"{number}.parquet", compression=codec, row_group_size=group)
    mapping = (
        IMU_TOPIC
        + """
    [sequence.topic.columns]
    timestamp_ns = "time"
    "acceleration.x" = "ax"
    "acceleration.y" = "ay"
    "acceleration.z" = { constant = 0 }
    "acceleration.covariance" = "matrix"
    "header.frame_id" = "frame"
    """
    )
    rows = import_(source, mapping, store)["rows"]
    assert rows == sum(map(len, parts))
    if rows == 0:  # a topic without rows has nothing to read
        return
    table = stored(store)
    force = table["acceleration"].combine_chunks()
    frames = pa.compute.struct_field(table["header"].combine_chunks(), "frame_id")
    found = zip(
        table["timestamp_ns"].to_pylist(),
        *(force.field(name).to_pylist() for name in ("x", "y")),
        frames.to_pylist(),
        force.field("covariance").to_pylist(),
        strict=True,
    )
    expected = sorted(itertools.chain(*parts), key=lambda row: row[0])
    assert repr(list(found)) == repr(expected)  # NaN is not itself
