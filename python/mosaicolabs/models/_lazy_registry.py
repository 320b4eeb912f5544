"""Data classes by tag, ours and those of other packages; each is imported when its tag is first used."""

import warnings
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

ENTRY_POINTS = "mosaicolabs.ontologies"
"""Group of entry points; each names a module or a class, whose import registers data classes."""

_RESERVED = {
    "data.base_types": (
        "integer8 integer16 integer32 integer64 unsigned8 unsigned16 unsigned32 unsigned64 "
        "floating16 floating32 floating64 boolean string large_string"
    ),
    "data.geometry": "vector_2_d vector_3_d vector_4_d point_2_d point_3_d quaternion transform pose",
    "data.dynamics": "force_torque",
    "data.kinematics": "velocity acceleration motion_state",
    "data.roi": "roi",
    "sensors.camera": "camera_info",
    "sensors.gps": "gps_status gps nmea_sentence",
    "sensors.image": "image",
    "sensors._compressed": "compressed_image",
    "sensors.imu": "imu",
    "sensors.magnetometer": "magnetometer",
    "sensors.robot": "robot_joint",
    "sensors.temperature": "temperature",
    "sensors.pressure": "pressure",
    "sensors.range": "range",
}
_YIELDING = {
    "ros.battery_state": "battery_state",
    "ros.frame_transform": "frame_transform",
    "ros.point_cloud": "point_cloud2 point_field",
    "sensors.joy": "joy",
    "futures.laser": "laser_scan multi_echolaser_scan",
    "futures.lidar": "lidar",
    "futures.radar": "radar",
    "futures.depth_camera": "rgbd_camera stereo_camera tof_camera",
}


def _by_tag(tags: dict[str, str]) -> dict[str, str]:
    return {
        tag: f"mosaicolabs.models.{module}" for module, of_module in tags.items() for tag in of_module.split()
    }


RESERVED = _by_tag(_RESERVED)
"""Modules of the tags of Mosaico 0.2, which no class of a user can have."""

YIELDING = _by_tag(_YIELDING)
"""Modules of later tags: a user may have defined a class of that tag before these existed."""


def import_class_of(tag: str) -> None:
    """Imports the class of a tag, if this or another package has one; the import registers it."""
    module = RESERVED.get(tag) or YIELDING.get(tag)
    if module is not None:
        import_module(module)
    elif tag:
        import_entry_points()


@cache
def import_entry_points() -> None:
    """Imports the data classes of other packages, once per process; a failure is a warning."""
    for entry_point in entry_points(group=ENTRY_POINTS):
        try:
            entry_point.load()
        except Exception as error:  # a broken package must not make every topic unreadable
            warnings.warn(
                f"data classes of entry point '{entry_point.name}' ({entry_point.value}) cannot be imported: "
                f"{type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=1,
            )
