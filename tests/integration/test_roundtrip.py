"""Any value of any ontology survives push, store and read."""

import itertools
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from harness.ontologies import BYTES, TEXT, rounded, same, shipped, values
from harness.record import topic_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from mosaicolabs import (
    CompressedImage,
    CovarianceMixin,
    Floating16,
    Floating32,
    HeaderMixin,
    Image,
    ImageFormat,
    LargeString,
    Message,
    MosaicoClient,
    Serializable,
    String,
)

TIMES = st.none() | st.integers(-(2**63), 2**63 - 1)
_numbers = itertools.count()


def there_and_back(
    client: MosaicoClient, cls: type[Serializable], messages: list[Message], **limits: int
) -> list[Message]:
    name = f"{cls.ontology_tag().replace('_', '-')}-{next(_numbers)}"
    with client.sequence_create(name, **limits) as sequence:
        topic = sequence.topic_create("t", {}, cls)
        for message in messages:
            topic.push(message)
    return list(topic_of(client, name, "t").get_data_streamer())


def assert_survive(client: MosaicoClient, cls: type[Serializable], data: list[Any], **limits: int) -> None:
    pushed = [Message(timestamp_ns=index, data=value) for index, value in enumerate(data)]
    returned = there_and_back(client, cls, pushed, **limits)
    assert len(returned) == len(pushed)
    for before, after in zip(pushed, returned, strict=True):
        assert same(before, after), f"pushed {before!r}\nread   {after!r}"


def test_the_contract_has_no_class_that_is_not_shipped(shared: Path) -> None:
    contract = json.loads((shared / "contract" / "ontologies.json").read_text())
    promised = {
        entry["class"]
        for entry in contract["ontologies"]
        if entry["module"].startswith(("mosaicolabs.models.data", "mosaicolabs.models.sensors"))
    }
    assert promised <= {cls.__name__ for cls in shipped()}
    assert len(promised) > 30


@pytest.mark.parametrize("cls", shipped(), ids=lambda cls: cls.__name__)
def test_shipped_ontologies(standing_store: MosaicoClient, cls: type[Serializable]) -> None:
    @settings(max_examples=settings.default.max_examples // 2)
    @given(
        st.lists(values(cls), min_size=1, max_size=10), st.sampled_from([{}, {"max_batch_size_records": 2}])
    )
    def survive(data: list[Serializable], limits: dict[str, int]) -> None:
        assert_survive(standing_store, cls, data, **limits)

    survive()


@given(times=st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), TIMES), min_size=1, max_size=20))
def test_times_of_the_envelope(standing_store: MosaicoClient, times: list[tuple[int, int | None]]) -> None:
    pushed = [
        Message(timestamp_ns=time, recording_timestamp_ns=recorded, data=String(data=str(index)))
        for index, (time, recorded) in enumerate(times)
    ]
    returned = there_and_back(standing_store, String, pushed)
    assert returned == sorted(pushed, key=lambda message: message.timestamp)


@pytest.mark.parametrize(("cls", "bits"), [(Floating16, 16), (Floating32, 32)])
def test_narrow_floats_round_to_nearest(standing_store: MosaicoClient, cls: Any, bits: int) -> None:
    limit = {16: 65504.0, 32: 3.4e38}[bits]

    @given(st.lists(st.floats(-limit, limit) | st.just(float("nan")), min_size=1, max_size=20))
    def survive(numbers: list[float]) -> None:
        pushed = [Message(timestamp_ns=i, data=cls(data=number)) for i, number in enumerate(numbers)]
        returned = there_and_back(standing_store, cls, pushed)
        assert same(
            [message.data.data for message in returned], [rounded(number, bits) for number in numbers]
        )

    survive()


