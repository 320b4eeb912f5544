"""Exports of tables: what is read back equals what is stored."""

import base64
import gzip
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from harness.ontologies import shipped, values
from harness.record import sequence_of
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaicolabs import (
    IMU,
    Floating64,
    Image,
    Message,
    MosaicoClient,
    SequenceHandler,
    Serializable,
    String,
    Temperature,
    Vector3d,
)
from mosaicolabs.export import ExportError, Selection, writer_names

_numbers = itertools.count()


def record(client: MosaicoClient, name: str, **topics: list[Any]) -> SequenceHandler:
    """One message per second and item."""
    with client.sequence_create(name, {"site": "north"}) as sequence:
        for topic, data in topics.items():
            writer = sequence.topic_create(topic, {"of": topic}, type(data[0]))
            for second, item in enumerate(data):
                writer.push(Message(timestamp_ns=second * 10**9, data=item))
    return sequence_of(client, name)


@pytest.fixture
def drive(client: MosaicoClient) -> SequenceHandler:
    imu = [IMU(acceleration=Vector3d(x=float(step), y=0.0, z=9.81)) for step in range(6)]
    heat = [Temperature(value=290.0 + step) for step in range(6)]
    return record(client, "drive", imu=imu, heat=heat, note=[String(data="go")])


# -- values --------------------------------------------------------------------------------------


def from_json(value: Any, type_: pa.DataType) -> Any:
    """The inverse of what JSON lines and cells of CSV contain."""
    if value is None:
        return None
    if pa.types.is_struct(type_):
        return {field.name: from_json(value[field.name], field.type) for field in type_}
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return [from_json(item, type_.value_type) for item in value]
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return base64.b64decode(value)
    if pa.types.is_floating(type_):
        return float(value.replace("Infinity", "inf")) if isinstance(value, str) else float(value)
    return value


