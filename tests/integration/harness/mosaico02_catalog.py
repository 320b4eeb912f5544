"""State and actions of a Mosaico 0.2.4 server: keys, checks and texts as recorded."""

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa

from .vectors import queries

NO_ROWS = "backend error :: no rows returned by a query that expected to return at least one row"
MISSING = f"facade error :: repository error :: {NO_ROWS}"
LOCKED = "facade error :: sequence locked, unable to perform modifications"

NAME = {"name"}
KEYED = {"name", "key"}
NOTIFY = {"name", "notify_type", "msg"}
TOPIC = {"name", "sequence_key", "serialization_format", "ontology_tag", "user_metadata"}
BODIES = {
    "sequence_create": {"name", "user_metadata"},
    "sequence_finalize": KEYED,
    "sequence_abort": KEYED,
    "sequence_delete": NAME,
    "sequence_system_info": NAME,
    "sequence_notify_create": NOTIFY,
    "sequence_notify_list": NAME,
    "sequence_notify_purge": NAME,
    "topic_create": TOPIC,
    "topic_delete": NAME,
    "topic_system_info": NAME,
    "topic_notify_create": NOTIFY,
    "topic_notify_list": NAME,
    "topic_notify_purge": NAME,
}
FORMATS = ["default", "ragged", "image"]


class RefusedError(Exception):
    """An answer with the status INTERNAL."""


class ExtraError(RefusedError):
    """A request that holds what no 0.2 client sends."""


@dataclass
class Topic:
    locator: str
    tag: str
    format: str
    metadata: Any
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: str = field(default_factory=lambda: now())
    notes: list[dict[str, Any]] = field(default_factory=list)
    rows: pa.Table | None = None
    locked: bool = False

    @property
    def times(self) -> dict[str, int] | None:
        """Bounds of the stored rows."""
        if self.rows is None or self.rows.num_rows == 0:
            return None
        column = self.rows["timestamp_ns"].to_pylist()
        return {"min": min(column), "max": max(column)}

    @property
    def context(self) -> dict[str, str]:
        """Metadata of its schema."""
        properties = {"serialization_format": self.format, "ontology_tag": self.tag}
        return {
            "mosaico:context": "topic",
            "mosaico:properties": compact(properties),
            "mosaico:user_metadata": compact(self.metadata, sort_keys=True),
        }


@dataclass
class Sequence:
    name: str
    metadata: Any
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: str = field(default_factory=lambda: now())
    notes: list[dict[str, Any]] = field(default_factory=list)
    topics: dict[str, Topic] = field(default_factory=dict)
    locked: bool = False

    @property
    def context(self) -> dict[str, str]:
        """Metadata of its schema."""
        return {
            "mosaico:context": "sequence",
            "mosaico:user_metadata": compact(self.metadata, sort_keys=True),
        }


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f000 UTC")


def compact(value: Any, **options: Any) -> str:
    return json.dumps(value, separators=(",", ":"), **options)


