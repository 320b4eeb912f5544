"""Writers of ROS bags: ROS 1 (`ros1`) and ROS 2 (`ros2`, in SQLite or MCAP files)."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaicolabs.helpers.optional_packages import import_optional
from mosaicolabs.models import Message

from ._errors import ExportError, NotExported
from ._options import choice
from ._selection import SelectedTopic, Selection
from ._writer_api import Advance, ExportPlan, Part

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

    from mosaicolabs.ros_bridge.ros_bridge import Adapter

# Types that the distributions of rosbags lack.
_MORE_TYPES = {
    "nmea_msgs/msg/Sentence": "std_msgs/Header header\nstring sentence",
    "tf2_msgs/msg/TFMessage": "geometry_msgs/TransformStamped[] transforms",
}
_MORE_TYPES_OF_ROS1 = {"tf/msg/tfMessage": _MORE_TYPES["tf2_msgs/msg/TFMessage"]}
_RENAMED = ("timestamp_ns_", "recording_timestamp_ns_")
_OPTIONS = {
    "ros_distro": "distribution whose definitions of types are written",
    "msgs": "definitions of message types: PACKAGE:FOLDER of .msg files, several joined by commas",
}


@dataclass(frozen=True)
class _Channel:
    """A topic of the bag."""

    topic: SelectedTopic
    ros_topic: str
    ros_type: str
    fields: Callable[[Message], dict[str, Any]]


class _BagWriter(ABC):
    """A writer with one part, the bag."""

    name: str
    distribution: str
    is_ros1: bool

    def plan_bag(
        self, selection: Selection, write: "_Write", ros_distro: str | None, msgs: str
    ) -> ExportPlan:
        """Finds an adapter and a type for each topic."""
        try:
            import_optional("rosbags", f"format {self.name}")
        except ModuleNotFoundError as error:
            raise ExportError(str(error)) from error
        store = _types(ros_distro or self.distribution, msgs, is_ros1=self.is_ros1)
        found = [_channel(selection, topic, store) for topic in selection.topics]
        channels = [channel for channel in found if isinstance(channel, _Channel)]
        skipped = [skip for skip in found if isinstance(skip, NotExported)]
        if not channels:
            return ExportPlan((), tuple(skipped))
        names = tuple(channel.topic.name for channel in channels)
        part = Part("", names, partial(self._write, selection, store, channels, write))
        return ExportPlan((part,), tuple(skipped))

    def _write(
        self,
        selection: Selection,
        store: "Typestore",
        channels: list[_Channel],
        write: "_Write",
        path: Path,
        advance: Advance,
    ) -> int:
        from mosaicolabs.ros_bridge._encode import encoder

        encode = {c.ros_type: encoder(store, c.ros_type, is_ros1=self.is_ros1) for c in channels}
        by_name = {channel.topic.name: channel for channel in channels}
        count = 0
        with write(path) as bag:
            connections = {c.topic.name: self.connect(bag, c, store) for c in channels}
            for name, message in selection.messages([channel.topic for channel in channels]):
                channel = by_name[name]
                try:
                    raw = encode[channel.ros_type](channel.fields(message))
                except Exception as error:  # adapters of users may raise anything
                    raise _unrepresented(channel, message, error) from error
                try:
                    bag.write(connections[name], _bag_time(message), raw)
                except (struct.error, OverflowError) as error:  # no bag has times before 1970
                    raise _unrepresented(channel, message, error) from error
                count += 1
                advance(1, channel.topic.message_bytes)
        return count

    @abstractmethod
    def connect(self, bag: Any, channel: _Channel, store: "Typestore") -> Any:
        """Adds a topic to the bag."""


_Write = Callable[[Path], Any]
"""Creates a bag, as a context manager with `write`."""


class Ros1Writer(_BagWriter):
    """One ROS 1 bag."""

    name = "ros1"
    description = "ROS 1 bag (.bag)"
    distribution = "ros1_noetic"
    is_ros1 = True
    options = {  # noqa: RUF012 - a member of the protocol Writer
        **_OPTIONS,
        "compression": "none (the default), lz4, bz2",
    }

    def plan(
        self,
        selection: Selection,
        *,
        ros_distro: str | None = None,
        msgs: str = "",
        compression: str = "none",
    ) -> ExportPlan:
        """One file."""
        codec = choice("compression", compression, ("none", "lz4", "bz2"))

        def write(path: Path) -> Any:
            from rosbags.rosbag1 import Writer

            bag = Writer(path)
            if codec != "none":
                bag.set_compression(Writer.CompressionFormat[codec.upper()])
            return bag

        return self.plan_bag(selection, write, ros_distro, msgs)

    def connect(self, bag: Any, channel: _Channel, store: "Typestore") -> Any:
        """Adds a topic to the bag."""
        return bag.add_connection(channel.ros_topic, channel.ros_type, typestore=store)


class Ros2Writer(_BagWriter):
    """A folder with a ROS 2 bag."""

    name = "ros2"
    description = "ROS 2 bag (a folder with a .db3 or .mcap file)"
    distribution = "ros2_humble"
    is_ros1 = False
    options = {  # noqa: RUF012 - a member of the protocol Writer
        "storage": "sqlite3 (the default), mcap",
        **_OPTIONS,
        "compression": "none (the default), zstd: each message on its own",
    }

    def plan(
        self,
        selection: Selection,
        *,
        storage: str = "sqlite3",
        ros_distro: str | None = None,
        msgs: str = "",
        compression: str = "none",
    ) -> ExportPlan:
        """One folder."""
        plugin = choice("storage", storage, ("sqlite3", "mcap"))
        codec = choice("compression", compression, ("none", "zstd"))

        def write(path: Path) -> Any:
            from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

            bag = Writer(path, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin[plugin.upper()])
            if codec != "none":
                bag.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
            return bag

        return self.plan_bag(selection, write, ros_distro, msgs)

    def connect(self, bag: Any, channel: _Channel, store: "Typestore") -> Any:
        """Adds a topic to the bag, with the QoS of its bag."""
        from rosbags.rosbag2.metadata import parse_qos

        qos = parse_qos(channel.topic.metadata.get("ros_qos") or [])
        return bag.add_connection(
            channel.ros_topic, channel.ros_type, typestore=store, offered_qos_profiles=qos
        )


def _types(distribution: str, msgs: str, *, is_ros1: bool) -> "Typestore":
    from rosbags.typesys import Stores, get_types_from_msg

    from mosaicolabs.ros_bridge._decode import given_types
    from mosaicolabs.ros_bridge.registry import folder_sources

    names = [store.value for store in Stores if store.value.startswith("ros1" if is_ros1 else "ros2")]
    custom: dict[str, str | Path] = {}
    for item in filter(None, msgs.split(",")):
        package, colon, folder = item.partition(":")
        if not colon:
            raise ExportError(f"option msgs: `{item}` is not of the form PACKAGE:FOLDER")
        custom |= folder_sources(package, folder)
    store = given_types(Stores(choice("ros_distro", distribution, names)), custom)
    for name, text in {**_MORE_TYPES, **(_MORE_TYPES_OF_ROS1 if is_ros1 else {})}.items():
        if name not in store.fielddefs:
            store.register(get_types_from_msg(text, name))
    return store


def _channel(selection: Selection, topic: SelectedTopic, store: "Typestore") -> _Channel | NotExported:
    """How a topic is written: in the type that its bag had, else in that of an adapter of its class."""
    from mosaicolabs.ros_bridge import ROSBridge

    data_class = topic.ontology
    adapters = [] if data_class is None else ROSBridge.adapters_to_ros(data_class)
    ros_topic = str(topic.metadata.get("ros_topic", topic.name))
    recorded = [name.strip() for name in str(topic.metadata.get("ros_type", "")).split(",")]
    if not adapters:
        if len(recorded) == 1 and _define(recorded[0], topic, store):
            return _Channel(topic, ros_topic, recorded[0], _same_fields)
        return NotExported(topic.name, f"no adapter translates its class ({topic.ontology_tag}) to ROS")
    for ros_type in recorded:
        for adapter in adapters:
            if ros_type in _all_types(adapter) and ros_type in store.fielddefs:
                return _Channel(topic, ros_topic, ros_type, _translated(adapter, ros_type, store))
    first = next((message for _, message in selection.messages([topic])), None)
    if first is None:
        return NotExported(topic.name, "it has no messages in the selection")
    types = [(adapter.export_type(first.data), adapter) for adapter in adapters]
    for ros_type, adapter in types:
        if ros_type in store.fielddefs:
            return _Channel(topic, ros_topic, ros_type, _translated(adapter, ros_type, store))
    names = ", ".join(name for name, _ in types)
    return NotExported(topic.name, f"the distribution does not define {names}; give option msgs")


def _translated(adapter: "Adapter", ros_type: str, store: "Typestore") -> Callable[[Message], dict[str, Any]]:
    """The fields of a message by its adapter, with the header if the type has one."""
    from mosaicolabs.ros_bridge.ros_message import header_fields

    has_header = "header" in dict(store.fielddefs[ros_type][1])

    def fields(message: Message) -> dict[str, Any]:
        found = adapter.to_dict(message.data, ros_type)
        if has_header:
            found = {**found, "header": header_fields(getattr(message.data, "header", None))}
        return found

    return fields


def _define(ros_type: str, topic: SelectedTopic, store: "Typestore") -> bool:
    """Defines the type of a topic whose columns are the fields of its ROS definition; False for others."""
    from mosaicolabs.ros_bridge._decode import parse_definition
    from mosaicolabs.ros_bridge._generic import generic_tag

    text, encoding = topic.metadata.get("definition"), topic.metadata.get("definition_encoding")
    if topic.ontology_tag != generic_tag(ros_type) or not isinstance(text, str):
        return False
    if encoding not in ("ros1msg", "ros2msg", "ros2idl"):
        return False
    types = parse_definition(text, ros_type, is_idl=encoding == "ros2idl")
    # Definitions of the distribution take precedence: headers of ROS 1 and ROS 2 differ.
    store.register({name: fields for name, fields in types.items() if name not in store.fielddefs})
    return True


def _unrepresented(channel: _Channel, message: Message, error: Exception) -> ExportError:
    return ExportError(
        f"topic `{channel.topic.name}`, message at {message.timestamp_ns} ns, as {channel.ros_type}: {error}"
    )


def _same_fields(message: Message) -> dict[str, Any]:
    """The columns as fields; those with the names of times have a `_` behind them."""
    columns = message.data.model_dump()
    return {name.removesuffix("_") if name in _RENAMED else name: value for name, value in columns.items()}


def _all_types(adapter: "Adapter") -> tuple[str, ...]:
    types = adapter.ros_msg_type()
    return (types,) if isinstance(types, str) else tuple(types)


def _bag_time(message: Message) -> int:
    recorded = message.recording_timestamp_ns
    return message.timestamp if recorded is None else recorded
