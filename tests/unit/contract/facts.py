"""Facts, the recorded ones, and intended differences."""

import importlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("MOSAICO_SHARED", Path(__file__).parents[3].parent / "shared"))
API = json.loads((SHARED / "contract" / "api.json").read_text())
ONTOLOGIES = json.loads((SHARED / "contract" / "ontologies.json").read_text())

PENDING: tuple[str, ...] = ()
"""Parts that are not there yet. One that is there must leave the list: a test says so."""

_MACHINERY = "parts of a transport in Python; ours is in Rust"
_CREATED_BY_OTHERS = "users never call it: other classes create handlers, and ours have a native client"
_REFERENCED_WHILE_OPEN = "an open recording is referenced until the interpreter exits, and reported then"
_CALLED_BY_PYDANTIC = "called by pydantic alone, which passes it by position"
_HANDLES = (
    "comm.mosaico_client.MosaicoClient",
    "handlers.base_sequence_writer.BaseSequenceWriter",
    "handlers.sequence_handler.SequenceHandler",
    "handlers.sequence_reader.SequenceDataStreamer",
    "handlers.sequence_writer.SequenceWriter",
    "handlers.topic_handler.TopicHandler",
    "handlers.topic_reader.TopicDataStreamer",
    "handlers.topic_writer.TopicWriter",
)
_WRITERS = (
    "handlers.base_sequence_writer.BaseSequenceWriter",
    "handlers.sequence_writer.SequenceWriter",
    "handlers.topic_writer.TopicWriter",
)
_UNSIGNED = tuple(f"models.data.base_types.Unsigned{bits}" for bits in (8, 16, 32, 64))

DIFFERENT = {
    "mosaicolabs.comm.connection._ConnectionPool": _MACHINERY,
    "mosaicolabs.comm.connection._DEFAULT_CONNECTION_POOL_SIZE": _MACHINERY,
    "mosaicolabs.comm.executor_pool": _MACHINERY,
    "mosaicolabs.handlers.internal": _MACHINERY,
    "mosaicolabs.handlers.helpers": "private constants; the checks are `helpers.validate_*_name`",
    "mosaicolabs.models.sensors.image._IMG_ENCODING_MAP": "private; the encodings are facts of their own",
    "mosaicolabs.models.sensors.image._DEFAULT_IMG_FORMAT": "private; the default is a fact of its own",
    **{f"mosaicolabs.{path}.__init__": _CREATED_BY_OTHERS for path in _HANDLES},
    **{f"mosaicolabs.{path}.__del__": _REFERENCED_WHILE_OPEN for path in _WRITERS},
    **{f"mosaicolabs.{path}.model_post_init": _CALLED_BY_PYDANTIC for path in _UNSIGNED},
    "mosaicolabs.handlers.topic_writer.TopicWriter.is_active": "an attribute whose value may be called",
    "testing.command.mosaico.testing": "the tests lie in the repository, not in the package",
    "mosaicolabs.models.message.Message.model_post_init": _CALLED_BY_PYDANTIC,
    "IMU.fields.angular_velocity": "an accelerometer alone is an IMU too",
    "IMU.columns.angular_velocity": "an accelerometer alone is an IMU too",
}
"""Intended differences, by the beginning of the name of the fact, with the reason."""


@dataclass(frozen=True)
class Fact:
    """One recorded fact, and what ours says about the same thing."""

    name: str
    expected: Any
    found: Any

    @property
    def holds(self) -> bool:
        return bool(self.found == self.expected)

    def __str__(self) -> str:
        return f"{self.name}: recorded {self.expected!r}, ours {self.found!r}"


class Missing:
    """What ours says about something that it does not have."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()


def load(path: str) -> Any:
    """The object of a dotted path, or `MISSING`."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, MISSING)
    except ModuleNotFoundError as error:
        if error.name is None or not covered(module, [error.name]):
            raise
        return MISSING


def exists(path: str) -> bool:
    """Whether a module or a name in a module is there."""
    try:
        importlib.import_module(path)
    except ModuleNotFoundError:
        return load(path) is not MISSING
    return True


def is_pending(name: str) -> bool:
    """Whether it belongs to a part that is not there at all; what is there has to be complete."""
    return covered(name, [part for part in PENDING if not exists(part)])


def covered(name: str, beginnings: Iterable[str]) -> bool:
    return any(name == start or name.startswith(f"{start}.") for start in beginnings)


def broken(facts: Iterable[Fact]) -> list[str]:
    """The facts that do not hold although they should, for people."""
    return [
        str(fact)
        for fact in facts
        if not fact.holds and not is_pending(fact.name) and not covered(fact.name, DIFFERENT)
    ]
