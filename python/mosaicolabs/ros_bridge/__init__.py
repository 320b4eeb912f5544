"""ROS bags and messages: loader, adapters, injector.

Needs `rosbags`: `pip install rosbags`. Importing this package registers the adapters and the data
classes `battery_state` and `frame_transform`.

Example:
    >>> from mosaicolabs.ros_bridge import ROSBridge, ROSMessage
    >>> data = {"linear": {"x": 1.0, "y": 0.0, "z": 0.0}, "angular": {"x": 0.0, "y": 0.0, "z": 0.5}}
    >>> message = ROSBridge.from_ros_message(ROSMessage(70, "/cmd_vel", "geometry_msgs/msg/Twist", data))
    >>> message.data.linear.x, message.timestamp_ns
    (1.0, 70)
"""

from typing import Any

from mosaicolabs.helpers.optional_packages import import_optional

try:
    from rosbags.typesys import Stores
except ModuleNotFoundError:
    import_optional("rosbags", "mosaicolabs.ros_bridge")  # raises, with the command that installs it
    raise

from . import adapters, data_ontology
from ._bag import BagError, NoMatchingTopicError
from ._decode import UndecodableError
from .adapter_base import ROSAdapterBase, TranslationError
from .injector import RosbagInjector, ROSInjectionConfig
from .loader import LoaderErrorPolicy, ROSLoader
from .registry import ROSTypeRegistry
from .ros_bridge import ROSBridge, register_adapter, register_default_adapter
from .ros_message import ROSHeader, ROSMessage

__all__ = [
    "BagError",
    "LoaderErrorPolicy",
    "NoMatchingTopicError",
    "ROSAdapterBase",
    "ROSBridge",
    "ROSHeader",
    "ROSInjectionConfig",
    "ROSLoader",
    "ROSMessage",
    "ROSTypeRegistry",
    "RosbagInjector",
    "Stores",
    "TranslationError",
    "UndecodableError",
    "adapters",
    "data_ontology",
    "register_adapter",
    "register_default_adapter",
]


def __getattr__(name: str) -> Any:
    # Imported at first use: see mosaicolabs.models._lazy_registry.
    if name in ("PointCloud2", "PointField"):
        return getattr(data_ontology, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
