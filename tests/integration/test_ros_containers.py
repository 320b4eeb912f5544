"""Bags as they are found: without an index, cut, renamed, edited; every message that is there comes in."""

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.bags import KINDS, Row, serialize, types_of, write_bag
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionMode

from mosaicolabs.ingest import FailedMessage, RecordingError
from mosaicolabs.ingest.rosbag import RosbagReader
from mosaicolabs.models import Message
from mosaicolabs.ros_bridge import BagError, ROSLoader

START_NS = 1_700_000_000_000_000_000
INT32 = "std_msgs/msg/Int32"


def numbers(count: int, *, first: int = 0) -> list[Row]:
    return [("/count", INT32, START_NS + first + i, {"data": first + i}) for i in range(count)]


def mcap_of_numbers(
    path: Path,
    times: list[int],
    change: Callable[[McapWriter], None] = lambda writer: None,
    ros1: bool = False,
    profile: str = "",
    **options: Any,
) -> Path:
    """An MCAP file with the index of each time as message, written by the library of its makers."""
    store = types_of("bag" if ros1 else "mcap")
    definition, _ = store.generate_msgdef(INT32) if ros1 else store.generate_msgdef(INT32, ros_version=2)
    name = "std_msgs/Int32" if ros1 else INT32
    with path.open("wb") as file:
        writer = McapWriter(file, **options)
        writer.start(profile=profile)
        schema = writer.register_schema(name, "ros1msg" if ros1 else "ros2msg", definition.encode())
        channel = writer.register_channel("/count", "ros1" if ros1 else "cdr", schema)
        change(writer)
        for i, time_ns in enumerate(times):
            raw = serialize("bag" if ros1 else "mcap", store, INT32, {"data": i})
            writer.add_message(channel, time_ns, raw, time_ns)
        writer.finish()
    return path


def values(path: Path, topic: str = "/count") -> list[int]:
    """Values in the order of the bag; a damaged bag raises at its end."""
    found = []
    with ROSLoader(path, topic) as loader:
        for message, error in loader:
            assert error is None
            assert message.data is not None
            found.append(message.data["data"])
    return found


def read_until_damage(path: Path) -> tuple[list[int], str]:
    found = []
    with ROSLoader(path) as loader, pytest.raises(BagError) as raised:
        for message, _ in loader:
            found.append(message.data["data"] if message.data else -1)
    return found, str(raised.value)


def notes(path: Path) -> dict[str, str]:
    recording = RosbagReader().open(path, known_only="true")
    return {skip.source: skip.reason for skip in recording.skipped}


TIMES = [START_NS + 10 * i for i in range(500)]
COMPRESSIONS = [CompressionType.NONE, CompressionType.LZ4, CompressionType.ZSTD]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_chunks_of_any_compression(tmp_path: Path, compression: CompressionType) -> None:
    bag = mcap_of_numbers(tmp_path / "a.mcap", TIMES, compression=compression, chunk_size=2000)

    assert values(bag) == list(range(500))


@pytest.mark.parametrize("profile", ["ros1", ""])
def test_messages_of_ros_1_in_mcap(tmp_path: Path, profile: str) -> None:
    assert values(mcap_of_numbers(tmp_path / "a.mcap", TIMES, ros1=True, profile=profile)) == list(range(500))


