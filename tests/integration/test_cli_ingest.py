"""`mosaico ingest` on real recordings, through the real command, compared with the files themselves."""

import json
import os
import shutil
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pyulog import ULog

from mosaicolabs import Message, MosaicoClient
from mosaicolabs.models.data import Quaternion, Velocity
from mosaicolabs.models.sensors import IMU, Image, Magnetometer

SHARED = Path(os.environ.get("MOSAICO_SHARED", Path(__file__).parents[3] / "shared"))
EUROC = SHARED / "data/euroc_micro"
ULG = SHARED / "data/px4_sample.ulg"


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


def failure(*args: object, code: int = 1) -> str:
    """The one line that a failing command writes."""
    done = mosaico(*args, code=code)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def ingest(store: Path, path: Path, name: str, *args: object) -> dict[str, Any]:
    document = json.loads(mosaico("ingest", path, "--name", name, "--store", store, "--json", *args).stdout)
    assert isinstance(document, dict)
    return document


def replay(store: Path, name: str) -> Iterator[tuple[str, Message]]:
    with MosaicoClient.embedded(store) as client:
        handler = client.sequence_handler(name)
        assert handler is not None
        yield from handler.get_data_streamer()


def bits(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def euroc(store: Path) -> dict[str, Any]:
    return ingest(store, EUROC, "mh01", "--metadata", "place=machine hall", "run:=1")


@pytest.fixture(scope="module")
def px4(store: Path) -> dict[str, Any]:
    return ingest(store, ULG, "px4")


def test_euroc_result(euroc: dict[str, Any]) -> None:
    counts = {topic["name"]: (topic["ontology"], topic["messages"]) for topic in euroc["topics"]}

    assert counts == {"/cam0": ("image", 40), "/cam1": ("image", 40), "/imu0": ("imu", 29120)}
    assert euroc["metadata"]["place"] == "machine hall"
    assert euroc["metadata"]["run"] == 1
    assert euroc["metadata"]["source"] == "euroc_micro"
    assert euroc["messages"] == 29200
    assert euroc["skipped"] == []


def test_euroc_imu_is_bit_exact(store: Path, euroc: dict[str, Any]) -> None:
    with (EUROC / "mav0/imu0/data.csv").open() as csv:
        rows = [line.strip().split(",") for line in csv if not line.startswith("#")]
    expected = [(int(row[0]), bits(*map(float, row[1:]))) for row in rows]

    stored = []
    for topic, message in replay(store, "mh01"):
        if topic == "/imu0":
            imu = message.get_data(IMU)
            rate, force = imu.angular_velocity, imu.acceleration
            assert rate is not None
            stored.append((message.timestamp, bits(rate.x, rate.y, rate.z, force.x, force.y, force.z)))

    assert len(stored) == 29120
    assert stored == expected


def test_euroc_frames_are_pixel_equal(store: Path, euroc: dict[str, Any]) -> None:
    frames = Counter[str]()
    for topic, message in replay(store, "mh01"):
        if topic == "/imu0":
            continue
        image = message.get_data(Image)
        assert (image.encoding, image.width, image.height) == ("mono8", 752, 480)
        with PIL.Image.open(EUROC / f"mav0{topic}/data/{message.timestamp}.png") as png:
            assert bytes(image.to_linear_pixels()) == png.tobytes()
            assert np.array_equal(np.asarray(image.to_pillow()), np.asarray(png))
        frames[topic] += 1

    assert frames == {"/cam0": 40, "/cam1": 40}


def test_euroc_replay_is_in_time_order(store: Path, euroc: dict[str, Any]) -> None:
    times = [message.timestamp for _, message in replay(store, "mh01")]

    assert len(times) == 29200
    assert times == sorted(times)


def test_euroc_topics_carry_their_calibration(store: Path, euroc: dict[str, Any]) -> None:
    info = json.loads(mosaico("info", "mh01", "--store", store, "--json").stdout)

    topics = {topic["name"]: topic for topic in info["topics"]}
    assert topics["/imu0"]["metadata"]["rate_hz"] == 200
    assert topics["/cam1"]["metadata"]["resolution"] == [752, 480]
    assert topics["/imu0"]["messages"] == 29120


CLASSES = {
    "/sensor_combined/imu": "sensor_combined",
    "/sensor_combined/magnetometer": "sensor_combined",
    "/vehicle_attitude/orientation": "vehicle_attitude",
    "/vehicle_attitude/angular_velocity": "vehicle_attitude",
    "/vehicle_local_position/position": "vehicle_local_position",
    "/vehicle_local_position/velocity": "vehicle_local_position",
}


def test_px4_counts_equal_pyulogs(px4: dict[str, Any]) -> None:
    log = ULog(str(ULG))
    rows = {data.name: len(data.data["timestamp"]) for data in log.data_list}

    counts = {topic["name"]: topic["messages"] for topic in px4["topics"]}

    with_class = {name: rows[source] for name, source in CLASSES.items()}
    others = {f"/{name}": count for name, count in rows.items() if name not in CLASSES.values()}
    beside = {
        "/ulog/logged_messages": len(log.logged_messages),
        "/ulog/parameters": len(log.initial_parameters) + len(log.changed_parameters),
        "/ulog/dropouts": len(log.dropouts),
        "/ulog/information": sum(len(values) for values in log.msg_info_multiple_dict.values()),
    }
    assert counts == with_class | others | {name: count for name, count in beside.items() if count}
    assert counts["/ulog/parameters"] > 400
    assert not [skip for skip in px4["skipped"] if "no matching ontology" in skip["reason"]]


def test_px4_every_value_equals_pyulogs(tmp_path: Path) -> None:
    """All fields of all topics, with the option that stores them beside the data classes."""
    log = ULog(str(ULG))
    ingest(tmp_path / "store", ULG, "px4", "--as", "/*=both")

    with MosaicoClient.embedded(tmp_path / "store") as client:
        for data in log.data_list:
            topic = client.topic_handler("px4", f"/{data.name}")
            assert topic is not None
            table = topic.to_arrow()
            times = np.argsort(data.data["timestamp"], kind="stable")
            assert np.array_equal(
                table["timestamp_ns"].to_numpy(), data.data["timestamp"][times].astype(np.int64) * 1000
            )
            seen = set()
            for column in table.column_names:
                values = table[column].combine_chunks()
                if column in ("timestamp_ns", "recording_timestamp_ns"):
                    continue
                if hasattr(values.type, "list_size"):
                    size = values.type.list_size
                    flat = np.asarray(values.flatten()).reshape(-1, size)
                    parts = {f"{column}[{i}]": flat[:, i] for i in range(size)}
                else:
                    parts = {column: np.asarray(values)}
                for name, found in parts.items():
                    seen.add(name)
                    assert np.array_equal(found, data.data[name][times], equal_nan=found.dtype.kind == "f"), (
                        data.name,
                        name,
                    )
            assert seen == data.data.keys(), data.name
        parameters = client.topic_handler("px4", "/ulog/parameters")
        assert parameters is not None
        found = {row["name"]: row["value"] for row in parameters.to_arrow().to_pylist()}
        assert found == {name: float(value) for name, value in log.initial_parameters.items()}
        texts = client.topic_handler("px4", "/ulog/logged_messages")
        stored = [] if texts is None else [row["message"] for row in texts.to_arrow().to_pylist()]
        assert stored == [line.message for line in log.logged_messages]


def test_px4_values_come_from_the_log(store: Path, px4: dict[str, Any]) -> None:
    logged = {data.name: data.data for data in ULog(str(ULG)).data_list}
    replayed: dict[str, list[Message]] = {topic["name"]: [] for topic in px4["topics"]}
    for topic, message in replay(store, "px4"):
        replayed[topic].append(message)

    combined, attitude = logged["sensor_combined"], logged["vehicle_attitude"]
    for row in (0, 1, 8000, 17069):
        imu = replayed["/sensor_combined/imu"][row]
        force, rate = imu.get_data(IMU).acceleration, imu.get_data(IMU).angular_velocity
        assert imu.timestamp == int(combined["timestamp"][row]) * 1000
        assert [force.x, force.y, force.z] == [
            float(combined[f"accelerometer_m_s2[{i}]"][row]) for i in range(3)
        ]
        assert rate is not None
        assert [rate.x, rate.y, rate.z] == [float(combined[f"gyro_rad[{i}]"][row]) for i in range(3)]
    by_row_time = {
        message.recording_timestamp_ns: message for message in replayed["/sensor_combined/magnetometer"]
    }
    for row in (0, 8000, 17069):
        message = by_row_time[int(combined["timestamp"][row]) * 1000]
        field = message.get_data(Magnetometer).magnetic_field
        offset_us = int(combined["magnetometer_timestamp_relative"][row])
        assert message.timestamp == (int(combined["timestamp"][row]) + offset_us) * 1000
        assert [field.x, field.y, field.z] == [
            100 * float(combined[f"magnetometer_ga[{i}]"][row]) for i in range(3)
        ]
    for row in (0, 3000, 6460):
        q = replayed["/vehicle_attitude/orientation"][row].get_data(Quaternion)
        assert [q.w, q.x, q.y, q.z] == [float(attitude[f"q[{i}]"][row]) for i in range(4)]
        turn = replayed["/vehicle_attitude/angular_velocity"][row].get_data(Velocity).angular
        assert turn is not None
        assert turn.z == float(attitude["yawspeed"][row])


def test_px4_replay_is_in_time_order(store: Path, px4: dict[str, Any]) -> None:
    times = [message.timestamp for _, message in replay(store, "px4")]

    assert len(times) == px4["messages"]
    assert times == sorted(times)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """The EuRoC recording with a bad row and a missing frame."""
    source = tmp_path / "broken"
    shutil.copytree(EUROC, source, copy_function=shutil.copyfile)
    csv = source / "mav0/imu0/data.csv"
    lines = csv.read_text().splitlines(keepends=True)
    lines[20000] = lines[20000].replace(",", ";", 1)
    csv.write_text("".join(lines))
    min((source / "mav0/cam1/data").iterdir()).unlink()
    return source


def test_dry_run_reads_everything_and_stores_nothing(tmp_path: Path, broken: Path, cut_log: Path) -> None:
    store = tmp_path / "store"

    def tried(*args: object, code: int = 0) -> dict[str, Any]:
        done = mosaico("ingest", *args, "--store", store, "--dry-run", "--json", code=code)
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document

    sound, flawed, cut = tried(EUROC), tried(broken, code=1), tried(cut_log, code=1)

    assert not store.exists()
    counts = {topic["name"]: topic["messages"] for topic in sound["topics"]}
    assert counts == {"/cam0": 40, "/cam1": 40, "/imu0": 29120}
    assert (sound["failed"], sound["damage"], sound["dry_run"]) == ([], None, True)
    assert sound["timestamp_ns_min"] < sound["timestamp_ns_max"]
    assert {row["topic"]: row["messages"] for row in flawed["failed"]} == {"/cam1": 1, "/imu0": 1}
    assert "the log is truncated" in cut["damage"]
    assert cut["messages"] > 1000
    shown = mosaico("ingest", EUROC, "--store", store, "--dry-run").stdout
    assert "29,200 messages" in shown
    assert "a dry run stores nothing" in shown
    assert "no such file" in failure("ingest", tmp_path / "none", "--store", store, "--dry-run")


def test_table_with_a_class(tmp_path: Path) -> None:
    table = tmp_path / "small imu.csv"
    table.write_text("stamp,ax,ay,az\n7,1,2,3.5\n9,4,5,6\n")
    columns = ("acceleration.x=ax", "acceleration.y=ay", "acceleration.z=az")

    document = ingest(
        tmp_path / "store", table, "run", "--time", "stamp:us", "--as", "*=imu", "--map", *columns
    )

    assert [(topic["name"], topic["ontology"]) for topic in document["topics"]] == [("/small_imu", "imu")]
    stored = [(m.timestamp_ns, m.get_data(IMU).acceleration.z) for _, m in replay(tmp_path / "store", "run")]
    assert stored == [(7000, 3.5), (9000, 6.0)]


def test_broken_parts_cost_nothing_else(tmp_path: Path, broken: Path) -> None:
    done = mosaico("ingest", broken, "--name", "broken", "--store", tmp_path / "store", code=1)

    assert "2 messages are not stored (topics /cam1, /imu0)" in done.stderr
    assert f"{broken}/mav0/imu0/data.csv:20001: 6 columns, expected 7" in done.stdout.replace("\n", "")
    counts = Counter(topic for topic, _ in replay(tmp_path / "store", "broken"))
    assert counts == {"/cam0": 40, "/cam1": 39, "/imu0": 29119}


def test_selected_topics_are_sound(tmp_path: Path, broken: Path) -> None:
    document = ingest(tmp_path / "store", broken, "part", "--topics", "/cam0")

    assert (document["messages"], document["failed"]) == (40, [])


def test_ingestion_that_stores_nothing_leaves_its_name_free(tmp_path: Path) -> None:
    folder, store = tmp_path / "mav0/cam0", tmp_path / "store"
    (folder / "data").mkdir(parents=True)
    (folder / "data.csv").write_text("#t,name\n1,a.png\n")
    png = folder / "data/a.png"
    PIL.Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)).save(png)
    whole = png.read_bytes()
    png.write_bytes(whole[:-2000])

    line = failure("ingest", tmp_path, "--name", "run", "--store", store)
    png.write_bytes(whole)

    assert "none of the 1 messages can be stored; first error, in topic `/cam0`" in line
    assert ingest(store, tmp_path, "run")["messages"] == 1


