"""No part of an export appears under the final name; an interrupted one continues."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.record import sequence_of

from mosaicolabs import Floating64, Message, MosaicoClient, SequenceHandler
from mosaicolabs.export import ExportError, ExportPlan, Part, Selection, _pipeline


def record(client: MosaicoClient, name: str, *topics: str) -> SequenceHandler:
    """Thirteen messages in each topic."""
    with client.sequence_create(name) as sequence:
        for topic in topics:
            writer = sequence.topic_create(topic, {}, Floating64)
            for number in range(13):
                writer.push(Message(timestamp_ns=number, data=Floating64(data=float(number))))
    return sequence_of(client, name)


@pytest.fixture
def drive(client: MosaicoClient) -> SequenceHandler:
    return record(client, "drive", "imu", "heat", "note")


class InterruptedExportError(Exception):
    pass


class Flaky:
    """Writes the topic of each message; fails at a topic."""

    name = "flaky"
    description = "for tests"

    def __init__(self, fails_at: str | None) -> None:
        self.fails_at = fails_at
        self.written: list[str] = []

    def plan(self, selection: Selection) -> ExportPlan:
        return ExportPlan(tuple(self._part(topic.name) for topic in selection.topics))

    def _part(self, topic: str) -> Part:
        def write(path: Path, advance: Any) -> int:
            assert not path.exists()
            path.mkdir()
            (path / "half").write_text(topic)
            if topic == self.fails_at:
                raise InterruptedExportError
            self.written.append(topic)
            return 1

        return Part(topic.strip("/"), (topic,), write)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], Flaky]:
    def install(fails_at: str | None) -> Flaky:
        writer = Flaky(fails_at)
        monkeypatch.setattr(_pipeline, "load_writer", lambda name: writer)
        return writer

    return install


def test_an_interrupted_export_continues(
    drive: SequenceHandler, tmp_path: Path, flaky: Callable[[str | None], Flaky]
) -> None:
    target = tmp_path / "out"
    flaky("/heat")
    with pytest.raises(InterruptedExportError):
        drive.export(target, "flaky")
    assert not target.exists()

    again = flaky(None)
    result = drive.export(target, "flaky")

    assert again.written == ["/heat", "/note"]
    assert result.resumed == 1
    assert result.messages == 3
    assert (target / "imu/half").read_text() == "/imu"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "store"]


def test_a_folder_inside_of_another_one(
    client: MosaicoClient, tmp_path: Path, flaky: Callable[[str | None], Flaky]
) -> None:
    """As `image_raw` and `image_raw/compressed`: the outer one is recorded later and written first."""
    handler = record(client, "nested", "imu/raw", "imu")
    flaky("/imu/raw")
    with pytest.raises(InterruptedExportError):
        handler.export(tmp_path / "out", "flaky")

    again = flaky(None)
    result = handler.export(tmp_path / "out", "flaky")

    assert again.written == ["/imu/raw"]
    assert (tmp_path / "out/imu/half").read_text() == "/imu"
    assert (tmp_path / "out/imu/raw/half").read_text() == "/imu/raw"
    assert [(part.topics, part.size_bytes) for part in result.parts] == [(("/imu",), 4), (("/imu/raw",), 8)]


def test_another_request_starts_over(
    drive: SequenceHandler, tmp_path: Path, flaky: Callable[[str | None], Flaky]
) -> None:
    flaky("/heat")
    with pytest.raises(InterruptedExportError):
        drive.export(tmp_path / "out", "flaky")

    again = flaky(None)
    result = drive.export(tmp_path / "out", "flaky", topics=["/imu", "/note"])

    assert again.written == ["/imu", "/note"]
    assert result.resumed == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "imu", "note"]


def test_overwrite_replaces_when_complete(
    drive: SequenceHandler, tmp_path: Path, flaky: Callable[[str | None], Flaky]
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(ExportError, match=r"out exists; choose another path, or overwrite it"):
        drive.export(target, "csv")
    flaky("/note")
    with pytest.raises(InterruptedExportError):
        drive.export(target, "flaky", overwrite=True)
    assert [path.name for path in target.iterdir()] == ["old"]

    flaky(None)
    drive.export(target, "flaky", overwrite=True)

    assert sorted(path.name for path in target.iterdir()) == ["export.json", "heat", "imu", "note"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "store"]


@pytest.mark.parametrize("old", ["file", "folder"])
def test_a_file_replaces_a_file_or_a_folder(drive: SequenceHandler, tmp_path: Path, old: str) -> None:
    target = tmp_path / "out"
    target.touch() if old == "file" else target.mkdir()

    drive.export(target, "jsonl", overwrite=True, options={"merge": True})
    assert len(target.read_text().splitlines()) == 39
    drive.export(target, "jsonl", overwrite=True)
    assert sorted(path.name for path in target.iterdir())[0] == "export.json"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "store"]


def test_a_replacement_that_was_interrupted_is_undone(drive: SequenceHandler, tmp_path: Path) -> None:
    staging = tmp_path / "out.partial"
    (staging / "replaced").mkdir(parents=True)
    (staging / "replaced/old").touch()
    (staging / "lock").touch()

    with pytest.raises(ExportError, match="out exists"):
        drive.export(tmp_path / "out", "csv")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["old"]


def test_two_exports_to_one_target(
    drive: SequenceHandler, tmp_path: Path, flaky: Callable[[str | None], Flaky]
) -> None:
    writer = flaky(None)
    plan = writer.plan

    def nested(selection: Selection) -> ExportPlan:
        first, *others = plan(selection).parts

        def write(path: Path, advance: Any) -> int:
            writer.plan = plan  # type: ignore[method-assign]
            with pytest.raises(ExportError, match=r"another export is writing to .*out\.partial"):
                drive.export(tmp_path / "out", "flaky")
            return first.write(path, advance)

        return ExportPlan((Part(first.path, first.topics, write), *others))

    writer.plan = nested  # type: ignore[method-assign]
    assert drive.export(tmp_path / "out", "flaky").messages == 3


def test_a_folder_of_somebody_else_is_kept(drive: SequenceHandler, tmp_path: Path) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial/mine").touch()

    with pytest.raises(ExportError, match="exists and is not an unfinished export; remove it"):
        drive.export(tmp_path / "out", "csv")
    assert (tmp_path / "out.partial/mine").exists()


def test_topics_that_share_a_file(client: MosaicoClient, tmp_path: Path) -> None:
    handler = record(client, "case", "IMU", "imu")

    with pytest.raises(ExportError, match=r"topics /IMU and /imu would be written to one file"):
        handler.export(tmp_path / "out", "csv")
