"""Reads a ULog file record by record: definitions, rows, parameters, texts, dropouts and damage."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._reader_api import RecordingError

MAGIC = b"ULog\x01\x12\x35"
_HEADER = 16
_RECORD = struct.Struct("<HB")
_KINDS = frozenset(b"BFIMPQARDLCSO")
# A synchronization record; recording resumes at one after damage.
_SYNC = b"\x08\x00S\x2f\x73\x13\x20\x25\x0c\xbb\x12"
_LEVELS = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")


@dataclass
class Subscription:
    """The rows of one instance of a topic.

    Attributes:
        topic: Name of the topic, which is that of its format.
        instance: Number of the instance.
        rows: Encoded rows.
        after_us: The time of the last row of any topic before each row, us; only used where rows have none.
    """

    topic: str
    instance: int
    rows: list[bytes] = field(default_factory=list)
    after_us: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Text:
    """A line that the vehicle logged."""

    timestamp_us: int
    level: str
    tag: int | None
    message: str


@dataclass(frozen=True)
class Parameter:
    """A value of a parameter: `initial`, `changed` at a time, or a `default`."""

    timestamp_us: int
    name: str
    type: str
    value: float
    kind: str


@dataclass
class UlogFile:
    """What a log contains.

    Attributes:
        start_us: Time of the first record, us since boot.
        formats: The text behind the name, by topic.
        subscriptions: Rows by topic and instance, in the order of the log.
        information: Values by key.
        lists: Values that belong together, by key.
        parameters: All values of parameters.
        texts: Logged lines.
        dropouts: Time and duration of each, us and ms.
        damage: What cannot be read, each in one sentence without the path.
        unknown: Number of records of kinds that this reader does not know, by kind.
    """

    start_us: int
    formats: dict[str, str] = field(default_factory=dict)
    subscriptions: list[Subscription] = field(default_factory=list)
    information: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    parameters: list[Parameter] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    dropouts: list[tuple[int, int]] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)


def read_ulog(path: Path) -> UlogFile:
    """Reads a whole log.

    Raises:
        RecordingError: It is not a ULog file, or uses features that this reader does not know.
    """
    content = path.read_bytes()
    if len(content) < _HEADER or not content.startswith(MAGIC):
        raise RecordingError(f"{path}: not a readable ULog file: its header is not that of ULog")
    return _Parser(path, content).run()


class _Parser:
    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        self._content = content
        (start_us,) = struct.unpack_from("<Q", content, 8)
        self._log = UlogFile(start_us)
        self._subscribed: dict[int, Subscription] = {}
        self._time_us = start_us
        self._with_time: dict[str, bool] = {}
        self._in_data = False
        # Where data were appended, the record before is not whole.
        self._ends = [len(content)]

    def run(self) -> UlogFile:
        position = _HEADER
        while self._ends:
            position = max(position, self._segment(position))
            self._ends.pop(0)
        return self._log

    def _segment(self, position: int) -> int:
        """Reads the records up to a place where data were appended, or the end; returns that place."""
        content, unpack = self._content, _RECORD.unpack_from
        while position + _RECORD.size <= self._ends[0]:
            length, kind = unpack(content, position)
            following = position + _RECORD.size + length
            if kind not in _KINDS or following > self._ends[0]:
                found = self._after_damage(position, known=kind in _KINDS)
                if found is None:
                    return self._ends[0]
                position = found
                continue
            try:
                self._record(chr(kind), content[position + _RECORD.size : following])
            except (ValueError, struct.error, IndexError) as error:
                self._log.damage.append(
                    f"parts of the log are corrupt: the record at byte {position}: {error}"
                )
            position = following
        if position < self._ends[0] == len(content):
            self._log.damage.append(f"the log is truncated inside the record at byte {position}")
        return self._ends[0]

    def _after_damage(self, position: int, *, known: bool) -> int | None:
        """Where records begin again; None if there are none up to the end, or to appended data."""
        end = self._ends[0]
        sync = self._content.find(_SYNC, position + 1, end)
        if sync >= 0:
            self._log.damage.append(f"parts of the log are corrupt: bytes {position} to {sync}")
            return sync
        if not known:
            self._log.damage.append(f"parts of the log are corrupt: everything from byte {position} on")
        elif end == len(self._content):
            self._log.damage.append(f"the log is truncated inside the record at byte {position}")
        return None

    def _record(self, kind: str, body: bytes) -> None:
        if kind == "D":
            self._row(body)
        elif kind in ("L", "C"):
            self._in_data = True
            self._text(kind, body)
        elif kind == "F":
            name, _, fields = body.decode("utf-8", "backslashreplace").partition(":")
            self._log.formats[name] = fields
            self._with_time[name] = fields.startswith("uint64_t timestamp;")
        elif kind == "A":
            self._in_data = True
            instance, number = struct.unpack_from("<BH", body)
            topic = body[3:].decode("utf-8", "backslashreplace")
            self._subscribed[number] = Subscription(topic, instance)
            self._log.subscriptions.append(self._subscribed[number])
        elif kind == "O":
            (duration_ms,) = struct.unpack_from("<H", body)
            self._log.dropouts.append((self._time_us, duration_ms))
        elif kind in ("P", "Q"):
            self._parameter(kind, body)
        elif kind == "I":
            key, value = _key_value(body)
            self._log.information[key.partition(" ")[2] or key] = _plain(key, value)
        elif kind == "M":
            key, value = _key_value(body[1:])
            values = self._log.lists.setdefault(key.partition(" ")[2] or key, [])
            text = _text(value)
            if body[0] and values:
                values[-1] += text
            else:
                values.append(text)
        elif kind == "B":
            self._flags(body)
        elif kind not in ("R", "S"):
            self._log.unknown[kind] = self._log.unknown.get(kind, 0) + 1

    def _row(self, body: bytes) -> None:
        number = body[0] | body[1] << 8
        subscription = self._subscribed.get(number)
        if subscription is None:
            raise ValueError(f"a row of the topic {number}, which is not defined")
        subscription.after_us.append(self._time_us)
        subscription.rows.append(body[2:])
        if self._with_time.get(subscription.topic) and len(body) >= 10:
            self._time_us = int.from_bytes(body[2:10], "little")

    def _text(self, kind: str, body: bytes) -> None:
        if kind == "C":
            level, tag, timestamp_us = struct.unpack_from("<BHQ", body)
            message = body[11:]
        else:
            (level, timestamp_us), tag = struct.unpack_from("<BQ", body), None
            message = body[9:]
        # The level is an ASCII digit.
        name = _LEVELS[level - 48] if 48 <= level < 56 else str(level)
        self._log.texts.append(Text(timestamp_us, name, tag, message.decode("utf-8", "backslashreplace")))

    def _parameter(self, kind: str, body: bytes) -> None:
        key, value = _key_value(body[1:] if kind == "Q" else body)
        type_name, _, name = key.partition(" ")
        codes = {"int32_t": "<i", "float": "<f"}
        if type_name not in codes or len(value) != 4:
            raise ValueError(f"the parameter `{key}` is neither int32_t nor float")
        (number,) = struct.unpack(codes[type_name], value)
        state = "default" if kind == "Q" else "changed" if self._in_data else "initial"
        self._log.parameters.append(Parameter(self._time_us, name, type_name, float(number), state))

    def _flags(self, body: bytes) -> None:
        incompatible, appended = body[8:16], struct.unpack_from("<3Q", body, 16)
        if incompatible[:1] not in (b"\0", b"\1", b"") or any(incompatible[1:]):
            raise RecordingError(
                f"{self._path}: the log uses features that are not known: {incompatible.hex()}"
            )
        if incompatible[:1] == b"\1":
            self._ends = sorted({*(at for at in appended if 0 < at < len(self._content)), *self._ends})


def _key_value(body: bytes) -> tuple[str, bytes]:
    length = body[0]
    if 1 + length > len(body):
        raise ValueError("its key is longer than the record")
    return body[1 : 1 + length].decode("utf-8", "backslashreplace"), body[1 + length :]


_CODES = {
    "int8_t": "b",
    "uint8_t": "B",
    "int16_t": "h",
    "uint16_t": "H",
    "int32_t": "i",
    "uint32_t": "I",
    "int64_t": "q",
    "uint64_t": "Q",
    "float": "f",
    "double": "d",
    "bool": "?",
}


def _plain(key: str, value: bytes) -> Any:
    """A number, a list of numbers or a text."""
    kind = key.partition(" ")[0].partition("[")[0]
    code = _CODES.get(kind)
    if code is None or len(value) % struct.calcsize(code):
        return _text(value)
    numbers = [item for (item,) in _each(code, value)]
    return numbers[0] if len(numbers) == 1 else numbers


def _each(code: str, value: bytes) -> Iterator[tuple[Any, ...]]:
    return struct.iter_unpack("<" + code, value)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace").rstrip("\0")
