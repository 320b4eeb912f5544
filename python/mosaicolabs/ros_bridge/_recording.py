"""A bag as a recording: topics become topics of a sequence, messages are translated while they are read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mosaicolabs._streams.ordered_executor import ordered_map
from mosaicolabs.helpers import sanitize_topic_name
from mosaicolabs.ingest import FailedMessage, Messages, Recording, RecordingError, Skipped, TopicSpec
from mosaicolabs.models import Message

from ._bag import Bag, BagError, NoMatchingTopicError
from ._choose import (
    BagOptions,
    TypedTopic,
    choose_adapters,
    definition_metadata,
    is_raw,
    raw_adapter,
    typed_topics,
)
from ._decode import UndecodableError
from ._generic import GenericAdapter
from ._names import legal_topic_names
from .loader import LoaderErrorPolicy, ROSLoader
from .ros_bridge import Adapter
from .ros_message import ROSMessage


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
        bag, self.loader._bag = self.loader._bag, None
        return open_bag(self.loader.path, replace(self.options, topics=patterns), bag)


def open_bag(path: Path, options: BagOptions, bag: Bag | None = None) -> BagRecording:
    """Reads every file of a bag once and finds a class for every topic.

    Args:
        path: The bag.
        options: What to do with it.
        bag: The same bag, if it is open already.

    Raises:
        FileNotFoundError: The bag does not exist.
        ValueError: The path is not that of a bag.
        BagError: The bag cannot be opened.
        NoMatchingTopicError: No topic matches the patterns.
        RecordingError: Nothing can be stored: no topic has both an adapter and a definition.
    """
    loader = ROSLoader(
        path, options.topics, options.store, LoaderErrorPolicy.IGNORE, dict(options.custom_types)
    )
    loader._any_encoding = not options.known_only
    loader._use(bag)
    try:
        return _recording(loader, options)
    except BaseException:
        loader.close()
        raise


def _recording(loader: ROSLoader, options: BagOptions) -> BagRecording:
    path, skipped = loader.path, loader._notes()
    topics = typed_topics(loader)
    if not topics:
        patterns = " ".join(options.topics or [])
        if damage := loader._open().scan.damage:
            raise BagError(f"{path} cannot be opened: {damage[0]}")
        problem = f"no topic matches {patterns}" if patterns else "the bag is empty"
        raise NoMatchingTopicError(f"{path}: {problem}")
    adapters = choose_adapters(loader, topics, options, skipped)
    if not adapters:
        listed = "; ".join(f"{skip.source}: {skip.reason}" for skip in skipped)
        raise RecordingError(f"{path}: nothing can be stored: {listed}")
    loader._narrow(
        {topic.topic for topic in adapters},
        bytes_topics={topic.topic for topic, adapter in adapters.items() if adapter.octets_as_bytes},
        bare_topics={t.topic for t, adapter in adapters.items() if issubclass(adapter, GenericAdapter)},
        raw_topics={topic.topic for topic, adapter in adapters.items() if is_raw(adapter)},
    )
    _check_definitions(loader)
    names = legal_topic_names({topic.topic for topic in adapters})
    skipped += [
        Skipped(topic, 0, f"illegal topic name; stored as {name}")
        for topic, name in names.items()
        if name != sanitize_topic_name(topic)
    ]
    raw_names = {topic: f"{name}/raw" for topic, name in names.items()} if options.keep_raw else {}
    specs = _specs(loader._open().size_bytes, topics, adapters, names, raw_names)
    return BagRecording(
        topics=specs,
        messages=partial(_messages, loader, adapters, names, raw_names, dict(options.adapter_options)),
        metadata={
            "source": path.resolve().name,
            "source_format": "rosbag",
            **loader._open().scan.metadata,
        },
        skipped=tuple(skipped),
        loader=loader,
        options=options,
    )


def _check_definitions(loader: ROSLoader) -> None:
    """Raises if no topic has a definition; messages of a single topic without one count as failed."""
    decoders = loader._decoders().values()
    errors = [decode for decode in decoders if isinstance(decode, UndecodableError)]
    if errors and len(errors) == len(decoders):
        raise RecordingError(f"{loader.path}: {errors[0]}") from errors[0]


def _specs(
    size_bytes: int,
    topics: list[TypedTopic],
    adapters: dict[TypedTopic, Adapter],
    names: dict[str, str],
    raw_names: dict[str, str],
) -> tuple[TopicSpec, ...]:
    share = size_bytes / max(1, sum(topic.messages for topic in topics))
    specs = []
    for topic, name in names.items():
        stored = [typed for typed in adapters if typed.topic == topic]
        adapter = adapters[stored[0]]
        messages = sum(typed.messages for typed in stored)
        metadata = {"ros_topic": topic, "ros_type": ", ".join(typed.msg_type for typed in stored)}
        qos = dict(stored[0].channel.metadata).get("offered_qos_profiles")
        if qos and qos != "[]":  # what recorders write that know none
            metadata["ros_qos"] = qos
        definition = definition_metadata(stored[0])
        specs.append(
            TopicSpec(
                name=name,
                ontology=adapter.ontology_data_type(),
                messages=messages + sum(typed.lost for typed in stored),
                size_bytes=round(share * messages),
                metadata={**metadata, **definition} if issubclass(adapter, GenericAdapter) else metadata,
            )
        )
        if raw_names and not is_raw(adapter):
            raw_class = raw_adapter(stored[0].msg_type).ontology_data_type()
            specs.append(TopicSpec(raw_names[topic], raw_class, messages, 0, {**metadata, **definition}))
    return tuple(sorted(specs, key=lambda spec: spec.name))


def _messages(
    loader: ROSLoader,
    adapters: dict[TypedTopic, Adapter],
    names: dict[str, str],
    raw_names: dict[str, str],
    options: dict[str, Any],
) -> Messages:
    by_source = {(typed.topic, typed.msg_type): adapter for typed, adapter in adapters.items()}

    def jobs() -> Iterator[tuple[str, Callable[[], Message | FailedMessage], bool]]:
        for message, error, raw in loader._with_bytes():
            adapter = by_source.get((message.topic, message.msg_type))
            if adapter is None:
                continue
            name = names[message.topic]
            if error is not None:
                yield name, partial(FailedMessage, str(error)), False
            else:
                # The bytes of pictures are worth a thread; generic ones are not decoded any further.
                threaded = adapter.octets_as_bytes and not issubclass(adapter, GenericAdapter)
                yield name, partial(_translate, adapter, message, options), threaded
            if raw_names and not is_raw(adapter):
                yield raw_names[message.topic], partial(_raw, message, raw), False

    # First, since the end of a damaged bag raises.
    for typed in adapters:
        if typed.lost:
            reason = "the bag lists these messages, but they are missing or in a damaged part"
            yield names[typed.topic], FailedMessage(reason, typed.lost)
    with loader:
        yield from ordered_map(jobs())


def _translate(adapter: Adapter, message: ROSMessage, options: dict[str, Any]) -> Message | FailedMessage:
    try:
        return adapter.translate(message, **options)
    except Exception as error:  # adapters of users may raise anything
        return FailedMessage(str(error))


def _raw(message: ROSMessage, raw: bytes) -> Message:
    """The bytes, at the times of the decoded message."""
    stamp_ns = message.header.stamp.to_nanoseconds() if message.header is not None else 0
    return Message(
        timestamp_ns=stamp_ns or message.bag_timestamp_ns,
        recording_timestamp_ns=message.bag_timestamp_ns,
        data=raw_adapter(message.msg_type).ontology_data_type()(data=raw),
    )
