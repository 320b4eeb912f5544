"""The DataFlash reader: values, units, times and damage, on logs written byte by byte."""

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mosaicolabs.ingest import Recording, RecordingError, find_reader
from mosaicolabs.ingest.dataflash import DataflashReader

HEAD = b"\xa3\x95"
UTC_S = 1_700_000_000
GPS_S = UTC_S - 315_964_800 + 18


def message(number: int, body: bytes) -> bytes:
    return HEAD + bytes([number]) + body


def fmt(number: int, name: str, codes: str, labels: str, size: int) -> bytes:
    fields = struct.pack("<BB4s16s64s", number, size + 3, name.encode(), codes.encode(), labels.encode())
    return message(128, fields)


FMT = fmt(128, "FMT", "BBnNZ", "Type,Length,Name,Format,Columns", 86)
IMU = fmt(1, "IMU", "QBff", "TimeUS,I,GyrX,AccX", 17)
GPS = fmt(2, "GPS", "QBIHLLe", "TimeUS,Status,GMS,GWk,Lat,Lng,Alt", 27)


def imu(time_us: int, instance: int = 0) -> bytes:
    return message(1, struct.pack("<QBff", time_us, instance, 0.5, -9.75))


def gps(time_us: int, utc_s: float, status: int = 3) -> bytes:
    ms = round((utc_s - 315_964_800 + 18) * 1000)
    week, within = divmod(ms, 604_800_000)
    return message(2, struct.pack("<QBIHiii", time_us, status, within, week, 473977420, -85455940, 48812))


def open_log(folder: Path, *parts: bytes) -> Recording:
    (folder / "a.bin").write_bytes(b"".join(parts))
    return DataflashReader().open(folder / "a.bin")


def rows(recording: Recording) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {topic.name: [] for topic in recording.topics}
    for name, item in recording.messages():
        assert isinstance(item, pa.RecordBatch)
        found[name] += item.to_pylist()
    return found


def until_damage(recording: Recording) -> tuple[int, str]:
    count = 0
    messages = recording.messages()
    with pytest.raises(RecordingError) as raised:  # noqa: PT012 - all rows come before the error
        for _, item in messages:
            count += item.num_rows  # type: ignore[union-attr]
    return count, str(raised.value)


def test_fields_have_their_units(tmp_path: Path) -> None:
    recording = open_log(tmp_path, FMT, IMU, GPS, imu(1000), gps(2000, UTC_S), imu(3000, 1))
    found = rows(recording)

    boot_ns = (UTC_S * 1_000_000 - 2000) * 1000
    assert found["/IMU"] == [
        {"timestamp_ns": boot_ns + 1_000_000, "TimeUS": 1000, "I": 0, "GyrX": 0.5, "AccX": -9.75},
        {"timestamp_ns": boot_ns + 3_000_000, "TimeUS": 3000, "I": 1, "GyrX": 0.5, "AccX": -9.75},
    ]
    [fix] = found["/GPS"]
    assert (fix["Lat"], fix["Lng"], fix["Alt"]) == (47.397742, -8.545594, 488.12)
    assert recording.topics[1].ontology.ontology_tag() == "ardupilot.IMU"
    assert recording.topics[1].metadata["definition"] == "QBff TimeUS,I,GyrX,AccX"
    assert recording.metadata["time_reference"] == "gps"
    assert recording.metadata["boot_time_ns"] == boot_ns
    assert find_reader(tmp_path / "a.bin").name == "dataflash"


