"""Files of messages that others have encoded: MCAP, ROS 1 bags, ROS 2 bags in SQLite, and folders of them.

Every file is read from its first byte to its last: an index, statistics and `metadata.yaml` are compared with
what is there, never trusted. A damaged part costs nothing but itself.
"""

from ._bag import BagPart
from ._db3 import Db3Part
from ._folder import Container, is_container, nothing_in, open_container
from ._mcap import McapPart
from ._part import Channel, ChannelTable, Part, PartScan, RawMessages

__all__ = [
    "BagPart",
    "Channel",
    "ChannelTable",
    "Container",
    "Db3Part",
    "McapPart",
    "Part",
    "PartScan",
    "RawMessages",
    "is_container",
    "nothing_in",
    "open_container",
]
