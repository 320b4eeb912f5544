"""Data classes of later Mosaico versions. Each is imported at first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .depth_camera import RGBDCamera, StereoCamera, ToFCamera
    from .laser import LaserScan, MultiEchoLaserScan
    from .lidar import Lidar
    from .radar import Radar

__all__ = [
    "LaserScan",
    "Lidar",
    "MultiEchoLaserScan",
    "RGBDCamera",
    "Radar",
    "StereoCamera",
    "ToFCamera",
]

_MODULES = {
    "LaserScan": "laser",
    "Lidar": "lidar",
    "MultiEchoLaserScan": "laser",
    "RGBDCamera": "depth_camera",
    "Radar": "radar",
    "StereoCamera": "depth_camera",
    "ToFCamera": "depth_camera",
}


def __getattr__(name: str) -> Any:
    # One by one: a class of the user may have the tag of another one.
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
