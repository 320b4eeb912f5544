"""The files of a dataset of LeRobot, version 3."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.helpers.optional_packages import import_optional
from mosaicolabs.ml.dataset import Signal
from mosaicolabs.ml.lerobot._features import INDEXES, Feature
from mosaicolabs.ml.lerobot._stats import Stats

_VERSION = "v3.0"
_FILES_PER_CHUNK = 1000
_FILE_MB = 100
_VIDEO_MB = 200
_PLACE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
_DATA = f"data/{_PLACE}.parquet"


class DatasetWriter:
    """A folder that becomes a dataset, episode by episode.

    Args:
        folder: Where to write; it does not exist.
        fps: Frames per second.
        robot_type: Name of the kind of robot.
    """

    def __init__(self, folder: Path, fps: int, robot_type: str | None) -> None:
        self._folder, self._fps, self._robot_type = folder, fps, robot_type
        self.features: dict[str, Feature] = {}
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []
        self._stats: dict[str, Stats] = {}
        self._frames = 0
        self._files = 0
        self._file: pa.parquet.ParquetWriter | None = None
        self._path: Path | None = None

    @contextmanager
    def episode(self, task: str) -> Iterator["Episode"]:
        """The next episode; complete at the end of the block."""
        index = self._tasks.setdefault(task, len(self._tasks))
        self._rotate()
        episode = Episode(self, len(self._episodes), index, self._frames, self._fps)
        yield episode
        self._frames += episode.length
        place = {"chunk_index": (self._files - 1) // _FILES_PER_CHUNK}
        place["file_index"] = (self._files - 1) % _FILES_PER_CHUNK
        stats = {name: self._document(name, found) for name, found in episode.stats.items()}
        for name, found in episode.stats.items():
            self._stats.setdefault(name, Stats()).add_all(found)
        self._episodes.append(
            {
                "episode_index": episode.number,
                "tasks": [task],
                "length": episode.length,
                **{f"data/{key}": value for key, value in place.items()},
                "dataset_from_index": episode.start,
                "dataset_to_index": self._frames,
                **{f"stats/{name}/{key}": value for name, of in stats.items() for key, value in of.items()},
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
            }
        )

    def write(self, table: pa.Table) -> None:
        """Appends rows to the data file."""
        if self._file is None:
            self._path = self._folder / _DATA.format(
                chunk_index=self._files // _FILES_PER_CHUNK, file_index=self._files % _FILES_PER_CHUNK
            )
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pa.parquet.ParquetWriter(self._path, table.schema, compression="snappy")
            self._files += 1
        self._file.write_table(table)

    def finish(self) -> None:
        """Writes the metadata."""
        self.close()
        meta = self._folder / "meta"
        episodes = meta / "episodes" / f"{_PLACE.format(chunk_index=0, file_index=0)}.parquet"
        episodes.parent.mkdir(parents=True)
        pa.parquet.write_table(pa.Table.from_pylist(self._episodes), episodes)
        pandas = import_optional("pandas", "export_lerobot()")
        tasks = pandas.DataFrame(
            {"task_index": list(self._tasks.values())}, index=pandas.Index(self._tasks, name="task")
        )
        tasks.to_parquet(meta / "tasks.parquet")
        _write_json(meta / "stats.json", {name: self._document(name, of) for name, of in self._stats.items()})
        _write_json(meta / "info.json", self._info())

    def _info(self) -> dict[str, Any]:
        own = {
            name: {"dtype": str(type_).replace("float", "float32"), "shape": [1], "names": None}
            for name, type_ in INDEXES.items()
        }
        return {
            "codebase_version": _VERSION,
            "robot_type": self._robot_type,
            "total_episodes": len(self._episodes),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": _FILES_PER_CHUNK,
            "data_files_size_in_mb": _FILE_MB,
            "video_files_size_in_mb": _VIDEO_MB,
            "fps": self._fps,
            "splits": {"train": f"0:{len(self._episodes)}"},
            "data_path": _DATA,
            "video_path": None,
            "features": {**{name: of.description() for name, of in self.features.items()}, **own},
        }

    def _document(self, name: str, stats: Stats) -> dict[str, Any]:
        feature = self.features.get(name)
        return stats.document(picture=feature is not None and feature.is_picture)

    def _rotate(self) -> None:
        """Begins another file before an episode if this one is large."""
        if self._path is not None and self._path.stat().st_size >= _FILE_MB * 2**20:
            self.close()

    def close(self) -> None:
        """Closes the data file that is open."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


class Episode:
    """The frames of one episode.

    Attributes:
        number: Its index.
        start: Index of its first frame in the dataset.
        length: Number of frames so far.
        stats: Of its features, and of the columns that every dataset has.
    """

    def __init__(self, writer: DatasetWriter, number: int, task_index: int, start: int, fps: int) -> None:
        self._writer, self._task_index, self._fps = writer, task_index, fps
        self.number, self.start, self.length = number, start, 0
        self.stats: dict[str, Stats] = {}

    def add(self, values: Mapping[str, npt.NDArray[Any]], signals: Mapping[str, Signal]) -> None:
        """Appends frames: the values of each feature, the first dimension of which is the frame."""
        features = self._writer.features
        arrays, names, types = [], [], []
        for name, found in values.items():
            feature = features.setdefault(name, Feature.of(name, signals[name], found[0]))
            if found.shape[1:] != feature.shape or str(found.dtype) != feature.dtype:
                raise InvalidInputError(
                    f"feature {name!r} has the shape {found.shape[1:]} and the type {found.dtype} in episode "
                    f"{self.number}, and {feature.shape} and {feature.dtype} before"
                )
            arrays.append(feature.column(found))
            names.append(name)
            types.append(feature.arrow_type())
            self.stats.setdefault(name, Stats()).add(feature.numbers(found), len(found))
        count = len(next(iter(values.values())))
        for name, column in self._indexes(count).items():
            arrays.append(pa.array(column, INDEXES[name]))
            names.append(name)
            types.append(INDEXES[name])
            self.stats.setdefault(name, Stats()).add(column.astype(np.float64).reshape(-1, 1), count)
        schema = pa.schema(list(zip(names, types, strict=True)), _hugging_face(features))
        self._writer.write(pa.Table.from_arrays(arrays, schema=schema))
        self.length += count

    def _indexes(self, count: int) -> dict[str, npt.NDArray[Any]]:
        frames = np.arange(self.length, self.length + count)
        return {
            "timestamp": (frames / self._fps).astype(np.float32),
            "frame_index": frames,
            "episode_index": np.full(count, self.number),
            "index": frames + self.start,
            "task_index": np.full(count, self._task_index),
        }


def _hugging_face(features: Mapping[str, Feature]) -> dict[bytes, bytes]:
    """Metadata by which the library `datasets` knows pictures."""
    own = {
        name: {"dtype": "float32" if name == "timestamp" else "int64", "_type": "Value"} for name in INDEXES
    }
    described = {**{name: feature.hugging_face() for name, feature in features.items()}, **own}
    return {b"huggingface": json.dumps({"info": {"features": described}}).encode()}


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=4) + "\n")
