"""A message of a bag, decoded but not yet translated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mosaicolabs.models.header import Header, Time


@dataclass
class ROSHeader:
    """The header of a ROS message.

    Attributes:
        seq: Counter of the publisher; None in ROS 2, which has none.
        frame_id: Coordinate frame of the data.
        stamp: Acquisition time.

    Source: `std_msgs/Header`.

    Example:
        >>> header = ROSHeader.from_dict({"stamp": {"sec": 5, "nanosec": 7}, "frame_id": "imu"})
        >>> header.stamp.to_nanoseconds(), header.translate().frame_id
        (5000000007, 'imu')
    """

    seq: int | None
    frame_id: str
    stamp: Time

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ROSHeader":
        """Reads the `header` of a decoded message.

        Raises:
            ValueError: It is not a header, or its stamp is not a time.
        """
        try:
            stamp = data["stamp"]
            return cls(data.get("seq"), data["frame_id"], Time(sec=stamp["sec"], nanosec=stamp["nanosec"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"malformed ROS header {data!r}: {error!r}; it needs stamp.sec, stamp.nanosec and frame_id"
            ) from error

    def translate(self, **kwargs: Any) -> Header:
        """The header of a data class; keyword arguments, which adapters may have, are ignored."""
        return Header(stamp=self.stamp, frame_id=self.frame_id, seq=self.seq)


def header_fields(header: Header | None) -> dict[str, Any] | None:
    """The fields of a ROS header; `seq` is for ROS 1, which has it."""
    if header is None:
        return None
    stamp = {"sec": header.stamp.sec, "nanosec": header.stamp.nanosec}
    return {"seq": header.seq, "stamp": stamp, "frame_id": header.frame_id}


@dataclass
class ROSMessage:
    """A message of a bag.

    Attributes:
        bag_timestamp_ns: Time of recording, ns since the Unix epoch.
        topic: Name of the ROS topic.
        msg_type: Such as `sensor_msgs/msg/Imu`; names of ROS 1 are written this way too.
        data: Fields and constants by their ROS names, nested messages as dicts, arrays as lists. None:
            the message could not be decoded.
        header: Of `data["header"]`; None if there is none.

    Raises:
        ValueError: `data["header"]` is malformed.
    """

    bag_timestamp_ns: int
    topic: str
    msg_type: str
    data: dict[str, Any] | None
    header: ROSHeader | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        header = self.data.get("header") if self.data else None
        if header is not None:
            self.header = ROSHeader.from_dict(header)