@pytest.mark.parametrize(
    "options",
    [
        {"use_chunking": False},
        {"use_summary_offsets": False, "use_statistics": False, "index_types": 0},
        {"repeat_channels": False, "repeat_schemas": False, "enable_crcs": False},
    ],
)
def test_mcap_without_parts_that_are_optional(tmp_path: Path, options: dict[str, Any]) -> None:
    if "index_types" in options:
        from mcap.writer import IndexType

        options["index_types"] = IndexType.NONE
    assert values(mcap_of_numbers(tmp_path / "a.mcap", TIMES, **options)) == list(range(500))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_records_with_fields_of_later_versions(tmp_path: Path, compression: CompressionType) -> None:
    def add(writer: McapWriter) -> None:
        writer.add_attachment(5, 6, "notes", "text/plain", b"windy")
        writer.add_metadata("vehicle", {"serial": "K-17"})

    bag = mcap_of_numbers(
        tmp_path / "a.mcap", TIMES, add, compression=compression, chunk_size=2000, enable_data_crcs=False
    )
    content, padded = bag.read_bytes(), bytearray(bag.read_bytes()[:8])
    position = 8
    while position < len(content) - 8:
        kind, length = struct.unpack_from("<BQ", content, position)
        end = position + 9 + length
        more = b"" if kind == 2 else b"\1\2\3"  # of the footer, the checksum covers the offsets
        padded += struct.pack("<BQ", kind, length + len(more)) + content[position + 9 : end] + more
        position = end
    bag.write_bytes(padded + content[-8:])

    recording = RosbagReader().open(bag)

    assert values(bag) == list(range(500))
    assert recording.metadata["mcap_attachments"][0]["text"] == "windy"
    assert recording.metadata["mcap_metadata"] == {"vehicle": {"serial": "K-17"}}


@pytest.mark.parametrize("options", [{"use_chunking": False}, {"chunk_size": 100}, {}])
def test_messages_in_disorder_are_sorted(tmp_path: Path, options: dict[str, Any]) -> None:
    times = [START_NS + offset for offset in (0, 10, 20, 15, 30, 25, 40, 12)]

    bag = mcap_of_numbers(tmp_path / "a.mcap", times, **options)

    assert values(bag) == sorted(range(8), key=lambda i: times[i])


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("kept", [0.3, 0.5, 0.9])
def test_cut_mcap(tmp_path: Path, compression: CompressionType, kept: float) -> None:
    bag = mcap_of_numbers(tmp_path / "a.mcap", TIMES, compression=compression, chunk_size=2000)
    content = bag.read_bytes()
    bag.write_bytes(content[: int(len(content) * kept)])

    found, problem = read_until_damage(bag)

    assert found == list(range(len(found)))
    assert len(found) > 500 * kept * 0.6
    assert "it ends" in problem
    assert f"{len(found)} messages can be read" in problem