class Catalog:
    """Sequences and topics. `strict` refuses fields that it would pass over, and keeps them in `extras`."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.extras: list[str] = []
        self.actions: list[str] = []
        self.sequences: dict[str, Sequence] = {}

    # -- requests --------------------------------------------------------------------------------

    def act(self, action: str, body: bytes) -> dict[str, Any] | None:
        """The `response` of an action; None where it answers `empty`."""
        self.actions.append(action)
        if action not in BODIES and action != "query":
            self.note(f"action {action}")
            raise RefusedError(f"action error :: no available action for string `{action}`")
        request = self.parse(body)
        if action == "query":
            return self.query(request)
        self.check_fields(action, request, body)
        kind, _, verb = action.partition("_")
        answer: dict[str, Any] | None = getattr(self, verb if "notify" in verb else action)(request, kind)
        return answer

    def parse(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError as error:
            text = "EOF while parsing a value at line 1 column 0" if not body else str(error)
            raise RefusedError(f"action error :: body deserialization error: {text}") from error

    def check_fields(self, action: str, request: dict[str, Any], body: bytes) -> None:
        known = BODIES[action]
        for name in request.keys() - known:
            self.note(f"field `{name}` of {action}")
        missing = known - request.keys()
        if missing:
            text = f"missing field `{min(missing)}` at line 1 column {len(body)}"
            raise RefusedError(f"action error :: body deserialization error: {text}")
        format_ = request.get("serialization_format", "default")
        if format_ not in FORMATS:
            column = body.index(f'"{format_}"'.encode()) + len(format_) + 2
            expected = ", ".join(f"`{known}`" for known in FORMATS)
            text = f"unknown variant `{format_}`, expected one of {expected} at line 1 column {column}"
            raise RefusedError(f"action error :: body deserialization error: {text}")

    def note(self, what: str) -> None:
        """Something that no 0.2 client sends."""
        if self.strict:
            self.extras.append(what)
            raise ExtraError(f"no 0.2 client sends {what}")

    # -- sequences -------------------------------------------------------------------------------

    def find(self, name: str) -> Sequence:
        sequence = self.sequences.get(name.strip("/"))
        if sequence is None:
            raise RefusedError(MISSING)
        return sequence

    def sequence_create(self, request: dict[str, Any], _: str) -> dict[str, Any]:
        name = request["name"].strip("/")
        if name in self.sequences:
            raise RefusedError(f"sequence `{name}` already exists")
        sequence = self.sequences[name] = Sequence(name, request["user_metadata"])
        return {"key": sequence.key}

    def sequence_finalize(self, request: dict[str, Any], _: str) -> None:
        sequence = self.opened(request)
        if sequence.locked:
            raise RefusedError(LOCKED)
        if not all(topic.locked for topic in sequence.topics.values()):
            text = "topic unlocked, unable to perform the requested operation over an unlocked topic"
            raise RefusedError(f"facade error :: {text}")
        sequence.locked = True

    def sequence_abort(self, request: dict[str, Any], _: str) -> None:
        self.opened(request)
        self.sequence_delete(request, _)

    def sequence_delete(self, request: dict[str, Any], _: str) -> None:
        sequence = self.find(request["name"])
        if sequence.locked:
            raise RefusedError("sequence is locked")
        del self.sequences[sequence.name]

    def opened(self, request: dict[str, Any]) -> Sequence:
        sequence = self.find(request["name"])
        check_key(request["key"], sequence.key)
        return sequence

    def sequence_system_info(self, request: dict[str, Any], _: str) -> dict[str, Any]:
        sequence = self.find(request["name"])
        size = 121 + sum(stored_bytes(topic) for topic in sequence.topics.values())
        return {
            "total_size_bytes": size,
            "is_locked": sequence.locked,
            "created_datetime": sequence.created,
        }

    # -- topics ----------------------------------------------------------------------------------

    def find_topic(self, locator: str) -> Topic:
        locator = locator.strip("/")
        sequence = self.sequences.get(locator.split("/")[0])
        if sequence is None or locator not in sequence.topics:
            raise RefusedError(MISSING)
        return sequence.topics[locator]

    def topic_create(self, request: dict[str, Any], _: str) -> dict[str, Any]:
        check_uuid(request["sequence_key"])
        owners = [s for s in self.sequences.values() if s.key == request["sequence_key"]]
        if not owners:
            raise RefusedError(MISSING)
        locator = request["name"].strip("/")
        if owners[0].locked:
            raise RefusedError(LOCKED)
        if not locator.startswith(owners[0].name):
            raise RefusedError("facade error :: unauthorized")
        if locator in owners[0].topics:
            raise RefusedError(f"topic `{locator}` already exists")
        topic = Topic(
            locator, request["ontology_tag"], request["serialization_format"], request["user_metadata"]
        )
        owners[0].topics[locator] = topic
        return {"key": topic.key}

    def topic_delete(self, request: dict[str, Any], _: str) -> None:
        topic = self.find_topic(request["name"])
        if topic.locked:
            raise RefusedError("sequence is locked")
        del self.sequences[topic.locator.split("/")[0]].topics[topic.locator]

    def topic_system_info(self, request: dict[str, Any], _: str) -> dict[str, Any]:
        topic = self.find_topic(request["name"])
        return {
            "chunks_number": int(topic.times is not None),
            "total_size_bytes": stored_bytes(topic),
            "is_locked": topic.locked,
            "created_datetime": topic.created,
        }

    # -- notifications ---------------------------------------------------------------------------

    def noted(self, name: str, kind: str) -> Sequence | Topic:
        return self.find(name) if kind == "sequence" else self.find_topic(name)

    def notify_create(self, request: dict[str, Any], kind: str) -> None:
        if request["notify_type"] != "error":
            raise RefusedError(f"io error :: unkwnown notify type `{request['notify_type']}`")
        note = {name: request[name] for name in ("name", "notify_type", "msg")}
        self.noted(request["name"], kind).notes.append({**note, "created_datetime": now()})

    def notify_list(self, request: dict[str, Any], kind: str) -> dict[str, Any]:
        try:
            return {"notifies": list(self.noted(request["name"], kind).notes)}
        except RefusedError:
            return {"notifies": []}

    def notify_purge(self, request: dict[str, Any], kind: str) -> None:
        try:
            self.noted(request["name"], kind).notes.clear()
        except RefusedError:
            return

    # -- queries ---------------------------------------------------------------------------------

    def query(self, request: dict[str, Any]) -> dict[str, Any]:
        """Recorded answers only, about the sequences that were there when they were recorded."""
        for body, answer in queries():
            if body == request:
                if isinstance(answer, str):
                    raise RefusedError(answer)
                return answer
        raise ExtraError(f"no recorded answer to the query {compact(request)}")


def stored_bytes(topic: Topic) -> int:
    return 0 if topic.rows is None else int(topic.rows.nbytes)


def check_key(given: str, key: str) -> None:
    check_uuid(given)
    if given != key:
        raise RefusedError("bad key")


def check_uuid(text: str) -> None:
    wrong = re.search(r"[^0-9a-fA-F-]", text)
    if wrong:
        where = f"found `{wrong[0]}` at {wrong.start() + 1}"
        expected = "expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-]"
        raise RefusedError(f"malformed key :: invalid character: {expected}, {where}")
    if len(text.replace("-", "")) != 32:
        size = len(text)
        raise RefusedError(
            f"malformed key :: invalid length: expected length 32 for simple format, found {size}"
        )
