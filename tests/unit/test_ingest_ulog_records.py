"""The ULog reader on records of every kind, odd formats, times and damage; logs are written byte by byte."""

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mosaicolabs.ingest import FailedMessage, Recording, RecordingError
from mosaicolabs.ingest.ulog import UlogReader

SYNC = b"\x2f\x73\x13\x20\x25\x0c\xbb\x12"
MAG = "sensor_mag:uint64_t timestamp;float x;float y;float z;"
GPS = (
    "vehicle_gps_position:uint64_t timestamp;uint64_t time_utc_usec;int32_t lat;int32_t lon;int32_t alt;"
    "float vel_n_m_s;float vel_e_m_s;float vel_d_m_s;float eph;float epv;uint8_t fix_type;"
    "uint8_t satellites_used;"
)
BOOT_US = 1_600_000_000_000_000


class Log:
    """A log, record by record."""

    def __init__(self, appended: tuple[int, int, int] | None = None) -> None:
        self.content = b"ULog\x01\x12\x35\x01" + struct.pack("<Q", 0)
        flags = bytes(8) + (b"\1" if appended else b"\0") + bytes(7)
        self.add("B", flags + struct.pack("<3Q", *(appended or (0, 0, 0))))

    def add(self, kind: str, body: bytes) -> "Log":
        self.content += struct.pack("<HB", len(body), ord(kind)) + body
        return self

    def keyed(self, kind: str, key: str, value: bytes, head: bytes = b"") -> "Log":
        return self.add(kind, head + bytes([len(key)]) + key.encode() + value)

    def topic(self, number: int, text: str, instance: int = 0) -> "Log":
        name = text.partition(":")[0]
        self.add("F", text.encode())
        return self.add("A", struct.pack("<BH", instance, number) + name.encode())

    def row(self, number: int, body: bytes) -> "Log":
        return self.add("D", struct.pack("<H", number) + body)

    def mags(self, number: int, times: range) -> "Log":
        for time in times:
            self.row(number, struct.pack("<Qfff", time, 0.5, 1.5, 2.5))
        return self

    def gps(self, time: int, utc: int, fix: int = 3, satellites: int = 10) -> "Log":
        return self.row(
            0, struct.pack("<QQiii5fBB", time, utc, 473977420, 85455940, 0, 0, 0, 0, 1, 1, fix, satellites)
        )

    def open(self, folder: Path, **options: str) -> Recording:
        (folder / "a.ulg").write_bytes(self.content)
        return UlogReader().open(folder / "a.ulg", **options)


def rows(recording: Recording) -> dict[str, list[Any]]:
    """Rows of columns as dicts, times of messages, and reasons of failures, by topic."""
    found: dict[str, list[Any]] = {topic.name: [] for topic in recording.topics}
    for name, item in recording.messages():
        if isinstance(item, pa.RecordBatch):
            found[name] += item.to_pylist()
        elif isinstance(item, FailedMessage):
            found[name].append(item)
        else:
            found[name].append(item.timestamp_ns)
    return found


def until_damage(recording: Recording) -> tuple[list[Any], str]:
    found: list[Any] = []
    with pytest.raises(RecordingError) as raised:
        found.extend(item for _, item in recording.messages())
    return found, str(raised.value)


def reasons(recording: Recording) -> dict[str, str]:
    return {skip.source: skip.reason for skip in recording.skipped}


