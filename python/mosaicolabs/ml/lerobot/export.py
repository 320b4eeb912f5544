"""Writes sequences as the episodes of a dataset of LeRobot."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mosaicolabs.comm import MosaicoClient
from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.export._staging import staging
from mosaicolabs.ml.dataset import Signal, WindowDataset
from mosaicolabs.ml.dataset._source import Connect
from mosaicolabs.ml.lerobot._features import INDEXES
from mosaicolabs.ml.lerobot._writer import DatasetWriter
from mosaicolabs.models.query import QueryResponse

_BLOCK = 64
"""Frames that are read and written together."""


@dataclass(frozen=True)
class LerobotResult:
    """The dataset that was written.

    Attributes:
        path: Its folder.
        episodes: Names of the sequences, in the order of `episode_index`.
        frames: Number of frames.
        skipped: Sequences without the topics of the features, with the reasons.
        seconds: Duration, s.
    """

    path: Path
    episodes: tuple[str, ...]
    frames: int
    skipped: dict[str, str]
    seconds: float


def export_lerobot(
    connect: MosaicoClient | Connect,
    sequences: Iterable[str] | QueryResponse,
    features: Mapping[str, Signal],
    path: str | os.PathLike[str],
    *,
    fps: int,
    task: str | Mapping[str, str],
    robot_type: str | None = None,
    overwrite: bool = False,
) -> LerobotResult:
    """Writes sequences as the episodes of a dataset of LeRobot, version 3, in bounded memory.

    Numbers are columns of Parquet files, pictures are PNG inside of them (`dtype` `image`). The dataset
    appears at `path` when it is complete.

    Args:
        connect: A client, or a function that opens one.
        sequences: Names of the sequences, or the response of a query.
        features: Such as `observation.state`, `action`, `observation.images.front`; each with one offset.
        path: Folder to create.
        fps: Frames per second; the signals are aligned to them.
        task: What the robot does: one text for all, or one for each sequence.
        robot_type: Name of the kind of robot.
        overwrite: Replace an existing folder.

    Raises:
        InvalidInputError: A feature has several offsets, a name of LeRobot's own, no value at a frame, or
            another shape than in the first frame; or a sequence has no task.
        ExportError: The folder exists, or another export writes to it.

    Example:
        >>> from mosaicolabs import Floating32, Message
        >>> with MosaicoClient.embedded(store) as client:
        ...     with client.sequence_create("lift-1") as writer:
        ...         grip = writer.topic_create("grip", {}, Floating32)
        ...         for step in range(11):
        ...             grip.push(Message(timestamp_ns=step * 100_000_000, data=Floating32(data=step)))
        ...     features = {"observation.state": Signal("/grip", ["data"])}
        ...     result = export_lerobot(
        ...         client, ["lift-1"], features, store / "../lift", fps=10, task="lift the cube"
        ...     )
        >>> result.frames, result.episodes
        (11, ('lift-1',))
    """
    started = time.monotonic()
    _check(features, fps)
    dataset = WindowDataset(connect, sequences, features, step_s=1 / fps)
    target = Path(path)
    runs = _episodes(dataset)
    tasks = {name: _task(task, name) for name, _, _ in runs}
    request = {"lerobot": [name for name, _, _ in runs], "started": time.time_ns()}
    with staging(target, request, overwrite=overwrite) as stage:
        with closing(DatasetWriter(stage.path(""), fps, robot_type)) as writer:
            for name, first, past in runs:
                _write_episode(writer, dataset, features, tasks[name], first, past)
            writer.finish()
        stage.finish_part("", len(dataset))
        stage.complete(single=True)
    dataset.close()
    names = tuple(name for name, _, _ in runs)
    return LerobotResult(target, names, len(dataset), dataset.skipped, time.monotonic() - started)


def _check(features: Mapping[str, Signal], fps: int) -> None:
    if fps < 1:
        raise InvalidInputError(f"fps is at least 1, not {fps}")
    for name, signal in features.items():
        if len(signal.offsets_s) != 1:
            raise InvalidInputError(
                f"feature {name!r} has {len(signal.offsets_s)} offsets; give one, since LeRobot makes "
                "windows when it reads"
            )
        if name in INDEXES or "/" in name:
            raise InvalidInputError(
                f"{name!r} is not a name for a feature; give one such as observation.state"
            )


def _task(task: str | Mapping[str, str], sequence: str) -> str:
    text = task if isinstance(task, str) else task.get(sequence)
    if not text:
        raise InvalidInputError(f"sequence {sequence!r} has no task; describe what the robot does in it")
    return text


def _episodes(dataset: WindowDataset) -> list[tuple[str, int, int]]:
    """Name, first and past-the-last sample of each sequence."""
    blocks = dataset.blocks(len(dataset))
    return [(str(dataset.name_of(first)), first, past) for first, past in blocks]


def _write_episode(
    writer: DatasetWriter,
    dataset: WindowDataset,
    signals: Mapping[str, Signal],
    task: str,
    first: int,
    past: int,
) -> None:
    with writer.episode(task) as episode:
        for start in range(first, past, _BLOCK):
            samples = dataset.run(start, min(start + _BLOCK, past))
            episode.add({name: _values(name, samples) for name in signals}, signals)


def _values(name: str, samples: list[dict[str, Any]]) -> npt.NDArray[Any]:
    """The values of a feature, one per frame."""
    for sample in samples:
        if not sample[f"{name}_valid"].all():
            raise InvalidInputError(
                f"feature {name!r} has no value in {sample['sequence']} at {sample['timestamp_ns']} ns; "
                "raise its max_age_s, use align='hold', or choose other sequences"
            )
    return np.concatenate([sample[name] for sample in samples])