def read_json_lines(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    lines = path.read_text().split("\n")[:-1]
    return [from_json(json.loads(line), pa.struct(list(schema))) for line in lines]


def read_csv(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """Rows of flattened columns."""
    flat = {}
    table = schema.empty_table()
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    for field in table.schema:
        nested = pa.types.is_nested(field.type) or pa.types.is_binary(field.type)
        flat[field.name] = (
            field.type,
            pa.string() if nested or pa.types.is_float16(field.type) else field.type,
        )
    read = pa.csv.read_csv(
        path,
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: text for name, (_, text) in flat.items()},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )

    def value(cell: Any, type_: pa.DataType, text: pa.DataType) -> Any:
        if cell is None or type_ == text:
            return cell
        if pa.types.is_float16(type_):
            return float(cell)
        return from_json(json.loads(cell) if pa.types.is_nested(type_) else cell, type_)

    return [{name: value(row[name], *types) for name, types in flat.items()} for row in read.to_pylist()]


def rows_of(table: pa.Table, *, flat: bool) -> list[dict[str, Any]]:
    while flat and any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def read_arrow(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    with pa.ipc.open_file(path) as file:
        rows: list[dict[str, Any]] = file.read_all().to_pylist()
        return rows


def read_parquet(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.parquet.read_table(path).to_pylist()
    return rows


READERS: dict[str, Callable[[Path, pa.Schema], list[dict[str, Any]]]] = {
    "parquet": read_parquet,
    "arrow": read_arrow,
    "csv": read_csv,
    "jsonl": read_json_lines,
}


@pytest.mark.parametrize("format", READERS)
def test_any_value_is_read_back_equal(
    standing_store: MosaicoClient, tmp_path_factory: pytest.TempPathFactory, format: str
) -> None:
    @settings(max_examples=settings.default.max_examples * 2)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        cls = data.draw(st.sampled_from(shipped()))
        items = data.draw(st.lists(values(cls), min_size=1, max_size=4))
        handler = record(standing_store, f"any-{format}-{next(_numbers)}", t=items)
        stored = handler.get_topic_handler("t").to_arrow()
        folder = tmp_path_factory.mktemp("out")

        handler.export(folder / "x", format)

        read = READERS[format](folder / "x" / f"t.{format}", stored.schema)
        # repr tells -0.0 from 0.0 and finds NaN equal.
        assert repr(read) == repr(rows_of(stored, flat=format == "csv"))

    check()


@pytest.mark.parametrize("format", ["parquet", "arrow"])
@pytest.mark.parametrize("layout", ["nested", "flat"])
def test_merged(drive: SequenceHandler, tmp_path: Path, format: str, layout: str) -> None:
    result = drive.export(tmp_path / "all", format, options={"merge": True, "layout": layout})

    stored = drive.to_arrow()
    read = READERS[format](tmp_path / "all", stored.schema)
    assert read == rows_of(stored, flat=layout == "flat")
    assert [row["timestamp_ns"] for row in read] == sorted(row["timestamp_ns"] for row in read)
    assert result.messages == 13
    assert [part.path for part in result.parts] == [tmp_path / "all"]


def test_merged_text(drive: SequenceHandler, tmp_path: Path) -> None:
    drive.export(tmp_path / "all.jsonl", "jsonl", options={"merge": True})
    drive.export(tmp_path / "all.csv.gz", "csv", options={"merge": True, "compression": "gzip"})

    documents = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert documents[2] == {
        "timestamp_ns": 0,
        "topic": "/note",
        "string": {
            "data": "go",
            "header": {"seq": None, "stamp": {"sec": 0, "nanosec": 0}, "frame_id": None},
        },
    }
    lines = gzip.decompress((tmp_path / "all.csv.gz").read_bytes()).decode().splitlines()
    assert len(lines) == 14
    assert '"imu.acceleration.x"' in lines[0]


def test_files_and_manifest(client: MosaicoClient, tmp_path: Path) -> None:
    one, two = [Floating64(data=1.0)], [Floating64(data=2.0), Floating64(data=math.nan)]
    handler = record(client, "run", **{"arm/left": one, "arm": two})

    handler.export(tmp_path / "out", "parquet")

    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert [file for file in files if file.startswith("out")] == [
        "out/arm.parquet",
        "out/arm/left.parquet",
        "out/export.json",
    ]
    assert not (tmp_path / "out.partial").exists()
    manifest = json.loads((tmp_path / "out/export.json").read_text())
    assert manifest["sequence"] == "run"
    assert manifest["user_metadata"] == {"site": "north"}
    assert manifest["topics"]["/arm"] == {"ontology_tag": "floating64", "user_metadata": {"of": "arm"}}
    assert {"path": "arm.parquet", "topics": ["/arm"], "messages": 2} in manifest["files"]
    metadata = pa.parquet.read_schema(tmp_path / "out/arm.parquet").metadata
    assert json.loads(metadata[b"mosaico:user_metadata"]) == {"of": "arm"}
    assert json.loads(metadata[b"mosaico:sequence_metadata"]) == {"site": "north"}


# -- selection -----------------------------------------------------------------------------------


def test_topics_window_and_condition(drive: SequenceHandler, tmp_path: Path) -> None:
    hard = IMU.Q.acceleration.x.gt(2.0)

    windowed = drive.export(
        tmp_path / "w", "csv", topics=["/*", "!/note"], start_timestamp_ns=10**9, end_timestamp_ns=3 * 10**9
    )
    condition = drive.export(tmp_path / "c", "jsonl", where=hard)

    assert {part.topics: part.messages for part in windowed.parts} == {("/imu",): 2, ("/heat",): 2}
    assert {part.topics: part.messages for part in condition.parts} == {("/imu",): 3}
    assert {skip.topic: skip.reason for skip in condition.skipped} == {
        "/heat": "the condition is about imu",
        "/note": "the condition is about imu",
    }
    late = drive.export(tmp_path / "l", "jsonl", start_timestamp_ns=10**9)
    assert [(skip.topic, skip.reason) for skip in late.skipped] == [
        ("/note", "it has no messages in the window of time")
    ]


def test_condition_on_several_classes(drive: SequenceHandler, tmp_path: Path) -> None:
    either = IMU.Q.acceleration.x.gt(4.0) | Temperature.Q.value.lt(291.0)

    merged = drive.export(tmp_path / "all", "jsonl", where=either, options={"merge": True})

    assert merged.messages == 2
    with pytest.raises(ExportError, match=r"several classes \(imu, temperature\).*all topics into one file"):
        drive.export(tmp_path / "each", "jsonl", where=either)


def test_messages_for_writers(drive: SequenceHandler) -> None:
    everything = list(Selection(drive).messages())
    some = list(Selection(drive, ["/imu"], where=IMU.Q.acceleration.x.gt(3.0)).messages())

    assert everything == list(drive.get_data_streamer())
    assert some == [item for item in everything if item[0] == "/imu"][4:]


def test_live_streamer_of_the_handler_stays_open(drive: SequenceHandler, tmp_path: Path) -> None:
    streamer = drive.get_data_streamer()
    next(streamer)

    drive.export(tmp_path / "x", "jsonl")

    assert len(list(streamer)) == 12


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"topics": ["/cam*"]}, r"no topic of sequence `drive` matches /cam\*; it has: /imu, /heat, /note"),
        ({"start_timestamp_ns": 10**12}, "nothing to export .*/imu: it has no messages in the window"),
        ({"where": Image.Q.width.gt(1)}, "nothing to export .*/imu: the condition is about image"),
        ({"options": {"merg": True}}, r"writer `csv` has no option `merg`; it has: merge \("),
        ({"options": {"merge": "perhaps"}}, "option merge: `perhaps` does not exist; give one of true"),
        ({"options": {"compression": "rar"}}, "option compression: `rar` does not exist; give one of none"),
        ({"format": "xml"}, "writer `xml` does not exist; installed writers: .*csv"),
        ({"path": "/"}, "`/` is not the name of a file or folder"),
    ],
)
def test_refused(drive: SequenceHandler, tmp_path: Path, arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ExportError, match=problem):
        drive.export(**{"path": tmp_path / "x", "format": "csv", **arguments})
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


