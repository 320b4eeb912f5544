"""The snippets of the documents that the product was asked for with run as they are written there.

Only what they leave to the reader is filled in, in `FILLED_IN`; slips of the documents are set right, in
`SLIPS`. Both must be found in the text, so that neither outlives it.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon
from harness.record import sequence_of, topic_of

from mosaicolabs import (
    GPS,
    IMU,
    Image,
    ImageFormat,
    Message,
    MosaicoClient,
    Point3d,
    SequenceDataStreamer,
    SequenceHandler,
    SequenceWriter,
    TopicDataStreamer,
    TopicHandler,
    TopicWriter,
    Vector3d,
)

FILLED_IN = {"GPS(...)": "GPS(position=Point3d(x=45.0, y=9.0, z=120.0))"}
SLIPS = {"seq_handler.topic_info.total_size_bytes": "cam_handler.topic_info.total_size_bytes"}

READING_AND_WRITING = "000_d18a76c866381f79.txt"
SHORT_FORM = "002_c0e7be85d44ff07f.txt"


def snippets(shared: Path, document: str) -> list[str]:
    text = (shared / "seeds" / document).read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def with_gaps_filled(code: str, gaps: dict[str, str]) -> str:
    for gap, value in gaps.items():
        assert gap in code, f"{gap!r} is not in the snippet"
        code = code.replace(gap, value)
    return code


def at(daemon: Daemon) -> dict[str, str]:
    """The snippets name the usual port; the test's daemon has its own."""
    return {'connect("localhost", 6726)': f'connect("localhost", {daemon.port})'}


@pytest.fixture
def mission_alpha(remote: MosaicoClient) -> MosaicoClient:
    with remote.sequence_create("mission_alpha", {"driver": "Ada"}) as sequence:
        gps = sequence.topic_create("gps", {}, GPS)
        imu = sequence.topic_create("imu", {}, IMU)
        camera = sequence.topic_create("cam_front", {"lens": "wide"}, Image)
        for i in range(10):
            imu.push(ontology_obj=IMU(acceleration=Vector3d(x=0, y=0, z=9.81)), message_timestamp_ns=10 * i)
            gps.push(ontology_obj=GPS(position=Point3d(x=45.0, y=9.0, z=i)), message_timestamp_ns=10 * i + 5)
            camera.push(ontology_obj=picture(i), message_timestamp_ns=10 * i + 7)
    return remote


def picture(shade: int) -> Image:
    return Image.from_linear_pixels(bytes([shade] * 12), 4, 3, 4, "mono8", format=ImageFormat.RAW)


def test_writing_data(shared: Path, remote: MosaicoClient) -> None:
    code = with_gaps_filled(snippets(shared, READING_AND_WRITING)[0], FILLED_IN)
    exec(code, {"client": remote, "Vector3d": Vector3d, "Point3d": Point3d})
    handler = sequence_of(remote, "mission_log_042")
    assert handler.is_locked, "leaving the block commits the sequence"
    assert handler.topics == ["/sensors/imu", "/sensors/gps"]
    (imu,) = topic_of(remote, "mission_log_042", "sensors/imu").get_data_streamer()
    (gps,) = topic_of(remote, "mission_log_042", "sensors/gps").get_data_streamer()
    assert (imu.timestamp_ns, imu.get_data(IMU).acceleration.z) == (1700000000000, 9.81)
    assert (gps.timestamp_ns, gps.get_data(GPS).position.x) == (1700000000100, 45.0)


def test_unified_reading(
    shared: Path, daemon: Daemon, mission_alpha: MosaicoClient, capsys: pytest.CaptureFixture[str]
) -> None:
    code = with_gaps_filled(snippets(shared, READING_AND_WRITING)[1], at(daemon))
    names: dict[str, Any] = {}
    exec(code, names)
    names["client"].close()
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0] == "Sequence: mission_alpha"
    assert lines[2].strip() == "| Metadata: {'driver': 'Ada'}"
    assert lines[3].strip() == "| Timestamp span: 0 - 97"
    assert lines[6] == "Recording starts at: 0"
    assert lines[7:] == [
        line for i in range(10) for line in (f"[/imu] at {10 * i}: IMU", f"[/gps] at {10 * i + 5}: GPS")
    ]


def test_targeted_reading(shared: Path, daemon: Daemon, mission_alpha: MosaicoClient) -> None:
    code = with_gaps_filled(snippets(shared, READING_AND_WRITING)[2], at(daemon) | SLIPS)
    frames: list[Image] = []
    exec(code, {"MosaicoClient": MosaicoClient, "Image": Image, "process_frame": frames.append})
    assert [frame.to_linear_pixels()[0] for frame in frames] == list(range(10))


def test_the_short_form(shared: Path, remote: MosaicoClient, capsys: pytest.CaptureFixture[str]) -> None:
    write, read, read_topic = snippets(shared, SHORT_FORM)
    message = Message(timestamp_ns=42, data=GPS(position=Point3d(x=45.0, y=9.0, z=120.0)))
    names: dict[str, Any] = {"client": remote, "my_gps_message": message}
    for code in (write, read, read_topic):
        exec(code, names)
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["[42] /gps/front: <class 'mosaicolabs.models.sensors.gps.GPS'>", "45.0"]
    assert topic_of(remote, "drive_log_01", "gps/front").user_metadata == {"sensor_id": "A100"}
    assert sequence_of(remote, "drive_log_01").is_locked


def test_no_snippet_is_forgotten(shared: Path) -> None:
    counts = {path.name: len(snippets(shared, path.name)) for path in (shared / "seeds").glob("*.txt")}
    assert len(counts) == 4
    assert {name: count for name, count in counts.items() if count} == {READING_AND_WRITING: 3, SHORT_FORM: 3}


CLASSES = {
    cls.__name__: cls
    for cls in (
        SequenceWriter,
        TopicWriter,
        SequenceHandler,
        TopicHandler,
        SequenceDataStreamer,
        TopicDataStreamer,
    )
}


def test_the_quick_reference_lists_members_that_exist(shared: Path) -> None:
    text = (shared / "seeds" / READING_AND_WRITING).read_text().split("## Quick Reference")[1]
    seen = set()
    for heading, table in re.findall(r"### Class:? `(\w+)`\n(.*?)(?=\n###|\Z)", text, re.DOTALL):
        members = re.findall(r"^\| \*\*`(\w+)(\(\))?`\*\*", table, re.MULTILINE)
        assert members, heading
        for member, called in members:
            attribute = getattr(CLASSES[heading], member, None)
            assert attribute is not None, f"{heading}.{member}"
            # `sequence_status` is a property whose value may be called.
            if called and member != "sequence_status":
                assert callable(attribute), f"{heading}.{member}()"
            seen.add(heading)
    assert seen == set(CLASSES)


def test_locators_of_the_backend_document(remote: MosaicoClient) -> None:
    with remote.sequence_create("run_2023_01") as sequence:
        topic = sequence.topic_create("sensors/lidar_front", {}, IMU)
        topic.push(ontology_obj=IMU(acceleration=Vector3d(x=0, y=0, z=0)), message_timestamp_ns=1)
    assert topic_of(remote, "run_2023_01", "sensors/lidar_front").rows_number == 1
    assert remote.sequence_handler("run_2023_01/sensors/lidar_front") is None
