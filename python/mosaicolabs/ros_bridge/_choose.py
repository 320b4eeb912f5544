"""What becomes of each topic of a bag: which class its messages get, or why it is skipped."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa
from rosbags.typesys import Stores

from mosaicolabs.ingest import RecordingError, Skipped
from mosaicolabs.ingest.containers import Channel
from mosaicolabs.models import Serializable

from ._bag import ros_type
from ._decode import UndecodableError
from ._generic import GenericAdapter, generic_adapter
from .adapter_base import ROSAdapterBase
from .loader import ROSLoader
from .ros_bridge import Adapter, ROSBridge, ros_types

GENERIC, RAW = "generic", "raw"
"""Values of `--as` beside ontology tags."""

_RAW_COLUMNS = pa.schema({"data": pa.binary()})
RAW_TAG = "raw_message"


@dataclass(frozen=True)
class BagOptions:
    """Options for reading a bag.

    Attributes:
        topics: Patterns as in `ROSLoader`; None: all.
        store: Distribution whose types a bag without definitions has.
        custom_types: Definitions by type name.
        adapters: Adapters by ROS topic, instead of the registered ones.
        adapter_options: Arguments for `translate` of the adapters.
        known_only: Skip types without an adapter, instead of making a class from their definition.
        keep_raw: Store the bytes of every message in a further topic, `TOPIC/raw`.
        classes: The ontology tag, `generic` or `raw` by pattern of ROS topics; later ones win.
    """

    topics: Sequence[str] | None = None
    store: Stores = Stores.EMPTY
    custom_types: Mapping[str, str | Path] = field(default_factory=dict)
    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    adapter_options: Mapping[str, Any] = field(default_factory=dict)
    known_only: bool = False
    keep_raw: bool = False
    classes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TypedTopic:
    """The messages of one type in one ROS topic.

    `lost` are those that the bag lists or begins and that cannot be read; `messages` does not count them.
    """

    topic: str
    msg_type: str
    messages: int
    lost: int
    channel: Channel

    @property
    def source(self) -> str:
        return f"{self.topic} ({self.msg_type or 'no type'})"


def typed_topics(loader: ROSLoader) -> list[TypedTopic]:
    """The selected topics; of several types in a topic, the one with the most messages comes first."""
    scan = loader._open().scan
    counts: Counter[tuple[str, str]] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    channels: dict[tuple[str, str], Channel] = {}
    for channel in loader._channels():
        key = channel.topic, ros_type(channel)
        counts[key] += scan.counts[channel]
        lost[key] += scan.lost[channel]
        known = channels.setdefault(key, channel)
        if scan.counts[channel] > scan.counts[known]:
            channels[key] = channel
    ordered = sorted(counts, key=lambda key: (key[0], -counts[key]))
    return [TypedTopic(*key, counts[key], lost[key], channels[key]) for key in ordered]


def choose_adapters(
    loader: ROSLoader, topics: list[TypedTopic], options: BagOptions, skipped: list[Skipped]
) -> dict[TypedTopic, Adapter]:
    """The adapter of each topic that can be stored; others, and the reasons, are appended to `skipped`.

    Raises:
        RecordingError: An adapter that the caller named does not fit.
    """
    found: dict[TypedTopic, Adapter] = {}
    classes: dict[str, type[Serializable]] = {}
    for topic in topics:
        if not topic.messages + topic.lost:
            skipped.append(Skipped(topic.source, 0, "no messages"))
            continue
        try:
            adapter = _adapter(loader, topic, options, skipped)
            data_class = adapter.ontology_data_type()
        except _NoAdapterError as error:
            skipped.append(Skipped(topic.source, topic.messages, str(error)))
        except RecordingError:
            raise
        except ValueError as error:  # a class of the user has the tag of the adapter
            skipped.append(Skipped(topic.source, topic.messages, str(error)))
        else:
            if classes.setdefault(topic.topic, data_class) is data_class:
                found[topic] = adapter
            else:
                reason = f"a topic has one class; that of this topic is {classes[topic.topic].__name__}"
                skipped.append(Skipped(topic.source, topic.messages, reason))
    return found


def raw_adapter(msg_type: str) -> Adapter:
    """The adapter of messages that are stored as they are."""
    return generic_adapter(RAW_TAG, msg_type, _RAW_COLUMNS)


def is_raw(adapter: Adapter) -> bool:
    """Whether the adapter stores messages as they are."""
    return issubclass(adapter, GenericAdapter) and adapter.ontology_data_type().ontology_tag() == RAW_TAG


def definition_metadata(topic: TypedTopic) -> dict[str, str]:
    """What a faithful export needs beside the values."""
    channel = topic.channel
    found = {"encoding": channel.encoding}
    if channel.schema_encoding:
        found["definition_encoding"] = channel.schema_encoding
        try:
            found["definition"] = channel.schema.decode("utf-8")
        except UnicodeDecodeError:
            found["definition_hex"] = channel.schema.hex()
    return found


class _NoAdapterError(Exception):
    """A topic is skipped; the text says why."""


def _adapter(loader: ROSLoader, topic: TypedTopic, options: BagOptions, skipped: list[Skipped]) -> Adapter:
    override = options.adapters.get(topic.topic)
    if override is not None:
        if topic.msg_type not in ros_types(override):
            types = ", ".join(ros_types(override))
            raise RecordingError(f"adapter '{override.__name__}' translates {types}, not {topic.source}")
        return override
    fitting = [tag for pattern, tag in options.classes.items() if fnmatchcase(topic.topic, pattern)]
    wanted = fitting[-1] if fitting else None
    if wanted == RAW:
        return raw_adapter(topic.msg_type)
    if wanted not in (None, GENERIC):
        return _adapter_of_tag(topic, str(wanted))
    adapter = None if wanted == GENERIC else ROSBridge.get_adapter(topic.msg_type)
    if adapter is not None:
        return adapter
    if options.known_only and wanted is None:
        raise _NoAdapterError("no adapter for this type; register one to store it")
    try:
        tag, schema = loader._definitions().columns(topic.channel)
        return generic_adapter(tag, topic.msg_type, schema)
    except (UndecodableError, ValueError) as error:
        skipped.append(Skipped(topic.source, 0, f"stored as bytes ({RAW_TAG}): {error}"))
        return raw_adapter(topic.msg_type)


def _adapter_of_tag(topic: TypedTopic, tag: str) -> Adapter:
    fitting: dict[str, Adapter] = {}
    every: type[Any] = ROSAdapterBase  # abstract
    for adapter in (*ROSBridge.get_adapters().values(), *_subclasses(every)):
        if not hasattr(adapter, "ros_msgtype") or topic.msg_type not in ros_types(adapter):
            continue
        if not issubclass(adapter, GenericAdapter):
            fitting.setdefault(adapter.ontology_data_type().ontology_tag(), adapter)
    if tag not in fitting:
        possible = ", ".join(sorted([*fitting, GENERIC, RAW]))
        raise RecordingError(f"{topic.source} cannot be stored as `{tag}`; possible are {possible}")
    return fitting[tag]


def _subclasses(base: Adapter) -> Iterator[Adapter]:
    for adapter in base.__subclasses__():
        yield adapter
        yield from _subclasses(adapter)
