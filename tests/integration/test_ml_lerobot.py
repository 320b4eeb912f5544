"""Datasets of LeRobot, read back with pyarrow and pandas as its loader does."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pyarrow.parquet
import pytest

from mosaicolabs import Floating32, Image, Message, MosaicoClient, RobotJoint, String
from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.export import ExportError
from mosaicolabs.ml import Signal, export_lerobot
from mosaicolabs.ml.lerobot import _writer
from mosaicolabs.ml.lerobot._stats import Stats

FPS = 10
FEATURES = {
    "observation.state": Signal("/arm", ["positions"]),
    "action": Signal("/grip", ["data"], align="linear"),
    "observation.images.front": Signal("/camera", image=(4, 6)),
}


def record(client: MosaicoClient, name: str, frames: int, offset: float = 0.0) -> None:
    """At frame n the joints are (n, -n) and the grip 10 n, plus an offset; pictures are grey n."""
    with client.sequence_create(name) as sequence:
        arm = sequence.topic_create("arm", {}, RobotJoint)
        grip = sequence.topic_create("grip", {}, Floating32)
        camera = sequence.topic_create("camera", {}, Image)
        for n in range(frames):
            time_ns = n * 100_000_000
            angles = [n + offset, -n + offset]
            joint = RobotJoint(names=["a", "b"], positions=angles, velocities=[], efforts=[])
            arm.push(Message(timestamp_ns=time_ns, data=joint))
            grip.push(Message(timestamp_ns=time_ns, data=Floating32(data=10.0 * n + offset)))
            grey = np.full((4, 6), n, np.uint8)
            camera.push(Message(timestamp_ns=time_ns, data=Image.from_numpy(grey, "mono8")))


def table(path: Path) -> pd.DataFrame:
    return pyarrow.parquet.read_table(path).to_pandas()


@pytest.fixture
def lifts(client: MosaicoClient) -> MosaicoClient:
    record(client, "lift-1", 100)
    record(client, "lift-2", 70, offset=0.5)
    return client


def test_dataset(lifts: MosaicoClient, tmp_path: Path) -> None:
    tasks = {"lift-1": "lift the cube", "lift-2": "lift the ball"}
    result = export_lerobot(
        lifts, ["lift-1", "lift-2"], FEATURES, tmp_path / "d", fps=FPS, task=tasks, robot_type="so101"
    )

    assert (result.frames, result.episodes) == (170, ("lift-1", "lift-2"))
    info = json.loads((tmp_path / "d/meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["robot_type"]) == ("v3.0", 10, "so101")
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (2, 170, 2)
    assert info["splits"] == {"train": "0:2"}
    assert info["features"]["observation.state"] == {"dtype": "float32", "shape": [2], "names": None}
    assert info["features"]["action"] == {"dtype": "float32", "shape": [1], "names": ["data"]}
    assert info["features"]["observation.images.front"]["dtype"] == "image"
    assert info["features"]["observation.images.front"]["shape"] == [4, 6, 3]
    assert info["features"]["timestamp"] == {"dtype": "float32", "shape": [1], "names": None}
    assert info["features"]["index"]["dtype"] == "int64"

    data = table(tmp_path / "d" / info["data_path"].format(chunk_index=0, file_index=0))
    assert data["index"].tolist() == list(range(170))
    assert data["frame_index"].tolist() == [*range(100), *range(70)]
    assert data["episode_index"].tolist() == [0] * 100 + [1] * 70
    assert data["task_index"].tolist() == [0] * 100 + [1] * 70
    np.testing.assert_allclose(data["timestamp"], [n / 10 for n in [*range(100), *range(70)]], rtol=1e-6)
    assert data["action"].iloc[165] == 10 * 65 + 0.5
    assert np.stack(data["observation.state"]).shape == (170, 2)
    assert data["observation.state"].iloc[165].tolist() == [65.5, -64.5]
    pixels = np.asarray(PIL.Image.open(io.BytesIO(data["observation.images.front"].iloc[42]["bytes"])))
    np.testing.assert_array_equal(pixels, np.full((4, 6, 3), 42))

    described = json.loads(
        pyarrow.parquet.read_schema(tmp_path / "d/data/chunk-000/file-000.parquet").metadata[b"huggingface"]
    )["info"]["features"]
    assert described["observation.images.front"] == {"_type": "Image"}
    assert described.keys() == info["features"].keys()

    read_tasks = pd.read_parquet(tmp_path / "d/meta/tasks.parquet")
    assert read_tasks.index.tolist() == ["lift the cube", "lift the ball"]
    assert read_tasks.loc["lift the ball", "task_index"] == 1
    episodes = table(tmp_path / "d/meta/episodes/chunk-000/file-000.parquet")
    assert episodes["length"].tolist() == [100, 70]
    assert episodes["dataset_from_index"].tolist() == [0, 100]
    assert episodes["dataset_to_index"].tolist() == [100, 170]
    assert [list(tasks) for tasks in episodes["tasks"]] == [["lift the cube"], ["lift the ball"]]
    assert episodes["stats/action/max"].map(list).tolist() == [[990.0], [690.5]]


def test_statistics(lifts: MosaicoClient, tmp_path: Path) -> None:
    export_lerobot(lifts, ["lift-1", "lift-2"], FEATURES, tmp_path / "d", fps=FPS, task="lift")

    stats = json.loads((tmp_path / "d/meta/stats.json").read_text())
    data = table(tmp_path / "d/data/chunk-000/file-000.parquet")
    state = np.stack(data["observation.state"]).astype(np.float64)
    found = stats["observation.state"]
    for key in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(found[key], getattr(state, key)(0), err_msg=key)
    assert found["count"] == [170]
    picture = stats["observation.images.front"]
    grey = np.array([*range(100), *range(70)]) / 255
    np.testing.assert_allclose(np.array(picture["mean"]), np.full((3, 1, 1), grey.mean()))
    np.testing.assert_allclose(np.array(picture["std"]), np.full((3, 1, 1), grey.std()))
    assert picture["count"] == [170]
    assert stats["timestamp"]["max"] == pytest.approx([9.9])


def test_running_statistics_keep_their_digits() -> None:
    values = 1e9 + np.random.default_rng(1).normal(0, 1e-3, (1000, 2))
    stats, part = Stats(), Stats()
    stats.add(values[:1], 1)
    part.add(values[1:400], 399)
    part.add(values[400:], 600)
    stats.add_all(part)

    np.testing.assert_allclose(stats.document(picture=False)["std"], values.std(0), rtol=1e-3)
    assert stats.document(picture=False)["count"] == [1000]


def test_files_are_limited_in_size(
    lifts: MosaicoClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_writer, "_FILE_MB", 0)
    monkeypatch.setattr(_writer, "_FILES_PER_CHUNK", 1)

    export_lerobot(lifts, ["lift-1", "lift-2"], FEATURES, tmp_path / "d", fps=FPS, task="lift")

    episodes = table(tmp_path / "d/meta/episodes/chunk-000/file-000.parquet")
    assert episodes["data/chunk_index"].tolist() == [0, 1]
    assert episodes["data/file_index"].tolist() == [0, 0]
    assert len(table(tmp_path / "d/data/chunk-001/file-000.parquet")) == 70


def test_sequences_of_a_query_and_skipped_ones(lifts: MosaicoClient, tmp_path: Path) -> None:
    with lifts.sequence_create("talk") as sequence:
        note = sequence.topic_create("note", {}, String)
        note.push(Message(timestamp_ns=0, data=String(data="x")))

    result = export_lerobot(
        lifts, ["talk", "lift-2"], FEATURES, tmp_path / "d", fps=FPS, task={"lift-2": "lift"}
    )

    assert result.episodes == ("lift-2",)
    assert result.skipped == {"talk": "it has no topic /arm, /camera, /grip"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fps": 0}, "fps is at least 1, not 0"),
        ({"task": ""}, "sequence 'lift-1' has no task"),
        ({"task": {"lift-2": "x"}}, "sequence 'lift-1' has no task"),
        ({"features": {"index": Signal("/grip", ["data"])}}, "'index' is not a name for a feature"),
        (
            {"features": {"a": Signal("/grip", ["data"], offsets_s=(0.0, 0.1))}},
            "feature 'a' has 2 offsets; give one",
        ),
        (
            {"features": {"a": Signal("/grip", ["data"], max_age_s=0.01)}, "fps": 20},
            "feature 'a' has no value in lift-1 at 50000000 ns; raise its max_age_s",
        ),
    ],
)
def test_refused(lifts: MosaicoClient, tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    arguments = {"features": FEATURES, "fps": FPS, "task": "lift", **changes}
    with pytest.raises(InvalidInputError, match=problem):
        export_lerobot(lifts, ["lift-1"], path=tmp_path / "d", **arguments)
    assert not (tmp_path / "d").exists()


def test_an_existing_folder_is_kept(lifts: MosaicoClient, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()

    with pytest.raises(ExportError, match="d exists; choose another path"):
        export_lerobot(lifts, ["lift-1"], FEATURES, tmp_path / "d", fps=FPS, task="lift")
    export_lerobot(lifts, ["lift-1"], FEATURES, tmp_path / "d", fps=FPS, task="lift", overwrite=True)
    assert (tmp_path / "d/meta/info.json").is_file()
    assert not (tmp_path / "d.partial").exists()
