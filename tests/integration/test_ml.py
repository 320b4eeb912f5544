"""DataFrameExtractor on real daemons: its frames against a replay, message by message."""

import inspect
import json
import logging
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from harness.daemon import Daemon
from harness.record import number, record_numbers, sequence_of
from harness.script import finish

from mosaicolabs import (
    GPS,
    IMU,
    Boolean,
    CompressedImage,
    Floating64,
    Header,
    ImageFormat,
    Message,
    MosaicoClient,
    Point3d,
    RobotJoint,
    SequenceHandler,
    Serializable,
    String,
    Time,
    Vector3d,
)
from mosaicolabs.ingest import find_reader, ingest
from mosaicolabs.ml import DataFrameExtractor, SyncHold, SyncTransformer
from mosaicolabs.models._schema import message_schema

START = 1_700_000_000_000_000_000
WINDOWS = [0.013, 0.1, 1e6, math.inf]


# The model: one dict per replayed message


def row_of(topic: str, message: Message) -> dict[str, Any]:
    cls = message.ontology_type()
    values = message.data.model_dump() | {"recording_timestamp_ns": message.recording_timestamp_ns}
    row: dict[str, Any] = {"timestamp_ns": message.timestamp}
    for field in list(message_schema(cls))[1:]:
        flatten(f"{topic}.{cls.ontology_tag()}.{field.name}", field.type, values[field.name], row)
    return row


def flatten(name: str, type_: pa.DataType, value: Any, row: dict[str, Any]) -> None:
    if pa.types.is_struct(type_):
        for child in type_:
            flatten(f"{name}.{child.name}", child.type, None if value is None else value[child.name], row)
    else:
        row[name] = value.value if hasattr(value, "value") else value


def replayed(sequence: SequenceHandler, *args: Any) -> list[dict[str, Any]]:
    rows = [row_of(topic, message) for topic, message in sequence.get_data_streamer(*args)]
    names = {name: None for row in rows for name in row}
    return [dict.fromkeys(names) | row for row in rows]