def test_unknown_input_creates_nothing(tmp_path: Path) -> None:
    unknown = tmp_path / "notes.txt"
    unknown.write_text("no recording")

    line = failure("ingest", unknown, "--name", "notes", "--store", tmp_path / "store")

    assert "format not recognized: it begins with b'no recor'; installed readers: asl: ASL" in line
    packed = tmp_path / "run.mcap.gz"
    packed.write_bytes(b"\x1f\x8b\x08")
    assert "it is packed with gzip, unpack it first" in (
        failure("ingest", packed, "--name", "x", "--store", tmp_path / "store")
    )
    shutil.copytree(EUROC, tmp_path / "logs/monday", copy_function=shutil.copyfile)
    assert "it contains recordings, ingest each of them: monday" in (
        failure("ingest", tmp_path / "logs", "--name", "x", "--store", tmp_path / "store")
    )
    assert "no such file" in failure(
        "ingest", tmp_path / "missing", "--name", "x", "--store", tmp_path / "store"
    )
    assert "reader `mcap` does not exist" in failure(
        "ingest", ULG, "--name", "x", "--format", "mcap", "--store", tmp_path / "store"
    )
    assert not (tmp_path / "store").exists()


@pytest.fixture
def cut_log(tmp_path: Path) -> Path:
    path = tmp_path / "cut.ulg"
    path.write_bytes(ULG.read_bytes()[:2_000_000])
    return path