# -- the command ---------------------------------------------------------------------------------


def mosaico(*args: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "mosaicolabs.cli", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


@pytest.fixture
def store(drive: SequenceHandler, client: MosaicoClient, tmp_path: Path) -> Path:
    client.close()
    return tmp_path / "store"


def test_command(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    place = ("--store", store)

    dry = json.loads(
        mosaico("export", "drive", "--to", "parquet", "-o", out, "--dry-run", "--json", *place).stdout
    )
    assert not out.exists()
    assert dry["dry_run"]
    assert [file["messages"] for file in dry["files"]] == [6, 6, 1]

    where = "imu.acceleration.x >= 1 and imu.acceleration.x < 4"
    options = ("--topics", "/imu", "/heat", "--from", "+2s", "--to-time", "+9s", "--where", where)
    done = mosaico("export", "drive", "--to", "parquet", "-o", out, *options, "--json", *place)
    document = json.loads(done.stdout)
    assert document["messages"] == 2
    assert document["skipped"] == [{"topic": "/heat", "reason": "the condition is about imu"}]
    table = pa.parquet.read_table(out / "imu.parquet")
    assert table["acceleration"].combine_chunks().field("x").to_pylist() == [2.0, 3.0]

    again = mosaico("export", "drive", "--to", "parquet", "-o", out, *place, code=1)
    assert again.stderr.startswith(f"mosaico: {out} exists; choose another path")
    table_text = mosaico("export", "drive", "--to", "csv", "-o", out, "--overwrite", *place).stdout
    assert "13 messages" in table_text.replace("drive: ", "")
    unknown = mosaico(
        "export", "drive", "--to", "csv", "-o", out, "--where", "sequence.name == 'a'", *place, code=2
    )
    assert "about sequences or topics" in unknown.stderr


def test_command_lists_formats() -> None:
    listed = mosaico("export", "--list-formats").stdout

    for name in writer_names():
        assert f"\n{name}: " in f"\n{listed}"
    assert "    merge: true: all topics in one file" in listed


@pytest.mark.timeout(300)  # four processes, one after the other
def test_killed_at_any_moment(client: MosaicoClient, tmp_path: Path) -> None:
    """After each kill the target is absent; the next run keeps whole files, and the last one is complete."""
    data: dict[str, list[Serializable]] = {
        f"t{number}": [Floating64(data=number + step / 10) for step in range(300)] for number in range(12)
    }
    handler = record(client, "long", **data)
    expected = {name: handler.get_topic_handler(name).to_arrow().to_pylist() for name in data}
    client.close()
    command = [sys.executable, "-m", "mosaicolabs.cli", "export", "long", "--to", "parquet", "--json"]
    command += ["--store", str(tmp_path / "store"), "-o", str(tmp_path / "out")]
    state = tmp_path / "out.partial/state.json"
    finished = 0
    for wanted in (1, 4, 9):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if state.exists() and len(_done(state)) >= wanted:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.001)
        process.wait()
        if (tmp_path / "out").exists():
            break
        finished = len(_done(state))
        assert finished >= wanted

    if not (tmp_path / "out").exists():
        document = json.loads(mosaico(*command[3:]).stdout)
        assert document["resumed"] >= finished
    for name, rows in expected.items():
        assert pa.parquet.read_table(tmp_path / f"out/{name}.parquet").to_pylist() == rows


def _done(state: Path) -> dict[str, int]:
    done: dict[str, int] = json.loads(state.read_text())["done"]
    return done