def present(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what is missing, for those whose columns are not all known."""
    return [{name: value for name, value in row.items() if plain(value) is not None} for row in rows]


def plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | list):
        return [plain(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return None if value is pd.NA else value


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {name: [plain(value) for value in frame[name].tolist()] for name in frame}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def together(frames: Iterator[pd.DataFrame]) -> list[dict[str, Any]]:
    return [row for frame in frames for row in plain_rows(frame)]


def assert_same_rows(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == {name: plain(value) for name, value in theirs.items()}


# Recordings


def mixed(step: int) -> dict[str, Serializable]:
    """The messages of one instant; topics of several classes, some of one class, some rarer than others."""
    phase = step / 10
    header = Header(stamp=Time(sec=step, nanosec=step), frame_id=f"frame-{step % 3}", seq=step)
    sample = IMU(acceleration=Vector3d(x=math.sin(phase), y=0.0, z=9.81), header=header)
    messages: dict[str, Serializable] = {f"imu/{n}": sample.model_copy() for n in range(10)}
    messages["text"] = String(data=f"step {step}")
    messages["flag"] = Boolean(data=step % 2 == 0)
    if step % 5 == 0:
        messages["gps"] = GPS(position=Point3d(x=45.0, y=9.0, z=step, covariance=[float(step)] * 9))
        messages["joints"] = RobotJoint(
            names=["a", "b"], positions=[phase, 1.0], velocities=[], efforts=[0.0, phase]
        )
        messages["nan"] = Floating64(data=math.nan if step % 2 else math.inf)
    if step < 3:
        messages["early"] = Floating64(data=phase)
    return messages


@pytest.fixture
def sixteen(either: MosaicoClient, name: str) -> SequenceHandler:
    """16 topics and one without data, 0.6 s; messages of a topic arrive out of order."""
    with either.sequence_create(name) as sequence:
        writers = {topic: sequence.topic_create(topic, {}, type(data)) for topic, data in mixed(0).items()}
        sequence.topic_create("silent", {}, IMU)
        for step in [*range(30, 60), *range(30)]:
            for topic, data in mixed(step).items():
                time = START + step * 10_000_000
                recorded = time + 7 if topic == "flag" else None
                writers[topic].push(Message(timestamp_ns=time, recording_timestamp_ns=recorded, data=data))
    return sequence_of(either, name)


def test_frames_equal_a_replay_for_any_window(sixteen: SequenceHandler) -> None:
    expected = replayed(sixteen)
    assert len(sixteen.topics) == 17
    extractor = DataFrameExtractor(sixteen)
    for window in WINDOWS:
        frames = list(extractor.to_pandas_chunks(window_sec=window))
        assert {tuple(frame.columns) for frame in frames} == {tuple(frames[0].columns)}
        assert set(frames[0].columns) == set(expected[0])
        assert_same_rows(together(iter(frames)), expected)
        tables = pa.concat_tables(extractor.to_arrow_chunks(window_sec=window))
        assert tables["timestamp_ns"].to_pylist() == [row["timestamp_ns"] for row in expected]


def test_columns_are_grouped_by_topic(sixteen: SequenceHandler) -> None:
    frame = next(DataFrameExtractor(sixteen).to_pandas_chunks(["/flag", "/text"]))
    tail = ["recording_timestamp_ns", "data", "header.seq", "header.stamp.sec", "header.stamp.nanosec"]
    tail += ["header.frame_id"]
    assert list(frame.columns) == [
        "timestamp_ns",
        *(f"/text.string.{name}" for name in tail),
        *(f"/flag.boolean.{name}" for name in tail),
    ]
    assert frame["timestamp_ns"].dtype == np.int64
    assert frame["timestamp_ns"].is_monotonic_increasing
    assert frame["/flag.boolean.recording_timestamp_ns"].dropna().tolist() == [
        START + step * 10_000_000 + 7 for step in range(60)
    ]


def test_topics_are_selected_and_empty_ones_skipped(sixteen: SequenceHandler) -> None:
    extractor = DataFrameExtractor(sixteen)
    chosen = ["/gps", "/silent", "/early"]
    assert_same_rows(together(extractor.to_pandas_chunks(chosen, 0.1)), replayed(sixteen, chosen))
    assert len(together(extractor.to_pandas_chunks([], 0.1))) == len(replayed(sixteen))


@pytest.mark.parametrize(
    ("start", "end"),
    [(None, 300), (200, None), (100, 101), (105, 395), (-5000, 5000), (590, 591), (591, 600), (300, 100)],
)
def test_a_part_of_the_time(sixteen: SequenceHandler, start: int | None, end: int | None) -> None:
    bounds = [None if ms is None else START + ms * 1_000_000 for ms in (start, end)]
    for window in (0.03, math.inf):
        found = together(DataFrameExtractor(sixteen).to_pandas_chunks(None, window, *bounds))
        assert_same_rows(present(found), present(replayed(sixteen, None, *bounds)))


def test_windows_begin_where_the_sequence_or_the_part_does(sixteen: SequenceHandler) -> None:
    extractor = DataFrameExtractor(sixteen)
    for start, first in ((0, START), (START + 35_000_000, START + 35_000_000)):
        for place, frame in enumerate(extractor.to_pandas_chunks(["/text"], 0.02, start)):
            times = frame["timestamp_ns"] - first
            assert times.between(place * 20_000_000, (place + 1) * 20_000_000 - 1).all()
            assert len(frame)


# Ends and gaps


def times_of(sequence: SequenceHandler, window_ns: int, *bounds: int | None) -> list[list[int]]:
    frames = DataFrameExtractor(sequence).to_pandas_chunks(None, window_ns / 1e9, *bounds)
    return [frame["timestamp_ns"].tolist() for frame in frames]


def test_last_message_is_included(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"a": [(0, 1), (100, 2)], "b": [(200, 3)]})
    sequence = sequence_of(either, name)
    assert times_of(sequence, 100) == [[0], [100], [200]]
    assert times_of(sequence, 70) == [[0], [100], [200]]
    assert times_of(sequence, 200) == [[0, 100, 200]]
    assert times_of(sequence, 100, None, 201) == [[0], [100], [200]]
    assert times_of(sequence, 100, None, 10**6) == [[0], [100], [200]]
    assert times_of(sequence, 100, None, 200) == [[0], [100]]  # an end is exclusive
    assert times_of(sequence, 100, 200) == [[200]]


@pytest.mark.parametrize("time", [0, -(2**63), 2**63 - 1, START])
def test_a_single_instant(either: MosaicoClient, name: str, time: int) -> None:
    record_numbers(either, name, {"a": [(time, 1)], "b": [(time, 2)]})
    frames = list(DataFrameExtractor(sequence_of(either, name)).to_pandas_chunks())
    assert [frame["timestamp_ns"].tolist() for frame in frames] == [[time, time]]
    assert frames[0]["/a.integer64.data"].tolist() == [1, pd.NA]
    assert frames[0]["/b.integer64.data"].tolist() == [pd.NA, 2]


def test_empty_windows_are_included_only_before_others(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"a": [(0, 1), (35, 2)], "b": [(100, 3)]})
    sequence = sequence_of(either, name)
    assert times_of(sequence, 10) == [[0], [], [], [35], [], [], [], [], [], [], [100]]
    assert times_of(sequence, 10, 20, 90) == [[], [35]]
    assert times_of(sequence, 10, 40, 90) == []
    empty = list(DataFrameExtractor(sequence).to_pandas_chunks(None, 1e-8))[1]
    assert len(empty.columns) == 1 + 2 * 6


def test_one_frame_for_everything_is_logged(
    either: MosaicoClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    record_numbers(either, name, {"a": [(0, 1), (10**9, 2)]})
    extractor = DataFrameExtractor(sequence_of(either, name))
    with caplog.at_level(logging.WARNING, logger="mosaicolabs"):
        assert len(list(extractor.to_pandas_chunks(window_sec=0.5))) == 3
        assert not caplog.records
        assert len(list(extractor.to_pandas_chunks())) == 1
    assert "a window of 5 s covers the whole selection" in caplog.text


MEMORY = """
import resource, sys
from mosaicolabs import MosaicoClient
from mosaicolabs.ml import DataFrameExtractor
import pandas
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
client = MosaicoClient.connect("127.0.0.1", int(sys.argv[1]))
extractor = DataFrameExtractor(client.sequence_handler(sys.argv[2]))
before = peak()
print(sum(map(len, extractor.to_pandas_chunks(window_sec=1e-9))), peak() - before)
"""


def test_memory_is_bounded_by_window_and_read_ahead(daemon: Daemon) -> None:
    pixels = os.urandom(250_000)
    with daemon.connect() as client:
        with client.sequence_create("large") as sequence:
            writers = [sequence.topic_create(f"t{n:02}", {}, CompressedImage) for n in range(16)]
            for time in range(100):
                for writer in writers:
                    picture = CompressedImage(data=pixels, format=ImageFormat.JPEG)
                    writer.push(Message(timestamp_ns=time, data=picture))
        rows, growth = map(int, finish(MEMORY, daemon.port, "large").split())
    assert rows == 16 * 100
    assert growth < 150_000_000, "of 400 MB"


# Real recordings


@pytest.mark.parametrize(("path", "messages"), [("euroc_micro", 29_200), ("px4_sample.ulg", 0)])
def test_real_recordings(
    standing_store: MosaicoClient, shared: Path, name: str, path: str, messages: int
) -> None:
    source = shared / "data" / path
    result = ingest(standing_store, find_reader(source).open(source), name)
    counts = result.messages
    assert sum(counts.values()) >= messages
    numbers = [topic for topic in result.handler.topics if "cam" not in topic]
    expected = present(replayed(result.handler, numbers))
    whole = pd.concat(DataFrameExtractor(result.handler).to_pandas_chunks(numbers, 2.0), ignore_index=True)
    assert whole["timestamp_ns"].tolist() == [row["timestamp_ns"] for row in expected]
    for column in whole:
        ours = whole[column].dropna()
        theirs = {place: row[column] for place, row in enumerate(expected) if column in row}
        assert ours.index.tolist() == list(theirs)
        assert [plain(value) for value in ours.tolist()] == list(map(plain, theirs.values()))
    frames = list(DataFrameExtractor(result.handler).to_pandas_chunks(window_sec=1.0))
    assert sum(map(len, frames)) == sum(counts.values())


# Streams


def test_streamer_of_the_handler_is_not_affected(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, {"a": [(time, time) for time in range(10)]})
    sequence = sequence_of(either, name)
    streamer = sequence.get_data_streamer()
    frames = DataFrameExtractor(sequence).to_pandas_chunks(None, 2e-9)
    other = DataFrameExtractor(sequence).to_pandas_chunks(None, 5e-9)
    times = [(next(frames)["timestamp_ns"].tolist(), next(streamer)[1].timestamp) for _ in range(3)]
    assert times == [([0, 1], 0), ([2, 3], 1), ([4, 5], 2)]
    assert next(other)["timestamp_ns"].tolist() == [0, 1, 2, 3, 4]


def test_recording_in_progress_gives_the_snapshot_of_the_handler(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        writer = sequence.topic_create("a", {}, type(number(0, 0).data))
        for time in range(10):
            writer.push(number(time, time))
        writer.flush()
        handler = sequence_of(either, name)
        writer.push(number(10, 10))
        writer.flush()
        assert times_of(handler, 4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_messages_come_back_from_frames(sixteen: SequenceHandler) -> None:
    topics = ["/imu/0", "/flag", "/gps", "/joints"]
    expected: dict[str, list[Message]] = {topic: [] for topic in topics}
    for topic, message in sixteen.get_data_streamer(topics):
        expected[topic].append(message)
    found: dict[str, list[Message]] = {topic: [] for topic in topics}
    for frame in DataFrameExtractor(sixteen).to_pandas_chunks(topics, 0.1):
        for _, row in frame.iterrows():
            for topic, messages in found.items():
                message = Message.from_dataframe_row(row, topic)
                if message is not None:
                    messages.append(message)
    assert found == expected


def test_frames_at_a_steady_rate(sixteen: SequenceHandler) -> None:
    whole = None
    for window in WINDOWS:
        sync = SyncTransformer(target_fps=130, policy=SyncHold())
        frames = DataFrameExtractor(sixteen).to_pandas_chunks(["/imu/3", "/gps"], window)
        steady = pd.concat([sync.transform(frame) for frame in frames], ignore_index=True)
        if whole is None:
            whole = steady
        pd.testing.assert_frame_equal(steady, whole)
    assert whole is not None
    assert whole["timestamp_ns"].tolist() == list(range(START, START + 590_000_001, 7_692_307))
    heights = whole["/gps.gps.position.z"]
    assert [heights[0], heights.iloc[-1]] == [0.0, 55.0]
    elapsed = (whole["timestamp_ns"] - START) // 10_000_000
    assert whole["/imu/3.imu.header.seq"].tolist() == elapsed.tolist()


# Refused


def refused(call: Callable[[], Iterator[Any]]) -> Callable[[], Any]:
    """Errors come at the first frame, as with every generator."""
    frames = call()
    return lambda: next(frames)


@pytest.mark.parametrize("window", [0, -1, 1e-10, math.nan, -math.inf])
def test_windows_without_length(either: MosaicoClient, name: str, window: float) -> None:
    record_numbers(either, name, {"a": [(0, 1)]})
    first = refused(lambda: DataFrameExtractor(sequence_of(either, name)).to_pandas_chunks(window_sec=window))
    with pytest.raises(ValueError, match="window_sec is"):
        first()


def test_nothing_to_read(either: MosaicoClient, new_name: Callable[[], str]) -> None:
    nothing, something = new_name(), new_name()
    record_numbers(either, nothing, {"a": []})
    record_numbers(either, something, {"a": [], "b": [(0, 1)]})
    first = refused(DataFrameExtractor(sequence_of(either, nothing)).to_pandas_chunks)
    with pytest.raises(ValueError, match="The sequence might contain no data"):
        first()
    extractor = DataFrameExtractor(sequence_of(either, something))
    first = refused(lambda: extractor.to_pandas_chunks(["/b", "/c"]))
    with pytest.raises(ValueError, match=r"Invalid input topic names \['/c'\]"):
        first()
    first = refused(lambda: extractor.to_pandas_chunks(["/a"]))
    with pytest.raises(RuntimeError, match="None of the topics"):
        first()
    with pytest.raises(TypeError, match="does the sequence exist"):
        DataFrameExtractor(either.sequence_handler("never-recorded"))  # type: ignore[arg-type]


def test_pandas_is_optional() -> None:
    code = """
import sys
import pyarrow as pa
from mosaicolabs.ml import DataFrameExtractor, SyncTransformer
print(SyncTransformer(1).transform(pa.table({"timestamp_ns": [0], "x": [1.5]})).to_pylist())
sys.modules["pandas"] = None
try:
    next(DataFrameExtractor(object()).to_pandas_chunks())
except ImportError as error:
    print(error)
"""
    steady, error = finish(code).splitlines()
    assert steady == "[{'timestamp_ns': 0, 'x': 1.5}]"
    assert error == "a frame needs pandas; install it with: pip install pandas"


def test_names_and_defaults_are_those_of_the_contract(shared: Path) -> None:
    contract = json.loads((shared / "contract" / "api.json").read_text())
    module = "mosaicolabs.ml"
    exports = contract["modules"][module]["exports"]
    assert len(exports) == 6
    for name, path in exports.items():
        home, _, _ = path.rpartition(".")
        cls = getattr(__import__(home, fromlist=[name]), name)
        assert getattr(__import__(module, fromlist=[name]), name) is cls
        entry = contract["definitions"][path]
        methods = [entry["init"], *entry["members"]] if "init" in entry else entry["members"]
        for method in methods:
            given = inspect.signature(getattr(cls, method["name"])).parameters
            wanted = method["params"]
            assert [parameter for parameter in given if parameter != "self"] == [p["name"] for p in wanted]
            for parameter in wanted:
                default = given[parameter["name"]].default
                expected = parameter.get("default", repr(inspect.Parameter.empty))
                assert repr(default) == expected.replace("<SyncHold instance>", "SyncHold()")
