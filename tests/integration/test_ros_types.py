"""Every ROS type that has an adapter: written into a bag, stored, and read back equal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness.bags import KINDS, header, write_bag
from harness.daemon import Daemon
from harness.ros_samples import SEQ, STAMP_NS, samples

from mosaicolabs import Message
from mosaicolabs.models.futures import Lidar
from mosaicolabs.ros_bridge import RosbagInjector, ROSBridge, ROSInjectionConfig
from mosaicolabs.ros_bridge.adapters import LidarAdapter

BAG_NS = STAMP_NS + 1_000_000


def contract_types(shared: Path) -> list[dict[str, Any]]:
    entries = json.loads((shared / "contract/api.json").read_text())["ros_adapters"]
    assert len(entries) == 45
    return list(entries)


def test_the_contract_s_types_are_adapted_by_its_adapters(shared: Path) -> None:
    for entry in contract_types(shared):
        adapter = ROSBridge.get_adapter(entry["ros_type"])
        assert adapter is not None, entry
        assert adapter.__name__ == entry["adapter"]
        assert adapter.ontology_data_type().__name__ == entry["ontology"]
        assert sorted(adapter._REQUIRED_KEYS) == sorted(entry["required_keys"])


def test_there_is_a_sample_of_every_type() -> None:
    # The name without /msg/ is that of the contract; no bag has it.
    assert samples(None).keys() == ROSBridge.get_adapters().keys() - {"sensor_msgs/RegionOfInterest"}


@pytest.mark.parametrize("kind", KINDS)
def test_all_types_are_read_back_equal(kind: str, tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    expected = samples(SEQ if kind == "bag" else None)
    topics = {f"/{ros_type.split('/')[-1]}": ros_type for ros_type in expected}
    bag = write_bag(
        tmp_path,
        kind,
        [
            (topic, ros_type, BAG_NS + i, expected[ros_type][0])
            for i, (topic, ros_type) in enumerate(topics.items())
        ],
    )

    config = ROSInjectionConfig(bag, name, {"kind": kind}, standing_daemon.host, standing_daemon.port)
    result = RosbagInjector(config).run()

    assert result.failed == {}
    assert result.recording.skipped == ()
    assert result.messages == dict.fromkeys(sorted(topics), 1)
    with standing_daemon.connect() as client:
        handler = client.sequence_handler(name)
        assert handler is not None
        assert handler.user_metadata == {"kind": kind}
        stored: dict[str, Message] = dict(handler.get_data_streamer())
    for i, (topic, ros_type) in enumerate(topics.items()):
        fields, data = expected[ros_type]
        message = stored[topic]
        has_header = "header" in fields
        assert message.recording_timestamp_ns == BAG_NS + i
        assert message.timestamp_ns == (STAMP_NS if has_header else BAG_NS + i)
        # Message gives data without a header one of its own.
        assert message.data.model_dump(exclude=None if has_header else {"header"}) == (
            data.model_dump(exclude=None if has_header else {"header"})
        ), ros_type


@pytest.mark.parametrize("kind", KINDS)
def test_a_cloud_of_a_lidar(kind: str, tmp_path: Path, standing_daemon: Daemon, name: str) -> None:
    points = np.array([(1.5, 2.5, 3.5, 7), (-1.0, 0.0, 0.25, 65535)], "<f4, <f4, <f4, <u2")
    fields = [
        {"name": axis, "offset": 4 * number, "datatype": 7, "count": 1} for number, axis in enumerate("xyz")
    ]
    packed = {
        "header": header(STAMP_NS),
        "height": 1,
        "width": 2,
        "fields": [*fields, {"name": "ring", "offset": 12, "datatype": 4, "count": 1}],
        "point_step": 14,
        "row_step": 28,
        "data": points.tobytes(),
    }
    bag = write_bag(tmp_path, kind, [("/top", "sensor_msgs/msg/PointCloud2", BAG_NS, packed)])

    config = ROSInjectionConfig(
        bag, name, {}, standing_daemon.host, standing_daemon.port, adapter_overrides={"/top": LidarAdapter}
    )
    RosbagInjector(config).run()

    with standing_daemon.connect() as client:
        (message,) = client.topic_handler(name, "/top").get_data_streamer()
    lidar = message.get_data(Lidar)
    assert (lidar.x, lidar.y, lidar.z) == ([1.5, -1.0], [2.5, 0.0], [3.5, 0.25])
    assert (lidar.beam_id, lidar.intensity) == ([7, 65535], None)
    assert message.timestamp_ns == STAMP_NS
