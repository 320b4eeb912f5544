"""The TUM RGB-D reader: exact times, pixels and poses; a bad line or frame costs no other."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from mosaicolabs.ingest import FailedMessage, RecordingError, find_reader
from mosaicolabs.ingest.tum import TumReader
from mosaicolabs.models.data import Pose
from mosaicolabs.models.sensors import IMU, Image

STAMPS = ("1305031102.175304", "1305031102.211214123", "1305031102.3")
NS = (1_305_031_102_175_304_000, 1_305_031_102_211_214_123, 1_305_031_102_300_000_000)
RANDOM = np.random.default_rng(1)
RGB = RANDOM.integers(0, 255, (3, 5, 7, 3), np.uint8)
DEPTH = RANDOM.integers(0, 65535, (3, 5, 7), np.uint16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, frames in (("rgb", RGB), ("depth", DEPTH)):
        (tmp_path / name).mkdir()
        lines = ["# timestamp filename"]
        for stamp, pixels in zip(STAMPS, frames, strict=True):
            PIL.Image.fromarray(pixels).save(tmp_path / name / f"{stamp}.png")
            lines.append(f"{stamp} {name}/{stamp}.png")
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "accelerometer.txt").write_text(f"# t x y z\n{STAMPS[0]} 0.5 -9.75 1e-3\n")
    (tmp_path / "groundtruth.txt").write_text(f"{STAMPS[1]} 1 2 3 0.1 0.2 0.3 0.5\n")
    return tmp_path


def read(path: Path) -> dict[str, list[Any]]:
    recording = TumReader().open(path)
    found: dict[str, list[Any]] = {topic.name: [] for topic in recording.topics}
    for name, message in recording.messages():
        found[name].append(message)
    assert {topic.name: topic.messages for topic in recording.topics} == {
        name: len(messages) for name, messages in found.items()
    }
    return found


def test_values_and_times_are_exact(folder: Path) -> None:
    assert find_reader(folder).name == "tum"
    found = read(folder)

    for name, frames in (("/rgb", RGB), ("/depth", DEPTH)):
        assert [message.timestamp_ns for message in found[name]] == list(NS)
        for message, pixels in zip(found[name], frames, strict=True):
            assert np.array_equal(message.get_data(Image).to_numpy(), pixels)
    [force] = found["/accelerometer"]
    assert (force.timestamp_ns, force.get_data(IMU).acceleration.y) == (NS[0], -9.75)
    pose = found["/groundtruth"][0].get_data(Pose)
    assert (pose.position.z, pose.orientation.x, pose.orientation.w) == (3.0, 0.1, 0.5)


def test_bad_lines_and_frames_cost_no_other(folder: Path) -> None:
    (folder / f"rgb/{STAMPS[0]}.png").unlink()
    (folder / f"rgb/{STAMPS[1]}.png").write_bytes(b"no image")
    (folder / "rgb/extra.png").write_bytes(b"")
    lines = ["nan 1 2 3", "1 2 3", f"{STAMPS[2]} 1 2 x", "1e99 1 2 3", f"{STAMPS[2]} 1 2 3"]
    (folder / "accelerometer.txt").write_text("\n".join(lines) + "\n")

    found = read(folder)

    missing, unreadable, good = found["/rgb"]
    assert "is missing" in missing.reason
    assert "cannot be read" in unreadable.reason
    assert good.timestamp_ns == NS[2]
    *bad, sound = found["/accelerometer"]
    assert [isinstance(message, FailedMessage) for message in bad] == [True] * 4
    assert f"{folder / 'accelerometer.txt'}:2: 2 values, expected 3" in bad[1].reason
    assert sound.timestamp_ns == NS[2]
    skipped = {skip.source: (skip.messages, skip.reason) for skip in TumReader().open(folder).skipped}
    assert skipped == {"rgb": (1, "files that rgb.txt does not list: extra.png")}


def test_sensor_without_a_readable_line_is_skipped(folder: Path) -> None:
    (folder / "depth.txt").write_text("# nothing\n")
    (folder / "groundtruth.txt").write_text("a b\n")
    (folder / "notes.txt").write_text("windy")

    recording = TumReader().open(folder)

    assert [topic.name for topic in recording.topics] == ["/rgb", "/accelerometer"]
    assert [skip.source for skip in recording.skipped] == ["depth.txt", "groundtruth.txt", "notes.txt"]
    for name in ("rgb", "accelerometer"):
        (folder / f"{name}.txt").write_text("")
    with pytest.raises(RecordingError, match=r"nothing can be read: rgb\.txt: it has no lines"):
        TumReader().open(folder)