def test_delete_policy_leaves_nothing(tmp_path: Path, cut_log: Path) -> None:
    store = tmp_path / "store"

    line = failure("ingest", cut_log, "--name", "cut", "--store", store)

    assert "cut.ulg: the log is truncated inside the record at byte" in line
    assert json.loads(mosaico("ls", "--store", store, "--json").stdout)["sequences"] == []


def test_report_policy_keeps_what_was_read(tmp_path: Path, cut_log: Path) -> None:
    store = tmp_path / "store"
    rows = {data.name: len(data.data["timestamp"]) for data in ULog(str(cut_log)).data_list}

    line = failure("ingest", cut_log, "--name", "cut", "--on-error", "report", "--store", store)

    assert "the log is truncated" in line
    info = json.loads(mosaico("info", "cut", "--store", store, "--json").stdout)
    assert info["locked"] is False
    assert {topic["name"]: topic["messages"] for topic in info["topics"]}["/sensor_combined/imu"] == (
        rows["sensor_combined"]
    )
    assert any("the log is truncated" in note["message"] for note in info["notifications"])
    assert sum(1 for _ in replay(store, "cut")) == sum(topic["messages"] for topic in info["topics"])

    removed = json.loads(mosaico("rm", "cut", "--store", store, "--json").stdout)
    assert removed["name"] == "cut"
    assert json.loads(mosaico("ls", "--store", store, "--json").stdout)["sequences"] == []


def test_tables_for_people(store: Path, euroc: dict[str, Any], tmp_path: Path) -> None:
    shown = mosaico("ingest", ULG, "--name", "px4-again", "--store", tmp_path / "store").stdout

    assert "/sensor_combined/magnetometer" in shown
    assert "17,070" in shown
    assert "marked invalid by the vehicle" in shown
    listed = mosaico("ls", "--store", store).stdout
    assert "mh01" in listed
    assert "finalized" in listed
    assert "29,120" in mosaico("info", "mh01", "--store", store).stdout


def test_name_that_exists_is_refused(store: Path, euroc: dict[str, Any]) -> None:
    line = failure("ingest", EUROC, "--name", "mh01", "--store", store)

    assert "sequence `mh01` already exists and is finalized" in line
    assert "choose another name" in line


def test_finalized_sequence_stays(store: Path, euroc: dict[str, Any]) -> None:
    line = failure("rm", "mh01", "--store", store)

    assert "mh01" in line
    names = [row["name"] for row in json.loads(mosaico("ls", "--store", store, "--json").stdout)["sequences"]]
    assert "mh01" in names