@pytest.mark.parametrize("size", [0, 1, 1 << 16, (1 << 20) - 1, 1 << 20, 5_000_000, 20_000_000])
def test_big_payloads_between_small_ones(standing_store: MosaicoClient, size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sizes = (b"first", payload, b"", payload[::-1], b"last")
    pictures = [CompressedImage(data=data, format=ImageFormat.JPEG) for data in sizes]
    assert_survive(standing_store, CompressedImage, pictures)


def test_raw_pixels(standing_store: MosaicoClient) -> None:
    pixels = bytes(range(240)) * 16
    frames = [
        Image.from_linear_pixels(pixels, 64, 60, 64, "mono8", format=container)
        for container in (ImageFormat.RAW, ImageFormat.PNG)
    ]
    assert_survive(standing_store, Image, frames)
    assert all(bytes(frame.to_linear_pixels()) == pixels for frame in frames)


@given(data=st.lists(TEXT, min_size=1, max_size=50))
def test_large_strings(standing_store: MosaicoClient, data: list[str]) -> None:
    assert_survive(standing_store, LargeString, [LargeString(data=text) for text in data])


# -- ontologies of users -------------------------------------------------------------------------


class Leaf(BaseModel):
    __msco_pyarrow_struct__ = pa.struct([pa.field("label", pa.string()), pa.field("score", pa.float32())])

    label: str
    score: float | None = None


class Branch(BaseModel):
    __msco_pyarrow_struct__ = pa.struct(
        [
            pa.field("leaf", Leaf.__msco_pyarrow_struct__),
            pa.field("leaves", pa.list_(Leaf.__msco_pyarrow_struct__), nullable=False),
        ]
    )

    leaf: Leaf | None = None
    leaves: list[Leaf]


class RoundtripTree(Serializable, HeaderMixin, CovarianceMixin):
    __msco_pyarrow_struct__ = pa.struct(
        [
            pa.field("branch", Branch.__msco_pyarrow_struct__, nullable=False),
            pa.field("branches", pa.list_(Branch.__msco_pyarrow_struct__)),
            pa.field("matrix", pa.list_(pa.list_(pa.float64(), 2), 2), nullable=False),
            pa.field("ragged", pa.large_list(pa.list_(pa.int16())), nullable=False),
            pa.field("names", pa.list_(pa.string()), nullable=False),
            pa.field("text", pa.large_string()),
            pa.field("blob", pa.large_binary(), nullable=False),
            pa.field("blobs", pa.list_(pa.binary()), nullable=False),
            pa.field("flags", pa.list_(pa.bool_()), nullable=False),
            pa.field("big", pa.uint64()),
        ]
    )

    branch: Branch
    branches: list[Branch] | None = None
    matrix: list[list[float]]
    ragged: list[list[int]]
    names: list[str]
    text: str | None = None
    blob: bytes
    blobs: list[bytes]
    flags: list[bool]
    big: int | None = None


class RoundtripBare(Serializable):
    """Without a header."""

    __msco_pyarrow_struct__ = pa.struct([pa.field("value", pa.int32(), nullable=False)])

    value: int


class RoundtripChecked(Serializable):
    """With a validator, which also runs on reading."""

    __msco_pyarrow_struct__ = pa.struct([pa.field("text", pa.string(), nullable=False)])

    text: str

    @field_validator("text")
    @classmethod
    def shout(cls, text: str) -> str:
        return text.upper()


@given(data=st.lists(values(RoundtripTree), min_size=1, max_size=6))
def test_nested_user_ontology(standing_store: MosaicoClient, data: list[RoundtripTree]) -> None:
    assert_survive(standing_store, RoundtripTree, data)


@given(data=st.lists(values(RoundtripBare), min_size=1, max_size=6))
def test_user_ontology_without_header(standing_store: MosaicoClient, data: list[RoundtripBare]) -> None:
    assert_survive(standing_store, RoundtripBare, data)


def test_validators_of_users_run_on_reading(standing_store: MosaicoClient) -> None:
    quiet = RoundtripChecked(text="x")
    quiet.text = "stored as it is"
    (message,) = there_and_back(standing_store, RoundtripChecked, [Message(timestamp_ns=1, data=quiet)])
    assert message.get_data(RoundtripChecked).text == "STORED AS IT IS"


@given(data=st.lists(BYTES | st.binary(min_size=1000, max_size=5000), min_size=1, max_size=20))
def test_binary_payloads_in_small_batches(standing_store: MosaicoClient, data: list[bytes]) -> None:
    pictures = [CompressedImage(data=blob, format=ImageFormat.PNG) for blob in data]
    assert_survive(standing_store, CompressedImage, pictures, max_batch_size_bytes=2000)
