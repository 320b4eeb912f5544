"""Data classes that are imported when their tag is first used.

Until then their tags are free for classes of users, who may have defined their own before these existed.
"""

from importlib import import_module

_MODULES = {
    "battery_state": "mosaicolabs.models.ros.battery_state",
    "frame_transform": "mosaicolabs.models.ros.frame_transform",
    "joy": "mosaicolabs.models.sensors.joy",
    "laser_scan": "mosaicolabs.models.futures.laser",
    "lidar": "mosaicolabs.models.futures.lidar",
    "multi_echolaser_scan": "mosaicolabs.models.futures.laser",
    "point_cloud2": "mosaicolabs.models.ros.point_cloud",
    "point_field": "mosaicolabs.models.ros.point_cloud",
    "radar": "mosaicolabs.models.futures.radar",
    "rgbd_camera": "mosaicolabs.models.futures.depth_camera",
    "stereo_camera": "mosaicolabs.models.futures.depth_camera",
    "tof_camera": "mosaicolabs.models.futures.depth_camera",
}


def import_class_of(tag: str) -> None:
    """Imports the class of a tag, if it is one of these; the import registers it."""
    if tag in _MODULES:
        import_module(_MODULES[tag])