def test_texts_parameters_information_and_dropouts(tmp_path: Path) -> None:
    log = Log().keyed("P", "int32_t RTL_ALT", struct.pack("<i", 60))
    log.keyed("Q", "float GAIN", struct.pack("<f", 0.5), head=b"\1")
    log.keyed("I", "char[3] sys_name", b"PX4").keyed("I", "uint32_t ver", struct.pack("<I", 7))
    log.keyed("M", "char[4] perf", b"abcd", head=b"\0").keyed("M", "char[4] perf", b"ef", head=b"\1")
    log.keyed("M", "char[4] perf", b"next", head=b"\0")
    log.topic(0, MAG).mags(0, range(1000, 1003))
    log.add("L", struct.pack("<BQ", ord("3"), 1002) + b"Preflight Fail: compass 7")
    log.add("C", struct.pack("<BHQ", ord("4"), 3, 1003) + b"tagged \xff")
    log.keyed("P", "int32_t RTL_ALT", struct.pack("<i", 30)).add("O", struct.pack("<H", 12)).add("R", b"\0\0")

    recording = log.open(tmp_path)
    found = rows(recording)

    assert found["/ulog/logged_messages"] == [
        {"timestamp_ns": 1_002_000, "level": "error", "tag": None, "message": "Preflight Fail: compass 7"},
        {"timestamp_ns": 1_003_000, "level": "warning", "tag": 3, "message": "tagged \\xff"},
    ]
    assert [tuple(row.values()) for row in found["/ulog/parameters"]] == [
        (0, "RTL_ALT", 60.0, "int32_t", "initial"),
        (0, "GAIN", 0.5, "float", "default"),
        (1_002_000, "RTL_ALT", 30.0, "int32_t", "changed"),
    ]
    assert found["/ulog/dropouts"] == [{"timestamp_ns": 1_002_000, "duration_ms": 12}]
    assert [row["value"] for row in found["/ulog/information"]] == ["abcdef", "next"]
    assert recording.metadata["px4"] == {"sys_name": "PX4", "ver": 7}
    assert (recording.metadata["dropouts"], recording.metadata["dropouts_ms"]) == (1, 12)
    known = log.open(tmp_path, known_only="true")
    assert [topic.name for topic in known.topics] == ["/sensor_mag/magnetometer"]
    assert {skip.source: skip.messages for skip in known.skipped} == {
        "logged messages": 2,
        "parameters": 3,
        "lists of information": 1,
    }


def test_formats_of_any_form(tmp_path: Path) -> None:
    log = Log().add("F", b"part:int16_t a;bool[2] b;")
    log.topic(
        0,
        "whole:uint64_t timestamp;part[2] parts;part one;char[8] name;char c;double[2] d;"
        "uint8_t[3] _padding0;",
    )
    part = struct.pack("<h2B", -5, 1, 0)
    body = struct.pack("<Q", 7) + part + struct.pack("<h2B", 6, 0, 2) + part + b"ab\0junk\0" + b"x"
    body += struct.pack("<2d", 0.1, float("inf"))
    log.row(0, body + bytes(3)).row(0, body)  # padding at the end may be left out

    recording = log.open(tmp_path)

    one = {"a": -5, "b": [True, False]}
    expected = {
        "timestamp_ns": 7000,
        "timestamp": 7,
        "parts": [one, {"a": 6, "b": [False, True]}],
        "one": one,
        "name": "ab",
        "c": "x",
        "d": [0.1, float("inf")],
    }
    assert rows(recording)["/whole"] == [expected, expected]
    topic = recording.topics[0]
    assert topic.ontology.ontology_tag() == "px4.whole"
    assert topic.metadata["definition"].startswith("uint64_t timestamp;part[2] parts;")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("odd:uint64_t timestamp;quaternion q;", "no format of the type `quaternion`"),
        ("odd:uint64_t timestamp;odd o;", "contains itself"),
        ("odd:uint64_t timestamp;float;", "the field `float`, which cannot be read"),
        ("odd:", "has no fields"),
        ("odd:uint8_t a;uint8_t a;", "cannot be used"),
    ],
)
def test_format_that_cannot_be_used_costs_nothing_else(tmp_path: Path, text: str, problem: str) -> None:
    log = Log().topic(0, MAG).topic(1, text).mags(0, range(5)).row(1, b"\1\2\3")

    recording = log.open(tmp_path)
    found = rows(recording)

    assert len(found["/sensor_mag/magnetometer"]) == 5
    assert found["/odd"] == [{"timestamp_ns": 4000, "data": b"\1\2\3"}]
    assert problem in reasons(recording)["odd"]
    assert "stored as bytes" in reasons(recording)["odd"]