def test_every_kind_of_field(tmp_path: Path) -> None:
    # A format has 16 fields at most.
    codes, labels = "QbBhHiIfdnNZ", "TimeUS,b,B,h,H,i,I,f,d,n,N,Z"
    more = "QcCeEMqa", "TimeUS,c,C,e,E,M,q,a"
    values = (7, -1, 255, -2, 65535, -3, 2**32 - 1, 0.5, 0.1, b"abcd", b"text", b"more\xff")
    body = struct.pack("<QbBhHiIfd4s16s64s", *values)
    second = struct.pack("<QhHiIBq32h", 8, -150, 250, -1, 1, 4, -5, *range(32))
    formats = (fmt(3, "ONE", codes, labels, len(body)), fmt(4, "TWO", *more, len(second)))

    found = rows(open_log(tmp_path, FMT, *formats, message(3, body), message(4, second)))

    assert list(found["/ONE"][0].values())[1:] == [*values[:9], "abcd", "text", "more\\xff"]
    assert list(found["/TWO"][0].values())[1:] == [8, -1.5, 2.5, -0.01, 0.01, 4, -5, list(range(32))]


def test_fixes_that_disagree_are_outvoted(tmp_path: Path) -> None:
    fixes = [gps(1000 * i, (UTC_S if i else UTC_S + 1024 * 604_800) + i / 1000) for i in range(5)]

    recording = open_log(tmp_path, FMT, GPS, *fixes, gps(9000, UTC_S + 99, status=1))

    assert recording.metadata["boot_time_ns"] == UTC_S * 10**9
    assert "1 of 5 GPS fixes disagree" in recording.skipped[0].reason


def test_format_that_cannot_be_used_keeps_its_messages_as_bytes(tmp_path: Path) -> None:
    odd = fmt(4, "ODD", "Q?", "TimeUS,x", 9)
    short = fmt(5, "SHRT", "Qf", "TimeUS,x", 9)
    parts = (message(4, bytes(9)), message(5, b"123456789"), imu(1))

    recording = open_log(tmp_path, FMT, IMU, odd, short, *parts)
    found = rows(recording)

    assert [row["data"] for row in found["/SHRT"]] == [b"123456789"]
    assert len(found["/IMU"]) == 1
    reasons = {skip.source: skip.reason for skip in recording.skipped}
    assert "unknown kind `?`" in reasons["ODD"]
    assert "12 bytes, its messages 9" in reasons["SHRT"]


def test_messages_without_a_time(tmp_path: Path) -> None:
    recording = open_log(
        tmp_path,
        FMT,
        fmt(6, "PARM", "Nf", "Name,Value", 20),
        message(6, b"RATE".ljust(16, b"\0") + struct.pack("<f", 2)),
    )

    assert rows(recording)["/PARM"] == [{"timestamp_ns": 0, "Name": "RATE", "Value": 2.0}]
    assert "no time" in recording.skipped[0].reason


@pytest.mark.parametrize("garbage", [b"\xff\x01" * 20, HEAD + b"\x01\x02", HEAD + b"\x63" + bytes(30)])
def test_reading_resumes_after_damage(tmp_path: Path, garbage: bytes) -> None:
    recording = open_log(tmp_path, FMT, IMU, imu(1), garbage, imu(2), imu(3))

    count, problem = until_damage(recording)

    assert count == 3
    assert f"bytes {2 * 89 + 20} to {2 * 89 + 20 + len(garbage)} are damaged" in problem


def test_magic_bytes_within_a_message_are_data(tmp_path: Path) -> None:
    bits = struct.unpack("<f", HEAD + b"\x01\x00")[0]
    odd = message(1, struct.pack("<QBff", 5, 0, bits, bits))

    assert len(rows(open_log(tmp_path, FMT, IMU, odd, imu(6)))["/IMU"]) == 2


@pytest.mark.parametrize("padding", [b"\0" * 500, b"\xff" * 500])
def test_pages_that_were_not_written_are_no_damage(tmp_path: Path, padding: bytes) -> None:
    assert len(rows(open_log(tmp_path, FMT, IMU, imu(1), padding, imu(2), padding))["/IMU"]) == 2


def test_cut_log(tmp_path: Path) -> None:
    recording = open_log(tmp_path, FMT, IMU, imu(1), imu(2), imu(3)[:-5])

    count, problem = until_damage(recording)

    assert count == 2
    assert "it ends within a message, or is damaged, from byte" in problem


def test_log_without_messages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="has no messages"):
        open_log(tmp_path, FMT, IMU)
