"""Topics by name or pattern and windows by times in any form, on every way to read."""

from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from harness.record import record_numbers, sequence_of, topic_of

from mosaicolabs import MosaicoClient
from mosaicolabs.ml import DataFrameExtractor

NOON = 1_796_040_000 * 10**9
MOMENT = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)


@pytest.fixture
def noon(client: MosaicoClient) -> MosaicoClient:
    """Ten messages on each of four topics, one per second from noon."""
    rows = [(NOON + second * 10**9, second) for second in range(10)]
    record_numbers(client, "noon", dict.fromkeys(["imu", "cam/left", "cam/right", "cam/left/raw"], rows))
    return client


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        ("imu", ["/imu"]),
        ("/imu", ["/imu"]),
        (("imu", "/cam/left"), ["/imu", "/cam/left"]),
        ("cam/*", ["/cam/left", "/cam/right", "/cam/left/raw"]),
        (["cam/*", "!*/raw"], ["/cam/left", "/cam/right"]),
        ("!imu", ["/cam/left", "/cam/right", "/cam/left/raw"]),
        ("cam/????", ["/cam/left"]),
        (None, ["/imu", "/cam/left", "/cam/right", "/cam/left/raw"]),
        ([], ["/imu", "/cam/left", "/cam/right", "/cam/left/raw"]),
    ],
)
def test_topics(noon: MosaicoClient, topics: Any, expected: list[str]) -> None:
    handler = sequence_of(noon, "noon")
    assert {topic for topic, _ in handler.get_data_streamer(topics)} == set(expected)
    assert set(handler.to_arrow(topics).column("topic").to_pylist()) == set(expected)
    (frame,) = DataFrameExtractor(handler).to_arrow_chunks(topics, window_sec=60)
    assert {name.split(".")[0] for name in frame.column_names[1:]} == set(expected)


@pytest.mark.parametrize(
    ("topics", "hint"),
    [
        ("imo", "did you mean '/imu'"),
        ("raw", "did you mean '/cam/left/raw'"),
        (["imu", "lidar/*"], "it has: /"),
    ],
)
def test_topics_that_do_not_exist(noon: MosaicoClient, topics: Any, hint: str) -> None:
    handler = sequence_of(noon, "noon")
    for read in (handler.get_data_streamer, handler.batches, handler.to_arrow):
        with pytest.raises(ValueError, match=rf"'noon' has no such topic; {hint}"):
            read(topics)
    with pytest.raises(ValueError, match="did you mean '/imu'"):
        handler.get_topic_handler("imo")


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        (MOMENT + timedelta(seconds=7), None, [7, 8, 9]),
        (pd.Timestamp("2026-11-30 12:00:08"), None, [8, 9]),
        (np.datetime64("2026-11-30T12:00:08"), None, [8, 9]),
        ("2026-11-30T12:00:08", "2026-11-30T12:00:09Z", [8]),
        ("+7.5s", None, [8, 9]),
        (timedelta(seconds=8), timedelta(seconds=9), [8]),
        ("-1s", None, [8, 9]),
        (None, "2", [0, 1]),
        (NOON + 9 * 10**9, None, [9]),
    ],
)
def test_windows(noon: MosaicoClient, start: Any, end: Any, seconds: list[int]) -> None:
    handler, topic = sequence_of(noon, "noon"), topic_of(noon, "noon", "imu")
    read = [
        [message.data.data for _, message in handler.get_data_streamer("imu", start, end)],  # type: ignore[attr-defined]
        [message.data.data for message in topic.get_data_streamer(start, end)],  # type: ignore[attr-defined]
        topic.to_arrow(start, end).column("data").to_pylist(),
        list(topic.to_pandas(start, end)["data"]),
        list(handler.to_polars("imu", start, end)["integer64"].struct.field("data")),
    ]
    assert read == [seconds] * len(read)
    frames = DataFrameExtractor(handler).to_arrow_chunks("imu", 60, start, end)
    assert [row for frame in frames for row in frame.column("/imu.integer64.data").to_pylist()] == seconds


def test_what_is_not_a_time_is_refused_and_named(noon: MosaicoClient) -> None:
    handler, topic = sequence_of(noon, "noon"), topic_of(noon, "noon", "imu")
    for read in (handler.get_data_streamer, handler.batches, topic.get_data_streamer, topic.to_pandas):
        with pytest.raises(ValueError, match=r"end_timestamp_ns: .*no time zone"):
            read(end_timestamp_ns=datetime(2026, 11, 30))
        with pytest.raises(ValueError, match="start_timestamp_ns: `noon` is not a time"):
            read(start_timestamp_ns="noon")


def test_frames_with_a_time_index(noon: MosaicoClient) -> None:
    handler, topic = sequence_of(noon, "noon"), topic_of(noon, "noon", "imu")
    for frame in (
        topic.to_pandas(time_index=True),
        handler.to_pandas("imu", time_index=True),
        topic.get_data_streamer().to_pandas(time_index=True),
        topic.batches().to_pandas(time_index=True),
    ):
        assert frame.index.name == "time"
        assert str(frame.index.tz) == "UTC"
        assert (
            frame.index.asi8.tolist()
            == frame["timestamp_ns"].tolist()
            == [NOON + s * 10**9 for s in range(10)]
        )
        assert len(frame["2026-11-30 12:00:08":]) == 2  # type: ignore[misc]
        assert frame.resample("5s").size().tolist() == [5, 5]
    assert topic.to_pandas().index.tolist() == list(range(10))