def test_rows_without_a_time_have_that_of_the_row_before(tmp_path: Path) -> None:
    log = Log().topic(0, MAG).topic(1, "state:float a;")
    for time in (5, 9):
        log.mags(0, range(time, time + 1)).row(1, struct.pack("<f", time))

    recording = log.open(tmp_path)

    assert rows(recording)["/state"] == [{"timestamp_ns": 5000, "a": 5.0}, {"timestamp_ns": 9000, "a": 9.0}]
    assert "no timestamp" in reasons(recording)["state"]


def test_rows_of_another_length_fail(tmp_path: Path) -> None:
    log = Log().topic(0, "a:uint64_t timestamp;float v;")
    log.row(0, struct.pack("<Qf", 1, 0.5)).row(0, struct.pack("<Q", 2)).row(0, bytes(40))

    recording = log.open(tmp_path)
    failed, good = rows(recording)["/a"]

    assert recording.topics[0].messages == 3
    assert failed.messages == 2
    assert good["v"] == 0.5


def test_times_of_32_bits_are_continued(tmp_path: Path) -> None:
    log = Log().topic(0, "a:uint32_t timestamp;float v;")
    for time in (2**32 - 1000, 2**32 - 5, 7, 5, 1000, 2**32 - 1, 3):
        log.row(0, struct.pack("<If", time, 0.0))

    recording = log.open(tmp_path)

    times = [row["timestamp_ns"] // 1000 for row in rows(recording)["/a"]]
    base = 2**32
    assert times == [base - 1000, base - 5, base + 7, base + 5, base + 1000, 2 * base - 1, 2 * base + 3]
    assert "overflows 2 times" in reasons(recording)["a"]


def test_instances_and_subscriptions_that_are_renewed(tmp_path: Path) -> None:
    text = "a:uint64_t timestamp;float v;"
    log = Log().topic(0, text).topic(1, text, instance=1)
    for number, time in ((0, 1), (1, 2), (0, 3)):
        log.row(number, struct.pack("<Qf", time, 0.0))
    log.add("A", struct.pack("<BH", 0, 7) + b"a").row(7, struct.pack("<Qf", 4, 0.0))

    found = rows(log.open(tmp_path))

    assert {name: [row["timestamp"] for row in values] for name, values in found.items()} == {
        "/a_0": [1, 3, 4],
        "/a_1": [2],
    }


def start_ns(recording: Recording) -> int:
    [times] = rows(recording).values()
    return int(min(times))


def test_impossible_times_of_gps_are_not_used(tmp_path: Path) -> None:
    log = Log().topic(0, GPS)
    for i in range(20):
        time = 1_000_000 + i * 100_000
        log.gps(time, 315_964_800_000_000 + time if i < 2 else BOOT_US + time)

    recording = log.open(tmp_path, known_only="true")

    assert start_ns(recording) == (BOOT_US + 1_000_000) * 1000
    assert recording.metadata["time_reference"] == "gps_utc"
    assert "2 of 20 GPS fixes have an impossible UTC time" in reasons(recording)["time of boot"]


def test_fixes_that_disagree_are_outvoted(tmp_path: Path) -> None:
    log = Log().topic(0, GPS)
    for i in range(5):
        # A receiver that takes the week of 2000 for that of 2020, as after a roll-over.
        log.gps(i + 1, (BOOT_US if i else BOOT_US + 1024 * 7 * 86400 * 10**6) + i + 1)

    recording = log.open(tmp_path, known_only="true")

    assert recording.metadata["boot_time_ns"] == BOOT_US * 1000
    assert "1 of 5 GPS fixes disagree" in reasons(recording)["time of boot"]


def test_simulator_whose_utc_is_the_time_since_boot(tmp_path: Path) -> None:
    log = Log().topic(0, GPS)
    for time in (60_000_000, 60_100_000):
        log.gps(time, time)

    recording = log.open(tmp_path, known_only="true")

    assert (recording.metadata["time_reference"], recording.metadata["boot_time_ns"]) == ("boot", None)


def test_information_about_the_boot_is_used_without_gps(tmp_path: Path) -> None:
    log = (
        Log()
        .keyed("I", "uint64_t boot_time_utc_us", struct.pack("<Q", BOOT_US))
        .topic(0, MAG)
        .mags(0, range(5))
    )

    recording = log.open(tmp_path)

    assert recording.metadata["time_reference"] == "boot_time_utc"
    assert start_ns(recording) == BOOT_US * 1000


@pytest.mark.parametrize(("logged", "stored"), [(0, 0), (127, 127), (128, None), (255, None)])
def test_satellites_that_are_none(tmp_path: Path, logged: int, stored: int | None) -> None:
    recording = Log().topic(0, GPS).gps(1, 0, satellites=logged).open(tmp_path, known_only="true")

    [(_, message)] = recording.messages()
    assert message.data.status.satellites == stored  # type: ignore[union-attr]


def test_all_fields_beside_or_instead_of_classes(tmp_path: Path) -> None:
    log = Log().topic(0, MAG).topic(1, GPS).mags(0, range(3))

    names = {
        value: [topic.name for topic in log.open(tmp_path, **{"as": f"/sensor_*={value}"}).topics]
        for value in ("generic", "both")
    }

    assert names == {"generic": ["/sensor_mag"], "both": ["/sensor_mag", "/sensor_mag/magnetometer"]}
    with pytest.raises(RecordingError, match="cannot be `imu`, only generic or both"):
        log.open(tmp_path, **{"as": "/a=imu"})


def test_columns_without_a_place_are_named_with_the_way_to_keep_them(tmp_path: Path) -> None:
    recording = Log().topic(0, MAG.replace("float x", "float extra;float x")).row(0, bytes(24)).open(tmp_path)

    assert reasons(recording)["sensor_mag"] == (
        "columns without a place in an ontology: extra; --as /sensor_mag=both stores all columns too"
    )


def test_appended_data_are_read_and_the_cut_record_before_is_no_damage(tmp_path: Path) -> None:
    begin = Log((0, 0, 0)).topic(0, MAG).mags(0, range(3))
    cut = begin.content + struct.pack("<HB", 50, ord("D")) + b"\0\0abc"
    log = Log((len(cut), 0, 0)).topic(0, MAG).mags(0, range(3))
    log.content += cut[len(begin.content) :]
    log.add("L", struct.pack("<BQ", ord("6"), 9) + b"after the crash").mags(0, range(10, 12))

    found = rows(log.open(tmp_path))

    assert [time // 1000 for time in found["/sensor_mag/magnetometer"]] == [0, 1, 2, 10, 11]
    assert found["/ulog/logged_messages"][0]["message"] == "after the crash"


def test_reading_resumes_after_damage_at_a_synchronization(tmp_path: Path) -> None:
    log = Log().topic(0, MAG).mags(0, range(5))
    log.content += b"\xff" * 50
    log.add("S", SYNC).mags(0, range(10, 13))

    found, problem = until_damage(log.open(tmp_path))

    assert [message.timestamp_ns // 1000 for message in found] == [0, 1, 2, 3, 4, 10, 11, 12]
    assert "parts of the log are corrupt: bytes" in problem


def test_rest_of_a_log_that_is_corrupt_to_its_end(tmp_path: Path) -> None:
    log = Log().topic(0, MAG).mags(0, range(5))
    log.content += b"\xff" * 50

    found, problem = until_damage(log.open(tmp_path))

    assert len(found) == 5
    assert "everything from byte" in problem


def test_unknown_features_are_refused(tmp_path: Path) -> None:
    log = Log()
    log.content = log.content[:16]
    log.add("B", bytes(8) + b"\2" + bytes(7) + bytes(24))

    with pytest.raises(RecordingError, match="uses features that are not known"):
        log.open(tmp_path)