def test_damaged_chunk_costs_its_messages_only(tmp_path: Path) -> None:
    bag = mcap_of_numbers(tmp_path / "a.mcap", TIMES, compression=CompressionType.NONE, chunk_size=2000)
    content = bytearray(bag.read_bytes())
    content[len(content) // 2] ^= 0xFF
    bag.write_bytes(content)

    found, problem = read_until_damage(bag)
    recording = RosbagReader().open(bag)
    [lost] = [m.messages for _, m in _messages(recording) if isinstance(m, FailedMessage)]

    assert "its checksum is" in problem
    assert 400 < len(found) < 500
    assert lost == 500 - len(found)
    assert recording.topics[0].messages == 500


def _messages(recording: Any) -> list[tuple[str, Message | FailedMessage]]:
    found = []
    try:
        found.extend(recording.messages())
    except BagError:
        pass
    else:
        pytest.fail("no damage")
    return found


def test_reading_resumes_after_a_damaged_stretch(tmp_path: Path) -> None:
    bag = mcap_of_numbers(tmp_path / "a.mcap", TIMES, compression=CompressionType.NONE, chunk_size=2000)
    content = bytearray(bag.read_bytes())
    [first, second] = _chunk_offsets(content)[2:4]
    content[first : first + 40] = b"\xff" * 40
    bag.write_bytes(content)

    found, problem = read_until_damage(bag)

    assert f"bytes {first} to {second} are damaged" in problem
    assert 400 < len(found) < 500
    assert found[-1] == 499


def _chunk_offsets(content: bytes) -> list[int]:
    offsets, position = [], 8
    while content[position] != 2:
        if content[position] == 6:
            offsets.append(position)
        position += 9 + struct.unpack_from("<Q", content, position + 1)[0]
    return offsets


def test_counts_in_the_summary_are_not_trusted(tmp_path: Path) -> None:
    bag = mcap_of_numbers(tmp_path / "a.mcap", TIMES, compression=CompressionType.NONE)
    content = bytearray(bag.read_bytes())
    at = content.rindex(struct.pack("<HQ", 1, 500)) + 2

    content[at : at + 8] = struct.pack("<Q", 500 + 2**53)
    bag.write_bytes(content)
    messages = list(RosbagReader().open(bag).messages())
    content[at : at + 8] = struct.pack("<Q", 3)
    bag.write_bytes(content)

    failed = [m.messages for _, m in messages if isinstance(m, FailedMessage)]
    assert failed == [2**53]
    assert len(messages) == 501
    assert notes(bag)["/count"] == "the summary of the file lists 3 messages, 500 are there and read"
    assert "checksum is wrong" in notes(bag)["summary of the file"]


def test_attachments_and_metadata_are_stored(tmp_path: Path) -> None:
    def add(writer: McapWriter) -> None:
        writer.add_attachment(5, 6, "calibration.yaml", "text/yaml", b"fx: 458.654")
        writer.add_attachment(5, 6, "icon", "image/png", b"\xff\0")
        writer.add_attachment(5, 6, "map", "image/tiff", bytes(1 << 20))
        writer.add_metadata("vehicle", {"serial": "K-17"})

    recording = RosbagReader().open(mcap_of_numbers(tmp_path / "a.mcap", TIMES, add))

    times = {"log_time_ns": 6, "create_time_ns": 5}
    assert recording.metadata["mcap_metadata"] == {"vehicle": {"serial": "K-17"}}
    assert recording.metadata["mcap_attachments"] == [
        {"name": "calibration.yaml", "media_type": "text/yaml", **times, "text": "fx: 458.654"},
        {"name": "icon", "media_type": "image/png", **times, "base64": "/wA="},
    ]
    assert [(skip.source, "1048576 bytes" in skip.reason) for skip in recording.skipped] == [("map", True)]


@pytest.mark.parametrize("schema", [b"\x0a\x02hi\xff", None])
def test_channels_that_are_no_ros_are_listed(tmp_path: Path, schema: bytes | None) -> None:
    def add(writer: McapWriter) -> None:
        number = 0 if schema is None else writer.register_schema("my.Status", "protobuf", schema)
        channel = writer.register_channel("/status", "protobuf", number)
        for i in range(3):
            writer.add_message(channel, START_NS + i, b"\x08\x01", START_NS + i)

    bag = mcap_of_numbers(tmp_path / "a.mcap", TIMES, add)
    [skip] = RosbagReader().open(bag, known_only="true").skipped

    assert values(bag) == list(range(500))
    assert (skip.source, skip.messages) == (f"/status ({'no type' if schema is None else 'my.Status'})", 3)
    assert "its messages are `protobuf`, not ROS" in skip.reason


def test_times_of_publishing_are_not_dropped_in_silence(tmp_path: Path) -> None:
    def add(writer: McapWriter) -> None:
        writer.add_message(1, START_NS, serialize("mcap", types_of("mcap"), INT32, {"data": 7}), START_NS - 5)

    assert (
        "1 messages were published at another time"
        in (notes(mcap_of_numbers(tmp_path / "a.mcap", TIMES, add))["times of publishing"])
    )


@pytest.mark.parametrize("name", ["cut.bag", "cut.bag.active"])
def test_bag_that_was_not_closed(tmp_path: Path, name: str) -> None:
    store = types_of("bag")
    writer = Ros1Writer(tmp_path / "a.bag")
    writer.chunk_threshold = 2000
    with writer:
        connection = writer.add_connection("/count", INT32, typestore=store)
        for i in range(500):
            writer.write(connection, START_NS + i, serialize("bag", store, INT32, {"data": i}))
    content = bytearray((tmp_path / "a.bag").read_bytes())
    for field, size in ((b"index_pos=", 8), (b"conn_count=", 4), (b"chunk_count=", 4)):
        at = content.index(field) + len(field)
        content[at : at + size] = bytes(size)
    (tmp_path / name).write_bytes(content[: len(content) // 2])

    found, problem = read_until_damage(tmp_path / name)

    assert len(found) > 150
    assert found == list(range(len(found)))
    assert "it has no index: the recorder did not close it" in problem


@pytest.mark.parametrize("compression", [None, "bz2", "lz4"])
def test_chunks_of_a_ros_1_bag(tmp_path: Path, compression: str | None) -> None:
    store = types_of("bag")
    writer = Ros1Writer(tmp_path / "a.bag")
    writer.chunk_threshold = 2000
    if compression:
        writer.set_compression(Ros1Writer.CompressionFormat[compression.upper()])
    with writer:
        connection = writer.add_connection("/count", INT32, typestore=store)
        for i in range(500):
            writer.write(connection, START_NS + i, serialize("bag", store, INT32, {"data": i}))
    bag = tmp_path / "a.bag"

    assert values(bag) == list(range(500))
    content = bytearray(bag.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8] = b"\xff" * 8
    bag.write_bytes(content)
    lost = 500 - len([error for error in _rest(bag) if error is None])
    assert 0 <= lost < 250


def _rest(bag: Path) -> list[Exception | None]:
    errors: list[Exception | None] = []
    with suppress(BagError), ROSLoader(bag) as loader:
        errors.extend(error for _, error in loader)
    return errors


def test_encrypted_and_old_bags_are_named(tmp_path: Path) -> None:
    old = tmp_path / "old.bag"
    old.write_bytes(b"#ROSBAG V1.2\n")
    with pytest.raises(RecordingError, match=r"of the format `#ROSBAG V1\.2`, not V2\.0"):
        RosbagReader().open(old)
    bag = write_bag(tmp_path, "bag", numbers(3))
    content = bag.read_bytes()
    field = b"encryptor=rosbag/AesCbcEncryptor"
    head = struct.pack("<I", len(field)) + field
    (length,) = struct.unpack_from("<I", content, 13)
    bag.write_bytes(
        content[:13]
        + struct.pack("<I", length + len(head))
        + content[17 : 17 + length]
        + head
        + content[17 + length :]
    )
    with pytest.raises(RecordingError, match="encrypted by rosbag/AesCbcEncryptor"):
        RosbagReader().open(bag)


@pytest.mark.parametrize("kind", ["db3", "mcap"])
def test_quality_of_service_in_the_metadata_is_no_filter(kind: str, tmp_path: Path) -> None:
    folder = write_bag(tmp_path, kind, numbers(5)).parent
    document = yaml.safe_load((folder / "metadata.yaml").read_text())
    topic = document["rosbag2_bagfile_information"]["topics_with_message_count"][0]
    never = QosTime(9223372036, 854775807)
    profile = Qos(
        QosHistory.KEEP_LAST, 10, QosReliability.RELIABLE, QosDurability.VOLATILE, never, never,
        QosLiveliness.AUTOMATIC, never, False,
    )  # fmt: skip
    for value in ([{"history": "keep_last", "depth": 10}], str(profile), "unreadable: ["):
        topic["topic_metadata"]["offered_qos_profiles"] = value
        topic["message_count"] = 0
        (folder / "metadata.yaml").write_text(yaml.safe_dump(document))
        assert values(folder) == [0, 1, 2, 3, 4]
        assert notes(folder)["/count"] == "metadata.yaml lists 0 messages, 5 are there and read"


@pytest.mark.parametrize("kind", ["db3", "mcap"])
def test_files_that_the_metadata_does_not_list(kind: str, tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "a", kind, numbers(5, first=5)).parent
    more = write_bag(tmp_path / "b", kind, numbers(5))
    (folder / f"flight_0.{kind}").write_bytes(more.read_bytes())

    assert values(folder) == list(range(10))
    assert notes(folder)[f"flight_0.{kind}"] == "metadata.yaml does not list this file; it is read too"
    (folder / f"flight_0.{kind}").write_bytes(b"no bag")
    found, problem = read_until_damage(folder)
    assert found == [5, 6, 7, 8, 9]
    assert f"flight_0.{kind}: neither MCAP, a ROS 1 bag nor SQLite" in problem


@pytest.mark.parametrize("head", ["# robot 7\n", "---\n", "\ufeff", "broken: [\n", "- a list\n", None])
def test_metadata_is_no_condition(tmp_path: Path, head: str | None) -> None:
    folder = write_bag(tmp_path, "mcap", numbers(5)).parent
    metadata = folder / "metadata.yaml"
    if head is None:
        metadata.unlink()
    else:
        metadata.write_text(head + metadata.read_text(), encoding="utf-8")

    assert RosbagReader().sniff(folder)
    assert values(folder) == [0, 1, 2, 3, 4]


def test_split_bags_are_one_recording(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for i in range(3):
        part = write_bag(tmp_path, "bag", numbers(4, first=4 * i))
        part.rename(tmp_path / "run" / f"run_{2 - i}.bag")

    assert values(tmp_path / "run") == list(range(12))


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_paths_do_not_matter(kind: str, tmp_path: Path) -> None:
    bag = write_bag(tmp_path, kind, numbers(3))
    for odd in ("run 7", "run#7", "what?", "50%20off", "f\u00fcnf \U0001f916 [a-z]*"):
        place = tmp_path / odd
        place.mkdir()
        copy = place / f"A.{kind.upper()}"
        copy.write_bytes(bag.read_bytes())
        assert RosbagReader().sniff(copy)
        assert values(copy) == [0, 1, 2]


@pytest.mark.parametrize("kind", ["db3", "mcap"])
def test_damaged_packed_file(kind: str, tmp_path: Path) -> None:
    bag = write_bag(tmp_path, kind, numbers(20_000), CompressionMode.FILE)
    [packed] = bag.parent.glob("*.zstd")
    packed.write_bytes(packed.read_bytes()[:-2000])

    found, problem = read_until_damage(packed)

    assert len(found) > 1000
    assert found == list(range(len(found)))
    assert "damaged" in problem


TEXTS = ["", "plain", "caf\u00e9 \U0001f916 \u30cf", "a\0b", "x" * 100_000, "\ufeffbom", "line\r\n\u2028"]


@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_all_kinds(kind: str, tmp_path: Path) -> None:
    store = types_of(kind)
    rows: list[Row] = [
        ("/said", "std_msgs/msg/String", START_NS + i, {"data": text}) for i, text in enumerate(TEXTS)
    ]
    stamped = {"header": {"stamp": {"sec": 7}, "frame_id": "kamXra"}, "point": {"x": 1.0, "y": 2.0, "z": 3.0}}
    raw = serialize(kind, store, "geometry_msgs/msg/PointStamped", stamped).replace(b"kamXra", b"kam\xe9ra")
    rows.append(("/point", "geometry_msgs/msg/PointStamped", START_NS + 50, raw))

    found = [(message.data, error) for message, error in ROSLoader(write_bag(tmp_path, kind, rows))]

    assert [error for _, error in found] == [None] * (len(TEXTS) + 1)
    assert [data["data"] for data, _ in found[:-1] if data] == TEXTS
    point = found[-1][0]
    assert point is not None
    assert (point["header"]["frame_id"], point["point"]["z"]) == ("kam\\xe9ra", 3.0)


@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: "# 21 \u00b0C\n" + t])
def test_definitions_with_any_comments_and_line_ends(tmp_path: Path, change: Callable[[str], str]) -> None:
    store = types_of("bag")
    text, digest = store.generate_msgdef("geometry_msgs/msg/PointStamped")
    with Ros1Writer(tmp_path / "a.bag") as writer:
        connection = writer.add_connection(
            "/p", "geometry_msgs/msg/PointStamped", msgdef=change(text), md5sum=digest
        )
        writer.write(connection, START_NS, serialize("bag", store, "geometry_msgs/msg/PointStamped", {}))
    content = (tmp_path / "a.bag").read_bytes()
    (tmp_path / "a.bag").write_bytes(content.replace("\u00b0C".encode(), b"\xb0CC"))

    assert [error for _, error in ROSLoader(tmp_path / "a.bag")] == [None]
