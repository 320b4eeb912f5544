"""A store with many sequences, made quickly: a few are recorded, the others are copies of their records."""

import json
import os
import random
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from _data import START_NS, STEP_NS, imu
from _harness import Options
from _services import daemon

from mosaicolabs import IMU, Message

TEMPLATES = 50
ROWS = 1_000
ULID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def fill(options: Options, store: Path, count: int) -> None:
    """Makes `count` sequences `run-00000`... with one topic of 1000 IMU messages each.

    The values of every 50th sequence are the same: those of number n lie around n modulo 50, never on it.
    """
    templates = min(count, TEMPLATES)
    with daemon(options.mosaicod, store) as running, running.connect() as client:
        for number in range(templates):
            with client.sequence_create(name(number), metadata(number)) as sequence:
                writer = sequence.topic_create("imu", {"rate_hz": 200}, IMU)
                for message in _messages(number):
                    writer.push(message)
    for file in store.glob("catalog.db*"):
        file.unlink()
    folders = {_record(folder)["name"]: folder for folder in (store / "seq").iterdir()}
    random.seed(1)
    for number in range(templates, count):
        _copy(folders[name(number % templates)], store / "seq", number)


def name(number: int) -> str:
    return f"run-{number:05}"


def metadata(number: int) -> dict[str, object]:
    return {"number": number, "driver": {"name": f"driver-{number % 97}"}, "dry": number % 2 == 0}


def _messages(template: int) -> Iterator[Message]:
    for row in range(ROWS):
        side = -1 if row % 2 else 1
        value = template + side * (0.1 + 0.3 * row / ROWS)
        sample = imu((value, 0.0, 9.81, value, 0.0, 0.0))
        yield Message(timestamp_ns=START_NS + row * STEP_NS, data=sample)


def _record(folder: Path) -> dict[str, object]:
    record: dict[str, object] = json.loads((folder / "sequence.json").read_text())
    return record


def _copy(template: Path, sequences: Path, number: int) -> None:
    ids = [template.name, *(topic.name for topic in (template / "topic").iterdir())]
    renamed = {old: _ulid() for old in ids}
    for source in template.rglob("*"):
        if source.is_dir():
            continue
        target = sequences / _replaced(str(source.relative_to(sequences)), renamed)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".json":
            target.write_text(_sealed(_replaced(source.read_text(), renamed)))
        elif source.suffix == ".parquet":
            os.link(source, target)
        else:
            shutil.copyfile(source, target)
    record = sequences / renamed[template.name] / "sequence.json"
    changed = {"name": name(number), "user_metadata": metadata(number)}
    record.write_text(_sealed(json.dumps(json.loads(record.read_text()) | changed, separators=(",", ":"))))


def _replaced(text: str, renamed: dict[str, str]) -> str:
    for old, new in renamed.items():
        text = text.replace(old, new)
    return text


def _sealed(record: str) -> str:
    """A record ends with the checksum of what is before it."""
    content = record.rpartition(',"record_crc32":')[0]
    return f'{content},"record_crc32":{zlib.crc32(content.encode())}}}'


def _ulid() -> str:
    return "0" + "".join(random.choices(ULID_DIGITS, k=25))
