"""A bag as a recording: topics become topics of a sequence, messages are translated while they are read."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores

from mosaicolabs._streams.ordered_executor import ordered_map
from mosaicolabs.helpers import sanitize_topic_name
from mosaicolabs.ingest import FailedMessage, Messages, Recording, RecordingError, Skipped, TopicSpec
from mosaicolabs.models import Message, Serializable

from ._bag import BagError, NoMatchingTopicError, ros_type
from ._decode import UndecodableError
from ._names import legal_topic_names
from .loader import LoaderErrorPolicy, ROSLoader
from .ros_bridge import Adapter, ROSBridge, ros_types
from .ros_message import ROSMessage


@dataclass(frozen=True)
class BagOptions:
    """Options for reading a bag.

    Attributes:
        topics: Patterns as in `ROSLoader`; None: all.
        store: Distribution whose types a bag without definitions has.
        custom_types: Definitions by type name.
        adapters: Adapters by ROS topic, instead of the registered ones.
        adapter_options: Arguments for `translate` of the adapters.
    """

    topics: Sequence[str] | None = None
    store: Stores = Stores.EMPTY
    custom_types: Mapping[str, str | Path] = field(default_factory=dict)
    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    adapter_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _TypedTopic:
    """The messages of one type in one ROS topic.

    `lost` are those that the bag lists or begins and that cannot be read; `messages` does not count them.
    """

    topic: str
    msg_type: str
    messages: int
    lost: int
    qos: str

    @property
    def source(self) -> str:
        return f"{self.topic} ({self.msg_type})"


@dataclass(frozen=True, kw_only=True)
class BagRecording(Recording):
    """A bag, of which only the selected topics are decoded.

    Attributes:
        loader: Loader of the topics that are stored.
        options: Options the bag was opened with.
    """

    loader: ROSLoader
    options: BagOptions

    def select(self, patterns: Sequence[str]) -> "BagRecording":
        """The same bag, restricted to topics whose ROS names match the patterns."""
        return open_bag(self.loader.path, replace(self.options, topics=patterns))


def open_bag(path: Path, options: BagOptions) -> BagRecording:
    """Reads the index of a bag and finds an adapter and a definition for every topic.

    Raises:
        FileNotFoundError: The bag does not exist.
        ValueError: The path is not that of a bag.
        BagError: The bag cannot be opened.
        NoMatchingTopicError: No topic matches the patterns.
        RecordingError: Nothing can be stored: no topic has both an adapter and a definition.
    """
    skipped: list[Skipped] = []
    loader = ROSLoader(
        path, options.topics, options.store, LoaderErrorPolicy.IGNORE, dict(options.custom_types)
    )
    with loader:
        channels = _channels(loader)
        skipped += loader._notes()
        if not channels:
            patterns = " ".join(options.topics or [])
            if damage := loader._open().scan.damage:
                raise BagError(f"{path} cannot be opened: {damage[0]}")
            problem = f"no topic matches {patterns}" if patterns else "the bag is empty"
            raise NoMatchingTopicError(f"{path}: {problem}")
        adapters = _adapters(channels, options.adapters, skipped)
        if not adapters:
            listed = "; ".join(f"{skip.source}: {skip.reason}" for skip in skipped)
            raise RecordingError(f"{path}: nothing can be stored: {listed}")
        loader._narrow(
            {channel.topic for channel in adapters},
            {channel.topic for channel, adapter in adapters.items() if adapter.octets_as_bytes},
        )
        _check_definitions(loader)
        metadata, size_bytes = loader._open().scan.metadata, loader._open().size_bytes
    names = legal_topic_names({channel.topic for channel in adapters})
    skipped += [
        Skipped(topic, 0, f"illegal topic name; stored as {name}")
        for topic, name in names.items()
        if name != sanitize_topic_name(topic)
    ]
    specs = _specs(size_bytes, channels, adapters, names)
    return BagRecording(
        topics=specs,
        messages=partial(_messages, loader, adapters, names, dict(options.adapter_options)),
        metadata={"source": path.resolve().name, "source_format": "rosbag", **metadata},
        skipped=tuple(skipped),
        loader=loader,
        options=options,
    )


def _channels(loader: ROSLoader) -> list[_TypedTopic]:
    scan = loader._open().scan
    counts: Counter[tuple[str, str]] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    qos: dict[tuple[str, str], str] = {}
    for channel in loader._channels():
        key = channel.topic, ros_type(channel)
        counts[key] += scan.counts[channel]
        lost[key] += scan.lost[channel]
        qos.setdefault(key, dict(channel.metadata).get("offered_qos_profiles", ""))
    # Of several types in a topic, the one with the most messages determines its class.
    ordered = sorted(counts, key=lambda key: (key[0], -counts[key]))
    return [_TypedTopic(*key, counts[key], lost[key], qos[key]) for key in ordered]


def _adapters(
    channels: list[_TypedTopic], overrides: Mapping[str, Adapter], skipped: list[Skipped]
) -> dict[_TypedTopic, Adapter]:
    """The adapter of each channel that can be stored; other channels are appended to `skipped`."""
    found: dict[_TypedTopic, Adapter] = {}
    classes: dict[str, type[Serializable]] = {}
    for channel in channels:
        override = overrides.get(channel.topic)
        if override is not None and channel.msg_type not in ros_types(override):
            types = ", ".join(ros_types(override))
            raise RecordingError(f"adapter '{override.__name__}' translates {types}, not {channel.source}")
        adapter = override or ROSBridge.get_adapter(channel.msg_type)
        if adapter is None:
            reason = "no adapter for this type; register one to store it"
        else:
            reason = _reason_to_skip(channel, adapter, classes)
            if not reason:
                found[channel] = adapter
                continue
        skipped.append(Skipped(channel.source, channel.messages, reason))
    return found


def _reason_to_skip(channel: _TypedTopic, adapter: Adapter, classes: dict[str, type[Serializable]]) -> str:
    """Why a channel cannot be stored; empty if it can. `classes`: the class of each topic so far."""
    if not channel.messages + channel.lost:
        return "no messages"
    try:
        data_class = adapter.ontology_data_type()
    except ValueError as error:  # a class of the user has its tag
        return str(error)
    if classes.setdefault(channel.topic, data_class) is not data_class:
        return f"a topic has one class; that of this topic is {classes[channel.topic].__name__}"
    return ""


def _check_definitions(loader: ROSLoader) -> None:
    """Raises if no topic has a definition; messages of a single topic without one count as failed."""
    decoders = loader._decoders().values()
    errors = [decode for decode in decoders if isinstance(decode, UndecodableError)]
    if errors and len(errors) == len(decoders):
        raise RecordingError(f"{loader.path}: {errors[0]}") from errors[0]


def _specs(
    size_bytes: int,
    channels: list[_TypedTopic],
    adapters: dict[_TypedTopic, Adapter],
    names: dict[str, str],
) -> tuple[TopicSpec, ...]:
    share = size_bytes / max(1, sum(channel.messages for channel in channels))
    specs = []
    for topic, name in names.items():
        stored = [channel for channel in adapters if channel.topic == topic]
        messages = sum(channel.messages for channel in stored)
        lost = sum(channel.lost for channel in stored)
        qos = next((channel.qos for channel in stored if channel.qos), "")
        types = ", ".join(channel.msg_type for channel in stored)
        specs.append(
            TopicSpec(
                name=name,
                ontology=adapters[stored[0]].ontology_data_type(),
                messages=messages + lost,
                size_bytes=round(share * messages),
                metadata={"ros_topic": topic, "ros_type": types, **({"ros_qos": qos} if qos else {})},
            )
        )
    return tuple(sorted(specs, key=lambda spec: spec.name))


def _messages(
    loader: ROSLoader,
    adapters: dict[_TypedTopic, Adapter],
    names: dict[str, str],
    options: dict[str, Any],
) -> Messages:
    by_source = {(channel.topic, channel.msg_type): adapter for channel, adapter in adapters.items()}

    def jobs() -> Iterator[tuple[str, Callable[[], Message | FailedMessage], bool]]:
        for message, error in loader:
            adapter = by_source.get((message.topic, message.msg_type))
            if adapter is None:
                continue
            name = names[message.topic]
            if error is not None:
                yield name, partial(FailedMessage, str(error)), False
            else:
                yield name, partial(_translate, adapter, message, options), adapter.octets_as_bytes

    # First, since the end of a damaged bag raises.
    for channel in adapters:
        if channel.lost:
            reason = "the bag lists these messages, but they are missing or in a damaged part"
            yield names[channel.topic], FailedMessage(reason, channel.lost)
    with loader:
        yield from ordered_map(jobs())


def _translate(adapter: Adapter, message: ROSMessage, options: dict[str, Any]) -> Message | FailedMessage:
    try:
        return adapter.translate(message, **options)
    except Exception as error:  # adapters of users may raise anything
        return FailedMessage(str(error))
