"""Display of handlers: in a shell, in a notebook, and their progress."""

import io
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from harness.record import number, record_numbers, replay, sequence_of, topic_of
from PIL import Image as PillowImage

from mosaicolabs import (
    CompressedImage,
    Image,
    ImageFormat,
    Integer64,
    Message,
    MosaicoClient,
    OnErrorPolicy,
    QueryOntologyCatalog,
    QuerySequence,
    Vector3d,
    generic_class,
)

ROWS = {"fast": [(i * 10_000_000, i) for i in range(1_500)], "slow": [(10**9, 1)], "none": []}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def html(text: str) -> ElementTree.Element:
    """The parsed markup; fails on what is not well-formed."""
    return ElementTree.fromstring(f"<div>{text.replace('<br>', '<br/>')}</div>")


def test_shell(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, ROWS)
    sequence = sequence_of(either, name)
    size = r"\d+\.\d [kM]B"
    assert re.fullmatch(
        rf"<SequenceHandler {name}: 3 topics, 1 501 messages, 15\.0 s, {size}>", repr(sequence)
    )
    fast, none = topic_of(either, name, "fast"), topic_of(either, name, "none")
    assert re.fullmatch(rf"<TopicHandler /fast: 1 500 Integer64, 15\.0 s, {size}>", repr(fast))
    assert re.fullmatch(rf"<TopicHandler /none: 0 Integer64, no data, {size}>", repr(none))
    streamer = sequence.get_data_streamer()
    assert repr(streamer) == f"<SequenceDataStreamer {name}: open>"
    streamer.close()
    assert repr(streamer) == f"<SequenceDataStreamer {name}: closed>"
    assert repr(fast.get_data_streamer()) == "<TopicDataStreamer /fast: Integer64, open>"


def test_unlocked_sequence_is_shown_as_unlocked(either: MosaicoClient, name: str) -> None:
    with pytest.raises(InterruptedError), either.sequence_create(name, {}, OnErrorPolicy.Report) as sequence:
        sequence.topic_create("t", {}, Integer64).push(number(1, 1))
        raise InterruptedError
    assert repr(sequence_of(either, name)).endswith("unlocked>")


def test_notebook(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name, {"note": "<script>alert(1)</script>"}) as sequence:
        for topic, rows in ROWS.items():
            writer = sequence.topic_create(topic, {}, Integer64)
            for time, value in rows:
                writer.push(number(time, value))
    shown = sequence_of(either, name)._repr_html_()
    assert "<script>" not in shown
    page = html(shown)
    rows = [[cell.text or "" for cell in row.findall("td")] for row in page.iter("tr")][1:]
    assert [row[:3] for row in rows] == [
        ["/fast", "1 500", "15.0 s"],
        ["/slow", "1", "0.0 s"],
        ["/none", "0", "no data"],
    ]
    boxes = [(float(box.get("x", "")), float(box.get("width", ""))) for box in page.iter("rect")]
    assert len(boxes) == 2, "a topic without data has no line"
    assert boxes[0] == (0.0, 240.0)
    assert boxes[1][0] == pytest.approx(240 / 14.99, abs=0.1)
    assert "Integer64" in topic_of(either, name, "fast")._repr_html_()


def test_notebook_of_a_response(either: MosaicoClient, name: str) -> None:
    record_numbers(either, name, ROWS)
    found = either.query(
        QuerySequence().with_name(name),
        QueryOntologyCatalog(Integer64.Q.data.between(100, 200), include_timestamp_range=True),
    )
    page = html(found._repr_html_())
    assert [cell.text for cell in page.iter("td")][:3] == [name, "/fast", "1.0 s"]


