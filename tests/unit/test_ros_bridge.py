"""ROS messages, adapters and their registry, without bags."""

import importlib
import io
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs.helpers import sanitize_topic_name, validate_topic_name
from mosaicolabs.ingest import RecordingError
from mosaicolabs.models import HeaderMixin, Serializable, Time
from mosaicolabs.models.data import Vector3d
from mosaicolabs.models.sensors import IMU, ImageFormat, Magnetometer
from mosaicolabs.ros_bridge import (
    BagError,
    ROSAdapterBase,
    ROSBridge,
    ROSHeader,
    ROSMessage,
    ROSTypeRegistry,
    Stores,
    TranslationError,
    register_adapter,
    register_default_adapter,
)
from mosaicolabs.ros_bridge._names import legal_topic_names
from mosaicolabs.ros_bridge.adapters import (
    BatteryStateAdapter,
    CameraInfoAdapter,
    CompressedImageAdapter,
    ImageAdapter,
    IMUAdapter,
    PoseAdapter,
    RangeAdapter,
    std_msgs,
)

XYZ = {"x": 1.0, "y": 2.0, "z": 3.0}
XYZW = {**XYZ, "w": 4.0}
STAMP = {"stamp": {"sec": 5, "nanosec": 6}, "frame_id": "f"}


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten."""
    monkeypatch.setattr(ROSBridge, "_adapters", dict(ROSBridge._adapters))


@pytest.fixture
def registry() -> Iterator[type[ROSTypeRegistry]]:
    yield ROSTypeRegistry
    ROSTypeRegistry.reset()


def test_names_of_the_contract(shared: Path) -> None:
    api = json.loads((shared / "contract/api.json").read_text())
    listings = [*api["modules"].items(), *api["semi_public"].items()]
    ours = [(module, names) for module, names in listings if module.startswith("mosaicolabs.ros_bridge")]
    assert len(ours) >= 6
    for module, names in ours:
        for name, path in names.get("exports", names).items():
            if isinstance(path, str):
                home, _, attribute = path.rpartition(".")
                assert getattr(importlib.import_module(module), name) is (
                    getattr(importlib.import_module(home), attribute)
                ), path


def test_names_of_the_later_line() -> None:
    assert register_default_adapter is register_adapter
    assert ROSBridge.get_default_adapter("sensor_msgs/msg/Imu") is IMUAdapter
    assert ROSBridge.get_default_adapters() == ROSBridge.get_adapters()


def test_missing_rosbags_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("mosaicolabs.ros_bridge")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("rosbags", "rosbags.typesys"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ImportError, match=r"pip install rosbags$"):
        importlib.import_module("mosaicolabs.ros_bridge")
    from mosaicolabs.ingest.rosbag import RosbagReader

    with pytest.raises(RecordingError, match=r"pip install rosbags$"):
        RosbagReader().open(Path("a.bag"))


class TestMessage:
    def test_header_is_read(self) -> None:
        message = ROSMessage(70, "/t", "a/msg/B", {"header": {**STAMP, "seq": 3}})

        assert message.header == ROSHeader(3, "f", Time(sec=5, nanosec=6))
        assert message.header is not None
        header = message.header.translate()
        assert (header.seq, header.frame_id, header.stamp) == (3, "f", Time(sec=5, nanosec=6))
        assert ROSMessage(70, "/t", "a/msg/B", {"data": 1}).header is None
        assert ROSMessage(70, "/t", "a/msg/B", None).header is None

    @pytest.mark.parametrize(
        "header",
        [
            "text",
            {"frame_id": "f"},
            {"stamp": {"sec": 1}, "frame_id": "f"},
            {"stamp": {"sec": 1, "nanosec": 10**9}, "frame_id": "f"},
            {"stamp": {"sec": 1, "nanosec": 1}},
        ],
    )
    def test_malformed_header(self, header: Any) -> None:
        with pytest.raises(ValueError, match="malformed ROS header"):
            ROSMessage(70, "/t", "a/msg/B", {"header": header})


class TestTranslation:
    def test_times(self) -> None:
        stamped = ROSMessage(70, "/t", "geometry_msgs/msg/PointStamped", {"header": STAMP, "point": XYZ})
        plain = ROSMessage(70, "/t", "geometry_msgs/msg/Point", XYZ)

        first, second = ROSBridge.from_ros_message(stamped), ROSBridge.from_ros_message(plain)

        assert first is not None
        assert second is not None
        assert (first.timestamp_ns, first.recording_timestamp_ns) == (5_000_000_006, 70)
        assert (second.timestamp_ns, second.recording_timestamp_ns) == (70, 70)

    def test_no_adapter(self) -> None:
        assert ROSBridge.from_ros_message(ROSMessage(70, "/t", "a/msg/B", {})) is None
        assert not ROSBridge.is_msgtype_adapted("a/msg/B")
        assert ROSBridge.is_msgtype_adapted("std_msgs/msg/String")
        assert ROSBridge.is_adapted(IMU)
        assert not ROSBridge.is_adapted(HeaderMixin)  # type: ignore[type-var]

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (None, "it was not decoded"),
            ({"x": 1.0, "z": 2.0}, "Vector3Adapter needs the fields y; the message has: x, z"),
            ({**XYZ, "y": "text"}, "valid number"),
        ],
    )
    def test_failures_name_topic_type_and_time(self, data: dict[str, Any] | None, reason: str) -> None:
        with pytest.raises(
            TranslationError, match=f"(?s)geometry_msgs/msg/Vector3 of `/t` at 70 ns: .*{reason}"
        ) as raised:
            ROSBridge.from_ros_message(ROSMessage(70, "/t", "geometry_msgs/msg/Vector3", data))

        assert isinstance(raised.value, ValueError)

    def test_data_of_a_user_s_adapter_gets_the_header(self) -> None:
        class PlainAdapter(ROSAdapterBase[Vector3d]):
            ros_msgtype = "my/msg/Plain"
            __mosaico_ontology_type__ = Vector3d

            @classmethod
            def from_dict(cls, ros_data: dict[str, Any]) -> Vector3d:
                return Vector3d(**XYZ)

        message = PlainAdapter.translate(ROSMessage(70, "/t", "my/msg/Plain", {"header": STAMP}), any=1)

        header = message.get_data(Vector3d).header
        assert header is not None
        assert header.frame_id == "f"


@pytest.mark.usefixtures("bridge")
class TestRegistration:
    def test_own_adapter(self) -> None:
        class Encoder(Serializable):
            __ontology_tag__ = "test_ros_encoder"
            __msco_pyarrow_struct__ = pa.struct([pa.field("ticks", pa.int64(), nullable=False)])

            ticks: int

        @register_adapter
        class EncoderAdapter(ROSAdapterBase[Encoder]):
            ros_msgtype = ("my/msg/Encoder", "my/msg/OldEncoder")
            __mosaico_ontology_type__ = Encoder

            @classmethod
            def from_dict(cls, ros_data: dict[str, Any]) -> Encoder:
                return Encoder(ticks=ros_data["n"])

        assert ROSBridge.get_adapter("my/msg/OldEncoder") is EncoderAdapter
        assert EncoderAdapter.ros_msg_type() == ("my/msg/Encoder", "my/msg/OldEncoder")
        assert EncoderAdapter.schema_metadata({}) is None
        assert ROSBridge.is_adapted(Encoder)
        with pytest.raises(ValueError, match="'EncoderAdapter' cannot be registered for my/msg/Encoder"):
            register_adapter(EncoderAdapter)

    def test_type_of_the_package_is_taken(self) -> None:
        with pytest.raises(ValueError, match="sensor_msgs/msg/Imu, which 'IMUAdapter' translates"):
            register_adapter(IMUAdapter)

    def test_fallback_adapters_yield_to_adapters_of_users(self) -> None:
        class TeslaAdapter(ROSAdapterBase[Magnetometer]):
            ros_msgtype = "sensor_msgs/msg/MagneticField"
            __mosaico_ontology_type__ = Magnetometer

            @classmethod
            def from_dict(cls, ros_data: dict[str, Any]) -> Magnetometer:
                return Magnetometer(magnetic_field=Vector3d(**ros_data["magnetic_field"]))

        assert ROSBridge.get_adapter("sensor_msgs/msg/MagneticField") is not None
        register_adapter(TeslaAdapter)
        assert ROSBridge.get_adapter("sensor_msgs/msg/MagneticField") is TeslaAdapter
        assert ROSBridge.get_adapters()["sensor_msgs/msg/MagneticField"] is TeslaAdapter


class TestAdapters:
    def test_covariance_stands_at_any_level(self) -> None:
        plain = {"position": XYZ, "orientation": XYZW}
        with_covariance = {"pose": plain, "covariance": [1.0] * 36}

        for data in (with_covariance, {"header": STAMP, "pose": with_covariance}):
            pose = PoseAdapter.from_dict(data)
            assert pose.covariance == [1.0] * 36
            assert (pose.header is None) == ("header" not in data)
        assert PoseAdapter.from_dict(plain).covariance is None

    @pytest.mark.parametrize(
        ("covariance", "turns", "turn_covariance"),
        [
            ([0.0] * 9, True, None),
            ([0.5] * 9, True, [0.5] * 9),
            ([-1.0] + [0.0] * 8, False, None),
        ],
    )
    def test_imu_quantities_that_were_not_measured_are_none(
        self, covariance: list[float], turns: bool, turn_covariance: list[float] | None
    ) -> None:
        imu = IMUAdapter.from_dict(
            {
                "linear_acceleration": XYZ,
                "linear_acceleration_covariance": [-1.0] + [0.0] * 8,
                "angular_velocity": XYZ,
                "angular_velocity_covariance": covariance,
                "orientation": XYZW,
                "orientation_covariance": covariance,
            }
        )

        # The acceleration is required: its mark is kept.
        assert imu.acceleration.covariance == [-1.0] + [0.0] * 8
        for part in (imu.angular_velocity, imu.orientation):
            assert (part is not None) == turns
            assert part is None or part.covariance == turn_covariance

    def test_imu_without_an_orientation_covariance(self) -> None:
        imu = IMUAdapter.from_dict({"linear_acceleration": XYZ, "angular_velocity": XYZ, "orientation": XYZW})

        assert imu.orientation is None
        assert imu.angular_velocity == Vector3d(**XYZ)

    @pytest.mark.parametrize(
        ("text", "codec"),
        [
            ("jpeg", ImageFormat.JPEG),
            ("JPG", ImageFormat.JPEG),
            ("png", ImageFormat.PNG),
            ("jpeg; ", ImageFormat.JPEG),
            ("rgb8; jpeg compressed bgr8", ImageFormat.JPEG),
            ("mono16; png compressed ", ImageFormat.PNG),
            ("bgr8; tiff compressed bgr8", ImageFormat.TIFF),
            ("h264", ImageFormat.H264),
            ("h265", ImageFormat.HEVC),
        ],
    )
    def test_codecs(self, text: str, codec: ImageFormat) -> None:
        for data in (b"\1\2", [1, 2]):
            image = CompressedImageAdapter.from_dict({"data": data, "format": text})
            assert image.format is codec
            assert image.data == b"\1\2"

    @pytest.mark.parametrize("text", ["", "bgr8", "jpeg or png", "webp"])
    def test_codecs_that_are_not_known(self, text: str) -> None:
        with pytest.raises(ValueError, match=f"format '{text}'"):
            CompressedImageAdapter.from_dict({"data": b"", "format": text})

    def test_depths_of_16_bits_are_the_picture_as_it_is(self) -> None:
        depth = np.random.default_rng(1).integers(0, 65536, (6, 8), np.uint16)
        picture = png(depth)
        image = CompressedImageAdapter.from_dict(
            {"data": struct.pack("<iff", 0, 0.0, 0.0) + picture, "format": "16UC1; compressedDepth png"}
        )

        assert (image.data, image.format) == (picture, ImageFormat.PNG)
        assert np.array_equal(image.to_numpy(), depth)

    def test_depths_of_32_bits_are_metres_again(self) -> None:
        factor, offset = 10100.0, -100.0
        metres = np.array([[0.5, 1.0, 2.5], [4.0, 10.0, np.nan]], np.float32)
        quantized = np.nan_to_num(np.round(factor / metres + offset)).astype(np.uint16)
        data = struct.pack("<iff", 0, factor, offset) + png(quantized)

        image = CompressedImageAdapter.from_dict({"data": data, "format": "32FC1; compressedDepth png"})

        assert image.format is ImageFormat.TIFF
        np.testing.assert_allclose(image.to_numpy(), metres, rtol=1e-3)

    @pytest.mark.parametrize(
        ("data", "text", "reason"),
        [
            (bytes(40), "16UC1; compressedDepth png", "are not a PNG"),
            (bytes(40), "16UC1; compressedDepth rvl", "are not a PNG"),
            (bytes(12) + b"\x89PNG\r\n\x1a\n", "8UC1; compressedDepth png", "not `8UC1`"),
        ],
    )
    def test_depths_that_cannot_be_read(self, data: bytes, text: str, reason: str) -> None:
        with pytest.raises(ValueError, match=f"format '{text}': .*{reason}"):
            CompressedImageAdapter.from_dict({"data": data, "format": text})

    @pytest.mark.parametrize("distance", [float("inf"), 0.0, 9.5])
    def test_ranges_outside_of_the_limits_are_kept(self, distance: float) -> None:
        fields = {"radiation_type": 0, "field_of_view": 0.5, "min_range": 0.25, "max_range": 4.0}
        reading = RangeAdapter.from_dict({**fields, "range": distance, "variance": 0.0})

        assert (reading.range, reading.variance, reading.header) == (distance, None, None)

    @pytest.mark.parametrize("data", [bytes(range(12)), list(range(12))])
    def test_container_of_images(self, data: Any) -> None:
        fields = {"data": data, "width": 3, "height": 3, "step": 4, "encoding": "mono8", "is_bigendian": 1}
        message = ROSMessage(70, "/t", "sensor_msgs/msg/Image", fields)

        for option, expected in (({}, "png"), ({"output_format": ImageFormat.RAW}, "raw")):
            image: Any = ImageAdapter.translate(message, **option).data
            assert image.format.value == expected
            assert image.to_linear_pixels() == list(range(12))
            assert image.is_bigendian is True

    @pytest.mark.parametrize("case", [str.upper, str.lower])
    def test_camera_without_distortion(self, case: Any) -> None:
        roi = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}
        size = {"height": 4, "width": 5, "binning_x": 0, "binning_y": 0, "distortion_model": "", "roi": roi}
        matrices = {case("d"): [], case("k"): [0.5] * 9, case("r"): [1.5] * 9, case("p"): [2.5] * 12}

        info = CameraInfoAdapter.from_dict({**size, **matrices})

        assert info.distortion_parameters == []
        assert info.projection_parameters == [2.5] * 12

    def test_battery_of_an_older_definition(self) -> None:
        keys = set(BatteryStateAdapter._REQUIRED_KEYS) - {"temperature", "cell_temperature"}
        fields: dict[str, Any] = dict.fromkeys(keys, 1)
        fields |= {"location": "", "serial_number": "", "cell_voltage": [1.0]}

        battery = BatteryStateAdapter.from_dict(fields)

        assert battery.temperature is None
        assert battery.cell_voltage == [1.0]

    def test_adapters_of_single_values_have_names(self) -> None:
        assert std_msgs.__dict__["StringStdAdapter"].ros_msgtype == "std_msgs/msg/String"
        assert issubclass(std_msgs.__dict__["BooleanStdAdapter"], std_msgs.GenericStdAdapter)


class TestTypeRegistry:
    def test_definitions_of_a_distribution_take_precedence(self, registry: type[ROSTypeRegistry]) -> None:
        registry.register("a/msg/B", "int8 x")
        registry.register("a/msg/C", "int8 y")
        registry.register("a/msg/B", "int16 x", Stores.ROS2_FOXY)

        for spelling in (Stores.ROS2_FOXY, "ros2_foxy", "ROS2_FOXY", str(Stores.ROS2_FOXY)):
            assert registry.get_types(spelling) == {"a/msg/B": "int16 x", "a/msg/C": "int8 y"}
        assert registry.get_types(None) == {"a/msg/B": "int8 x", "a/msg/C": "int8 y"}
        registry.reset()
        assert registry.get_types(Stores.ROS2_FOXY) == {}

    def test_files(self, registry: type[ROSTypeRegistry], tmp_path: Path) -> None:
        (tmp_path / "B.msg").write_text("int8 x\n")
        (tmp_path / "deeper").mkdir()
        (tmp_path / "deeper/C.msg").write_text("int8 y\n")
        (tmp_path / "notes.txt").write_text("no definition")

        registry.register("a/msg/A", str(tmp_path / "B.msg"))
        registry.register_directory("a", tmp_path, "ros2_foxy")

        assert registry.get_types("ros2_foxy") == {"a/msg/A": "int8 x\n", "a/msg/B": "int8 x\n"}

    def test_refusals(self, registry: type[ROSTypeRegistry], tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            registry.register("a/msg/B", tmp_path / "B.msg")
        with pytest.raises(TypeError, match="neither the text"):
            registry.register("a/msg/B", 5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="is not a folder"):
            registry.register_directory("a", tmp_path / "missing")
        assert registry.get_types(None) == {}


@given(st.sets(st.text(max_size=12), max_size=12))
def test_names_become_legal_and_stay_apart(names: set[str]) -> None:
    legal = legal_topic_names(names)

    assert legal.keys() == names
    assert len(set(legal.values())) == len(names)
    for name, unique in legal.items():
        validate_topic_name(unique)
        assert sanitize_topic_name(unique) == unique
        if unique == name:
            continue
        # Only what was not legal changes, or gives way to a legal one.
        try:
            validate_topic_name(name)
        except ValueError:
            continue
        assert sanitize_topic_name(name) != name or name in legal


def test_bag_error_has_the_documented_bases() -> None:
    error = BagError("no bag")

    assert isinstance(error, OSError)
    assert isinstance(error, RecordingError)
    assert str(error) == "no bag"
