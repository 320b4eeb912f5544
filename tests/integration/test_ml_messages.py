"""Messages are restored from the rows of frames, for every shipped data class."""

import math
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from harness.ontologies import same, shipped, values
from hypothesis import given, reject
from hypothesis import strategies as st
from pydantic import ValidationError

from mosaicolabs import IMU, Message, Point3d, Serializable, Vector3d
from mosaicolabs.ml._pandas import wide_frame
from mosaicolabs.ml._topic_rows import TopicRows
from mosaicolabs.ml._wide_table import Merged
from mosaicolabs.models._schema import message_schema
from mosaicolabs.models.data import Floating64, Integer64

INT64 = st.integers(-(2**63), 2**63 - 1)


class Nested(Serializable):
    """What pandas makes nested arrays and dicts of."""

    __msco_pyarrow_struct__ = pa.struct(
        [
            ("grid", pa.list_(pa.list_(pa.int64()))),
            ("points", pa.list_(pa.struct([("x", pa.float64()), ("tags", pa.list_(pa.string()))]))),
        ]
    )
    __ontology_tag__ = "test_ml_nested"

    grid: list[list[int]] | None = None
    points: list[dict[str, Any]] | None = None


def topic_rows(topic: str, messages: list[Message]) -> pa.Table:
    cls = messages[0].ontology_type()
    rows = [
        {"timestamp_ns": message.timestamp, "recording_timestamp_ns": message.recording_timestamp_ns}
        | message.data.model_dump()
        for message in messages
    ]
    schema = message_schema(cls)
    for field in schema:
        if pa.types.is_float16(field.type):  # older pyarrow takes nothing else
            rows = [{**row, field.name: np.float16(row[field.name])} for row in rows]
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    return TopicRows(f"{topic}.{cls.ontology_tag()}", batch.schema, iter([batch])).until(2**63)


def frame_of(*topics: tuple[str, list[Message]]) -> pd.DataFrame:
    frame = wide_frame(Merged([topic_rows(topic, messages) for topic, messages in topics]))
    assert isinstance(frame, pd.DataFrame)
    return frame


def as_in_a_frame(value: Any) -> Any:
    """The values as a frame represents them: NaN of an optional value means that it is missing."""
    if not hasattr(value, "model_fields_set"):
        return value
    found = {}
    for name, field in type(value).model_fields.items():
        part = as_in_a_frame(getattr(value, name))
        found[name] = None if type(None) in get_args(field.annotation) and empty(part) else part
    return type(value).model_construct(**found)


def empty(value: Any) -> bool:
    if hasattr(value, "model_fields_set"):
        return all(empty(part) for _, part in value)
    return value is None or (isinstance(value, float) and math.isnan(value))


@pytest.mark.parametrize("cls", shipped(), ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_every_class(cls: type[Serializable], data: st.DataObject) -> None:
    message = Message(
        timestamp_ns=data.draw(INT64),
        recording_timestamp_ns=data.draw(st.none() | INT64),
        data=data.draw(values(cls)),
    )
    other = Message(timestamp_ns=data.draw(INT64), data=Floating64(data=0.5))
    frame = frame_of(("/a", [message]), ("/b/c", [other]))
    rows = [row for _, row in frame.iterrows()]
    back = [found for row in rows if (found := Message.from_dataframe_row(row, "/a")) is not None]
    expected = as_in_a_frame(message.data)
    try:
        cls.model_validate(expected.model_dump())
    except ValidationError:
        reject()  # A required value is NaN, which a frame cannot distinguish from a missing one.
    assert [found.timestamp for found in back] == [message.timestamp]
    assert back[0].recording_timestamp_ns == message.recording_timestamp_ns
    assert same(back[0].data, expected)
    assert [Message.from_dataframe_row(row, "/b/c") for row in rows if row["timestamp_ns"] == other.timestamp]


def test_integers_of_64_bits_are_exact() -> None:
    times = [1_700_000_000_000_000_001, 1_700_000_000_000_000_003]
    messages = [
        Message(timestamp_ns=time, recording_timestamp_ns=time + 1, data=Integer64(data=2**62 + 1))
        for time in times
    ]
    frame = frame_of(("/a", messages), ("/b", [Message(timestamp_ns=0, data=Floating64(data=1.0))]))
    back = [Message.from_dataframe_row(row, "/a") for _, row in frame.iterrows()]
    assert back == [None, *messages]


def test_lists_of_lists_and_of_objects() -> None:
    data = Nested(grid=[[1, 2], [], [3]], points=[{"x": 0.5, "tags": ["a", "b"]}, {"x": None, "tags": None}])
    message = Message(timestamp_ns=1, data=data)
    ((_, row),) = frame_of(("/a", [message])).iterrows()
    assert Message.from_dataframe_row(row, "/a") == message


def test_nan_of_a_required_number_is_not_a_missing_message() -> None:
    nan = math.nan
    message = Message(
        timestamp_ns=1, recording_timestamp_ns=2, data=Point3d(x=nan, y=nan, z=nan, covariance=[nan])
    )
    ((_, row),) = frame_of(("/a", [message])).iterrows()
    back = Message.from_dataframe_row(row, "/a")
    assert back is not None
    assert same(back.data, message.data)


def test_parts_without_any_value_are_none() -> None:
    still = Message(timestamp_ns=1, data=IMU(acceleration=Vector3d(x=math.nan, y=0.0, z=9.81)))
    ((_, row),) = frame_of(("/a", [still])).iterrows()
    back = Message.from_dataframe_row(row, "/a")
    assert back is not None
    assert same(back.data, still.data)
    assert back.get_data(IMU).angular_velocity is None
