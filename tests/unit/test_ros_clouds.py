"""Point clouds as lists, by sensor."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mosaicolabs import Serializable
from mosaicolabs.models.futures import Lidar, Radar, RGBDCamera, StereoCamera, ToFCamera
from mosaicolabs.models.ros.point_cloud import PointFieldDataType
from mosaicolabs.ros_bridge import ROSAdapterBase, ROSBridge, ROSMessage, TranslationError, adapters

CLOUD = "sensor_msgs/msg/PointCloud2"
XYZ = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
KINDS = dict(zip(("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"), PointFieldDataType, strict=True))


def cloud(points: NDArray[Any]) -> ROSMessage:
    """The message that holds an array of points, one row unless the array has two dimensions."""
    rows = points.reshape(-1, points.shape[-1])
    fields = [
        {
            "name": name,
            "offset": offset,
            "datatype": KINDS[kind.base.str[1:]],
            "count": int(np.prod(kind.shape)) or 1,
        }
        for name, (kind, offset, *_) in (points.dtype.fields or {}).items()
    ]
    data = {
        "header": {"stamp": {"sec": 1, "nanosec": 2}, "frame_id": "sensor"},
        "height": rows.shape[0],
        "width": rows.shape[1],
        "fields": fields,
        "is_bigendian": any(kind.str[0] == ">" for kind, *_ in (points.dtype.fields or {}).values()),
        "point_step": points.dtype.itemsize,
        "row_step": rows.shape[1] * points.dtype.itemsize,
        "data": rows.tobytes(),
        "is_dense": True,
    }
    return ROSMessage(70, "/points", CLOUD, data)


def filled(fields: list[Any], shape: tuple[int, ...] = (3,)) -> NDArray[Any]:
    points = np.zeros(shape, fields)
    for number, name in enumerate(points.dtype.names or ()):
        points[name] = (np.arange(points[name].size) + 10 * number).reshape(points[name].shape)
    return points


@pytest.mark.parametrize(
    ("adapter", "data_class"),
    [
        (adapters.LidarAdapter, Lidar),
        (adapters.RadarAdapter, Radar),
        (adapters.RGBDCameraAdapter, RGBDCamera),
        (adapters.ToFCameraAdapter, ToFCamera),
        (adapters.StereoCameraAdapter, StereoCamera),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_value_comes_into_its_column(
    adapter: type[ROSAdapterBase[Any]], data_class: type[Serializable], order: str
) -> None:
    columns = [
        column for column in data_class.__msco_pyarrow_struct__ if column.name not in ("header", "rgb")
    ]
    kinds = [np.dtype(column.type.value_type.to_pandas_dtype()).str[1:] for column in columns]
    points = filled(
        [(column.name, order + kind) for column, kind in zip(columns, kinds, strict=True)], (2, 3)
    )

    message = adapter.translate(cloud(points))

    data = message.data
    assert type(data) is data_class
    assert (message.timestamp_ns, message.recording_timestamp_ns) == (1_000_000_002, 70)
    assert data.header.frame_id == "sensor"  # type: ignore[attr-defined]
    for column in columns:
        assert getattr(data, column.name) == points[column.name].reshape(-1).tolist()


def test_what_a_cloud_does_not_have_is_none() -> None:
    data = adapters.RadarAdapter.translate(cloud(filled(XYZ))).get_data(Radar)
    assert data.x == [0.0, 1.0, 2.0]
    assert data.rcs is None


def test_names_of_drivers() -> None:
    points = filled(
        [*XYZ, ("ring", "<u1"), ("ambient", "<u2"), ("t", "<u4"), ("intensity", "<f4"), ("tag", "<u1")]
    )
    data = adapters.LidarAdapter.translate(cloud(points)).get_data(Lidar)
    assert data.beam_id == [30, 31, 32]
    assert data.near_ir == [40.0, 41.0, 42.0]
    assert data.point_timestamp == [50.0, 51.0, 52.0]
    assert data.intensity == [60.0, 61.0, 62.0]
    both = filled([*XYZ, ("ring", "<u1"), ("beam_id", "<u2")])
    assert adapters.LidarAdapter.translate(cloud(both)).get_data(Lidar).beam_id == [40, 41, 42]


@pytest.mark.parametrize("kind", ["<f4", "<u4", ">f4", ">u4"])
@pytest.mark.parametrize("name", ["rgb", "rgba"])
def test_colours_keep_their_bits(name: str, kind: str) -> None:
    colours = np.array([0x00000001, 0x00FF8000, 0xFF7F0001, 0xFFC0FFEE], np.uint32)
    points = filled([(axis, kind[0] + "f4") for axis in "xyz"] + [(name, kind)], (4,))
    points[name].view(kind[0] + "u4")[:] = colours

    data = adapters.RGBDCameraAdapter.translate(cloud(points)).get_data(RGBDCamera)

    assert np.array(data.rgb, np.float32).view(np.uint32).tolist() == [1, 0xFF8000, 0x7F0001, 0xC0FFEE]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (XYZ[:2], "needs points with z; they have x, y"),
        ([*XYZ, ("ring", "<i4", (2,))], "`ring` has 2 values per point"),
        ([*XYZ, ("ring", "<f4")], r"`ring` has values that do not fit uint16, between 0.5 and 2.5"),
        ([*XYZ, ("beam_id", "<i4")], r"`beam_id` has values that do not fit uint16, between -1 and 70000"),
    ],
)
def test_what_does_not_fit_is_named(fields: list[Any], named: str) -> None:
    points = filled(fields)
    if fields[-1][0] == "ring" and len(fields[-1]) == 2:
        points["ring"] = [0.5, 1.5, 2.5]
    if fields[-1][0] == "beam_id":
        points["beam_id"] = [-1, 0, 70_000]
    with pytest.raises(TranslationError, match=named):
        adapters.LidarAdapter.translate(cloud(points))


def test_they_are_no_adapters_of_the_type() -> None:
    assert ROSBridge.get_adapter(CLOUD) is adapters.PointCloudAdapter
    assert not ROSBridge.is_adapted(Lidar)


def test_a_class_of_a_user_is_in_nobody_s_way() -> None:
    code = """
import pyarrow as pa
from mosaicolabs import Serializable
class Radar(Serializable):
    __msco_pyarrow_struct__ = pa.struct([pa.field("hits", pa.int64())])
    hits: int
from mosaicolabs.models.futures import LaserScan, Lidar
assert Serializable._get_class_type("radar") is Radar
assert Serializable._get_class_type("lidar") is Lidar
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
