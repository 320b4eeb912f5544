"""Data classes beyond those of Mosaico 0.2 are imported at first use and yield to classes of users."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs import ros_bridge
from mosaicolabs.models import Serializable
from mosaicolabs.models._lazy_registry import RESERVED, YIELDING
from mosaicolabs.models.futures import LaserScan
from mosaicolabs.models.ros.point_cloud import PointCloud2, PointField, PointFieldDataType
from mosaicolabs.ros_bridge import ROSBridge, ROSMessage

TYPES = ("sensor_msgs/msg/Joy", "sensor_msgs/msg/LaserScan", "sensor_msgs/msg/PointCloud2")


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("tag", [*RESERVED, *YIELDING])
def test_class_is_imported_at_the_first_use_of_its_tag(tag: str) -> None:
    found = Serializable._get_class_type(tag)

    assert found is not None
    assert found.ontology_tag() == tag


def test_columns_are_those_of_the_contract(shared: Path) -> None:
    classes = json.loads((shared / "contract/api-0.4.0.json").read_text())["ontologies"]["classes"]
    expected = {entry["ontology_tag"]: entry["arrow_schema"] for entry in classes}
    ours = sorted(set(YIELDING) - {"battery_state", "frame_transform"})
    assert len(ours) == 10
    for tag in ours:
        cls: Any = Serializable._get_class_type(tag)
        columns = [field for field in cls.__msco_pyarrow_struct__ if field.name != "header"]
        assert [(field.name, field.nullable) for field in columns] == [
            (field["name"], field["nullable"]) for field in expected[tag]
        ]
        for field, wanted in zip(columns, expected[tag], strict=True):
            assert str(field.type).startswith(wanted["type"]), (tag, field)
            if isinstance(item := wanted.get("item"), dict) and item["type"] not in ("list", "struct"):
                assert str(field.type) == f"list<item: {item['type']}>", (tag, field)


def test_class_of_a_user_takes_precedence() -> None:
    said = run(
        """
import pyarrow as pa
from mosaicolabs import Serializable
from mosaicolabs.ros_bridge import ROSAdapterBase, ROSBridge, register_adapter

class LaserScan(Serializable):
    __msco_pyarrow_struct__ = pa.struct([pa.field("beams", pa.int64())])
    beams: int

ours = ROSBridge.get_adapter("sensor_msgs/msg/LaserScan")
assert not ROSBridge.is_adapted(LaserScan)
try:
    ours.ontology_data_type()
except ValueError as error:
    assert "has the tag 'laser_scan', which '__main__.LaserScan' already uses" in str(error), error

@register_adapter
class LaserScanAdapter(ROSAdapterBase[LaserScan]):
    ros_msgtype = "sensor_msgs/msg/LaserScan"
    __mosaico_ontology_type__ = LaserScan

    @classmethod
    def from_dict(cls, ros_data):
        return LaserScan(beams=len(ros_data["ranges"]))

assert ROSBridge.get_adapter("sensor_msgs/msg/LaserScan") is LaserScanAdapter
assert Serializable._get_class_type("laser_scan") is LaserScan
print("done")
"""
    )
    assert said == "done"


def test_importing_the_bridge_registers_no_lazy_tags() -> None:
    said = run(
        "import mosaicolabs.ros_bridge, mosaicolabs.models.serializable as s\n"
        "from mosaicolabs.models._lazy_registry import YIELDING\n"
        "print(sorted(YIELDING.keys() & set(s._CLASS_BY_TAG)))"
    )
    assert said == "['battery_state', 'frame_transform']"


def test_reserved_tags_are_taken_before_their_classes_are_imported() -> None:
    said = run(
        """
import sys
import pyarrow as pa
from mosaicolabs import Serializable

assert "mosaicolabs.models.sensors.imu" not in sys.modules
try:
    class Imu(Serializable):
        __ontology_tag__ = "imu"
        __msco_pyarrow_struct__ = pa.struct([pa.field("x", pa.int64())])
        x: int
except ValueError as error:
    print(error)
"""
    )
    assert "has the tag 'imu', which 'mosaicolabs.models.sensors.imu.IMU' already uses" in said


def test_replay_needs_no_rosbags() -> None:
    said = run(
        "import sys\nsys.modules['rosbags'] = None\n"
        "from mosaicolabs import Serializable\n"
        "print(Serializable._get_class_type('frame_transform').__name__)"
    )
    assert said == "FrameTransform"


def test_bridge_adapts_lazy_classes() -> None:
    for ros_type in TYPES:
        adapter = ROSBridge.get_adapter(ros_type)
        assert adapter is not None
        assert ROSBridge.is_adapted(adapter.ontology_data_type())
    assert ros_bridge.PointCloud2 is PointCloud2
    assert ros_bridge.PointField is PointField
    with pytest.raises(AttributeError, match="NoSuchName"):
        ros_bridge.NoSuchName  # noqa: B018


def test_scan_without_intensities() -> None:
    fields = dict.fromkeys(LaserScan.model_fields.keys() - {"header", "ranges", "intensities"}, 1.0)
    scan = ROSMessage(70, "/t", TYPES[1], {**fields, "ranges": [1.0], "intensities": []})

    message = ROSBridge.from_ros_message(scan)

    assert message is not None
    assert message.get_data(LaserScan).intensities is None


@given(st.booleans(), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 5))
def test_points_of_a_cloud(bigendian: bool, height: int, width: int, gap: int, padding: int) -> None:
    order = ">" if bigendian else "<"
    kinds = ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"]
    point = np.dtype(
        {
            "names": [*kinds, "pair"],
            "formats": [*(order + kind for kind in kinds), (order + "f4", (2,))],
            "offsets": [0, 1, 2, 4, 6, 10, 14 + gap, 18 + gap, 26 + gap],
            "itemsize": 34 + 2 * gap,
        }
    )
    points = np.zeros((height, width), point)
    for i, name in enumerate(point.names or ()):
        values = np.arange(points[name].size).reshape(points[name].shape)
        points[name] = values + i
    row_step = width * point.itemsize + padding
    rows = [row.tobytes() + b"\xff" * padding for row in points]
    fields = [
        PointField(name=name, offset=point.fields[name][1], datatype=code, count=1)  # type: ignore[index]
        for name, code in zip(kinds, PointFieldDataType, strict=True)
    ]
    pair = PointField(name="pair", offset=26 + gap, datatype=PointFieldDataType.FLOAT32, count=2)
    cloud = PointCloud2(
        height=height,
        width=width,
        fields=[*fields, pair],
        is_bigendian=bigendian,
        point_step=point.itemsize,
        row_step=row_step,
        data=b"".join(rows),
        is_dense=True,
    )

    decoded = cloud.to_numpy()

    assert decoded.shape == (height, width)
    for name in (*kinds, "pair"):
        assert np.array_equal(decoded[name], points[name])
    cloud.data = cloud.data[:-1]
    with pytest.raises(ValueError, match=f"are not {height} rows of {row_step} bytes"):
        cloud.to_numpy()