@pytest.mark.usefixtures("terminal")
def test_progress_of_a_replay(either: MosaicoClient, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    record_numbers(either, name, ROWS)
    assert capsys.readouterr().err == ""
    messages = list(sequence_of(either, name).get_data_streamer(progress=True))
    assert len(messages) == 1_501
    last = plain(capsys.readouterr().err)
    assert f"replaying {name}" in last
    assert "100%" in last
    assert "1 501 messages" in last
    half = topic_of(either, name, "fast").get_data_streamer(progress=True)
    for _ in range(751):
        next(half)
    half.close()
    assert re.search(r"replaying /fast .*50%.*751 messages", plain(capsys.readouterr().err))


@pytest.mark.usefixtures("terminal")
def test_progress_of_query_results(
    either: MosaicoClient, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record_numbers(either, name, ROWS)
    found = either.query(
        QuerySequence().with_name(name),
        QueryOntologyCatalog(Integer64.Q.data.between(100, 200), include_timestamp_range=True),
    )
    assert len(list(found.get_data_streamer(progress=True))) == 101
    assert re.search(rf"replaying {name} .*100%.*101 messages", plain(capsys.readouterr().err))


@pytest.mark.usefixtures("terminal")
def test_progress_of_a_recording(
    either: MosaicoClient, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with either.sequence_create(name, progress=True) as sequence:
        for topic, rows in ROWS.items():
            writer = sequence.topic_create(topic, {}, Integer64)
            for time, value in rows:
                writer.push(number(time, value))
    shown = plain(capsys.readouterr().err)
    assert f"recording {name}" in shown
    assert re.search(r"fast +1 500 +1 500 +0\.0", shown), shown
    assert len(replay(either, name)) == 1_501


def test_progress_writes_nothing_without_a_terminal(
    either: MosaicoClient, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with either.sequence_create(name, progress=True) as sequence:
        sequence.topic_create("t", {}, Integer64).push(number(1, 1))
    assert list(sequence_of(either, name).get_data_streamer(progress=True))
    assert capsys.readouterr().err == ""


def test_a_client_in_a_notebook(client: MosaicoClient) -> None:
    for number_of in range(22):
        record_numbers(client, f"run-{number_of:02}", {"t": [(1, 1), (2 * 10**9, 2)]})
    shown = html(client._repr_html_())
    text = "".join(shown.itertext())
    assert "22 sequences, 20 of them below" in text
    assert len(shown.findall(".//tbody/tr")) == 20
    assert len(shown.findall(".//svg")) == 20
    assert "2.0 s" in text


PIXELS = np.arange(480 * 640, dtype=np.uint16).reshape(480, 640)


def test_no_repr_has_megabytes() -> None:
    image = Image.from_numpy(PIXELS, "mono16")
    assert len(image.data) > 500_000
    message = Message(timestamp_ns=1, data=image)
    cloud = generic_class("test.cloud", pa.schema({"points": pa.list_(pa.float64()), "name": pa.string()}))
    data = cloud(points=[0.5] * 100_000, name="n" * 10_000)
    for shown in (repr(image), str(image), repr(message), repr(data)):
        assert len(shown) < 600, shown
    assert "(614400 bytes)" in repr(message)
    assert repr(data).startswith("test.cloud(points=[0.5, 0.5, 0.5, ... 100000 items], name='nnn")
    assert repr(Vector3d(x=1.0, y=2.0, z=3.0)).endswith("x=1.0, y=2.0, z=3.0)"), "short values are whole"


@pytest.mark.parametrize(
    ("pixels", "encoding", "mode"),
    [
        (PIXELS, "mono16", "L"),
        ((PIXELS % 256).astype(np.uint8), "mono8", "L"),
        (np.stack([(PIXELS % 256).astype(np.uint8)] * 3, axis=2), "bgr8", "RGB"),
        ((PIXELS / 7).astype(np.float32), "32FC1", "L"),
    ],
)
def test_pictures_in_a_notebook(pixels: Any, encoding: str, mode: str) -> None:
    image = Image.from_numpy(pixels, encoding)
    png = image._repr_png_()
    assert png is not None
    picture = PillowImage.open(io.BytesIO(png))
    assert (picture.size, picture.mode) == ((640, 480), mode)
    assert np.asarray(picture).std() > 10, "depths are scaled to what can be seen"
    assert Message(timestamp_ns=1, data=image)._repr_png_() == png


def test_what_is_no_picture_has_none() -> None:
    assert CompressedImage(data=b"\x00", format=ImageFormat.PNG)._repr_png_() is None
    assert CompressedImage(data=b"\x00\x00\x01", format=ImageFormat.H264)._repr_png_() is None
    assert number(1, 1)._repr_png_() is None
