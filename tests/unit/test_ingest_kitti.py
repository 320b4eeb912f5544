"""The KITTI reader: exact times, pixels, values and points; a bad frame costs no other."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from mosaicolabs.ingest import FailedMessage, RecordingError, find_reader
from mosaicolabs.ingest.kitti import KittiReader
from mosaicolabs.models.sensors import Image

TIMES = ("2011-09-26 13:02:25.951199337", "2011-09-26 13:02:26.059583000", "2011-09-26 13:02:26.163")
NS = (1_317_042_145_951_199_337, 1_317_042_146_059_583_000, 1_317_042_146_163_000_000)
PIXELS = np.random.default_rng(1).integers(0, 255, (3, 5, 7), np.uint8)
POINTS = np.random.default_rng(2).random((3, 4, 4), np.float32)
OXTS = [*(0.5 + i for i in range(25)), 4, 11, 4, 4, 0]


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    for name in ("image_00", "oxts", "velodyne_points"):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "timestamps.txt").write_text("\n".join(TIMES) + "\n")
    for i in range(3):
        PIL.Image.fromarray(PIXELS[i]).save(tmp_path / f"image_00/data/{i:010}.png")
        (tmp_path / f"oxts/data/{i:010}.txt").write_text(" ".join(map(str, OXTS)) + "\n")
        (tmp_path / f"velodyne_points/data/{i:010}.bin").write_bytes(POINTS[i].astype("<f4").tobytes())
    return tmp_path


def read(drive: Path) -> dict[str, list[Any]]:
    recording = KittiReader().open(drive)
    found: dict[str, list[Any]] = {topic.name: [] for topic in recording.topics}
    for name, message in recording.messages():
        found[name].append(message)
    assert {topic.name: topic.messages for topic in recording.topics} == {
        name: len(messages) for name, messages in found.items()
    }
    return found


def test_values_and_times_are_exact(drive: Path) -> None:
    assert find_reader(drive).name == "kitti"
    found = read(drive)

    assert found.keys() == {"/image_00", "/oxts", "/velodyne_points"}
    for messages in found.values():
        assert [message.timestamp_ns for message in messages] == list(NS)
    for i in range(3):
        assert np.array_equal(found["/image_00"][i].get_data(Image).to_numpy(), PIXELS[i])
        assert list(found["/oxts"][i].data.model_dump().values()) == OXTS
        cloud = found["/velodyne_points"][i].data
        assert np.array_equal([cloud.x, cloud.y, cloud.z, cloud.reflectance], POINTS[i].T)
    assert (found["/oxts"][0].data.lat, found["/oxts"][0].data.numsats) == (0.5, 11)


def test_bad_frames_cost_no_other(drive: Path) -> None:
    (drive / "velodyne_points/data/0000000001.bin").unlink()
    (drive / "velodyne_points/data/0000000002.bin").write_bytes(bytes(17))
    (drive / "oxts/data/0000000000.txt").write_text("1 2 3")
    (drive / "oxts/data/0000000001.txt").write_text(" ".join(["x"] * 30))
    (drive / "image_00/timestamps.txt").write_text(f"{TIMES[0]}\nsoon\n")

    found = read(drive)

    def reasons(topic: str) -> list[str | int]:
        return [m.reason if isinstance(m, FailedMessage) else m.timestamp_ns for m in found[topic]]

    cloud, missing, odd = reasons("/velodyne_points")
    assert (cloud, "frame 1 is missing" in str(missing), "no whole points" in str(odd)) == (NS[0], True, True)
    short, text, good = reasons("/oxts")
    assert ("3 values, expected 30" in str(short), "could not convert" in str(text), good) == (
        True,
        True,
        NS[2],
    )
    first, no_time, beyond = reasons("/image_00")
    assert first == NS[0]
    assert "timestamps.txt:2: no time for 0000000001.png" in str(no_time)
    assert "timestamps.txt:3: no time for 0000000002.png" in str(beyond)


def test_unknown_and_empty_folders_are_named(drive: Path) -> None:
    (drive / "thermal").mkdir()
    for file in (drive / "oxts/data").iterdir():
        file.unlink()

    skipped = {skip.source: (skip.messages, skip.reason) for skip in KittiReader().open(drive).skipped}

    assert skipped["oxts"] == (3, f"{drive / 'oxts/data'}: frame 2 is missing")
    assert "not a folder of a known sensor" in skipped["thermal"][1]
    for name in ("image_00", "velodyne_points"):
        (drive / name / "timestamps.txt").write_text("")
        for file in (drive / name / "data").iterdir():
            file.unlink()
    with pytest.raises(RecordingError, match="nothing can be read: image_00: it has no frames"):
        KittiReader().open(drive)
