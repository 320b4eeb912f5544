"""ROS bags: ROS 1 `.bag`, ROS 2 `.db3` and `.mcap`, and folders of ROS 2 bags.

A ROS topic becomes a topic of the same name; the adapters of `mosaicolabs.ros_bridge` map its type to a data
class. Types without an adapter are listed as skipped, with their counts.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ._reader_api import Recording, RecordingError

if TYPE_CHECKING:
    from mosaicolabs.ros_bridge._recording import BagOptions

_MAGIC = {".bag": b"#ROSBAG V", ".db3": b"SQLite format 3\0", ".mcap": b"\x89MCAP0\r\n"}
_METADATA = b"rosbag2_bagfile_information"


class RosbagReader:
    """Reads ROS bags; needs the extra `ros`."""

    name = "rosbag"
    description = "ROS bag (.bag, .db3, .mcap, folder of ROS 2)"
    options = {  # noqa: RUF012 - a member of the protocol Reader
        "ros_distro": "distribution that recorded a bag without definitions, such as ros2_humble",
        "msgs": "definitions of message types: PACKAGE:FOLDER of .msg files, several joined by commas",
        "image_format": "png (smaller, the default) or raw (faster)",
    }

    def sniff(self, path: Path) -> bool:
        """Whether the first bytes match the extension, or the folder has the metadata of a bag."""
        magic = _METADATA if path.is_dir() else _MAGIC.get(path.suffix)
        file = path / "metadata.yaml" if path.is_dir() else path
        if magic is None or not file.is_file():
            return False
        with file.open("rb") as opened:
            return opened.read(len(magic)) == magic

    def open(self, path: Path, **options: str) -> Recording:
        """Reads the index and finds an adapter and a definition for every topic."""
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
    from mosaicolabs.ros_bridge._recording import BagOptions
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
    )
