"""ROS bags: ROS 1 `.bag`, ROS 2 `.db3` and `.mcap`, folders of such files.

A ROS topic becomes a topic of the same name; the adapters of `mosaicolabs.ros_bridge` map its type to a data
class. Types without an adapter are listed as skipped, with their counts.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ._options import class_option, flag_option
from ._reader_api import Recording, RecordingError
from .containers import is_container

if TYPE_CHECKING:
    from mosaicolabs.ros_bridge._choose import BagOptions


class RosbagReader:
    """Reads ROS bags; needs the extra `ros`."""

    name = "rosbag"
    description = "ROS bag (.bag, .db3, .mcap, also packed with zstd, or a folder of such files)"
    options = {  # noqa: RUF012 - a member of the protocol Reader
        "ros_distro": "distribution that recorded a bag without definitions, such as ros2_humble",
        "msgs": "definitions of message types: PACKAGE:FOLDER of .msg files, several joined by commas",
        "known_only": "true: skip types without a data class",
        "keep_raw": "true: store the bytes of every message too, in topics TOPIC/raw",
        "as": "classes of topics: PATTERN=TAG with an ontology tag, `generic` or `raw`, joined by commas",
        "image_format": "png (smaller, the default) or raw (faster)",
    }

    def sniff(self, path: Path) -> bool:
        """Whether the first bytes are those of a bag, or the folder has such files."""
        return is_container(path)

    def open(self, path: Path, **options: str) -> Recording:
        """Reads every file once and finds an adapter and a definition for every topic."""
        try:
            from mosaicolabs.ros_bridge._recording import open_bag
        except ImportError as error:
            raise RecordingError(f"{path}: {error}") from error
        try:
            return open_bag(path, _bag_options(options))
        except RecordingError:
            raise
        except (OSError, ValueError) as error:
            raise RecordingError(str(error)) from error


def _bag_options(given: dict[str, str]) -> "BagOptions":
    from rosbags.typesys import Stores

    from mosaicolabs.models.sensors import ImageFormat
    from mosaicolabs.ros_bridge._choose import BagOptions
    from mosaicolabs.ros_bridge.registry import folder_sources

    custom_types: dict[str, str | Path] = {}
    for item in filter(None, given.get("msgs", "").split(",")):
        package, colon, folder = item.partition(":")
        if not colon:
            raise RecordingError(f"option msgs: `{item}` is not of the form PACKAGE:FOLDER")
        custom_types |= folder_sources(package, folder)
    image_format = given.get("image_format")
    return BagOptions(
        store=Stores(given.get("ros_distro", Stores.EMPTY.value)),
        custom_types=custom_types,
        adapter_options={"output_format": ImageFormat(image_format)} if image_format else {},
        known_only=flag_option(given, "known_only"),
        keep_raw=flag_option(given, "keep_raw"),
        classes=class_option(given),
    )
