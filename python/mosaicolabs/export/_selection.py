"""The part of a sequence that is exported, as writers read it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from mosaicolabs.helpers.patterns import select_names
from mosaicolabs.models import Message, Serializable, generic_class
from mosaicolabs.models.query.expressions import _QueryExpression

from ._errors import ExportError, NotExported

Window = tuple[int | None, int | None]
"""First time inside, first time past the end, ns since the Unix epoch; None: unbounded."""


class Table(Protocol):
    """Rows as record batches in time order; `mosaicolabs.handlers.Batches`."""

    @property
    def schema(self) -> pa.Schema: ...

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    def __enter__(self) -> "Table": ...

    def __exit__(self, *error: Any) -> None: ...


class _Topic(Protocol):
    """What the selection needs of a `TopicHandler`."""

    @property
    def ontology_tag(self) -> str: ...

    @property
    def user_metadata(self) -> dict[str, Any]: ...

    @property
    def rows_number(self) -> int | None: ...

    @property
    def total_size_bytes(self) -> int: ...

    @property
    def timestamp_ns_min(self) -> int | None: ...

    @property
    def timestamp_ns_max(self) -> int | None: ...

    def batches(
        self, start_timestamp_ns: int | None, end_timestamp_ns: int | None, *, where: Any
    ) -> Table: ...


class SequenceSource(Protocol):
    """What the selection needs of a `SequenceHandler`."""

    @property
    def name(self) -> str: ...

    @property
    def created_datetime(self) -> datetime: ...

    @property
    def user_metadata(self) -> dict[str, Any]: ...

    @property
    def topics(self) -> list[str]: ...

    def get_topic_handler(self, topic_name: str) -> Any: ...

    def batches(
        self,
        topics: list[str] | None,
        start_timestamp_ns: int | None,
        end_timestamp_ns: int | None,
        *,
        where: Any,
    ) -> Table: ...

    def get_data_streamer(
        self, topics: list[str], start_timestamp_ns: int | None, end_timestamp_ns: int | None
    ) -> Any: ...


@dataclass(frozen=True)
class SelectedTopic:
    """One topic of a selection.

    Attributes:
        name: Its name, with a leading slash.
        ontology_tag: Tag of the class of its messages.
        metadata: User metadata.
        messages: Number of its messages inside the window, estimated from the rate unless the window contains
            the whole topic, and without regard to the condition; None: the server does not report it.
        size_bytes: Their share of the size in the store, bytes.
    """

    name: str
    ontology_tag: str
    metadata: dict[str, Any]
    messages: int | None
    size_bytes: int

    @property
    def message_bytes(self) -> float:
        """Mean size of a message in the store, bytes."""
        return self.size_bytes / max(self.messages or 0, 1)

    @property
    def ontology(self) -> type[Serializable] | None:
        """The class of its messages; None if this process does not know it."""
        return Serializable._get_class_type(self.ontology_tag)


class Selection:
    """Topics, times and messages of a sequence that are exported.

    Args:
        source: The sequence.
        patterns: Topics, as in `select_names`. Empty: all.
        window: Times.
        where: Condition on values of messages. It leaves only topics of the class that it is about.

    Attributes:
        topics: The topics that have messages, in the order of the server.
        skipped: Selected topics that have none.

    Raises:
        ExportError: No topic matches, or none of them has messages.
    """

    def __init__(
        self,
        source: SequenceSource,
        patterns: Sequence[str] = (),
        window: Window = (None, None),
        where: _QueryExpression | None = None,
    ) -> None:
        self._source, self.window, self.where = source, window, where
        matching = select_names(source.topics, patterns) if patterns else set(source.topics)
        if not matching:
            have = ", ".join(source.topics) or "no topics"
            raise ExportError(
                f"no topic of sequence `{source.name}` matches {' '.join(patterns)}; it has: {have}"
            )
        tags = condition_tags(where) if where is not None else None
        self._handlers = {name: source.get_topic_handler(name) for name in source.topics if name in matching}
        topics, skipped = [], []
        for name, handler in self._handlers.items():
            share = _share(handler, window)
            if share is None:
                skipped.append(NotExported(name, "it has no messages"))
            elif share == 0.0:
                skipped.append(NotExported(name, "it has no messages in the window of time"))
            elif tags is not None and handler.ontology_tag not in tags:
                skipped.append(NotExported(name, f"the condition is about {', '.join(sorted(tags))}"))
            else:
                topics.append(_selected(name, handler, share))
        if not topics:
            reasons = "; ".join(f"{skip.topic}: {skip.reason}" for skip in skipped)
            raise ExportError(f"nothing to export from sequence `{source.name}`: {reasons}")
        self.topics, self.skipped = tuple(topics), tuple(skipped)

    @property
    def name(self) -> str:
        """Name of the sequence."""
        return self._source.name

    @property
    def metadata(self) -> dict[str, Any]:
        """User metadata of the sequence."""
        return self._source.user_metadata

    @property
    def message_count(self) -> int:
        """Estimated number of messages."""
        return sum(topic.messages or 0 for topic in self.topics)

    @property
    def size_bytes(self) -> int:
        """Share of the size in the store, bytes."""
        return sum(topic.size_bytes for topic in self.topics)

    @property
    def message_bytes(self) -> float:
        """Mean size of a message in the store, bytes."""
        return self.size_bytes / max(self.message_count, 1)

    def described_topics(self) -> dict[str, dict[str, Any]]:
        """What formats without a place for it need of each topic: its class and its metadata."""
        return {
            topic.name: {"ontology_tag": topic.ontology_tag, "user_metadata": topic.metadata}
            for topic in self.topics
        }

    def batches(self, topic: SelectedTopic) -> Table:
        """The rows of one topic with the columns of its class; to be closed.

        Raises:
            ExportError: The condition is about several classes.
        """
        if self.where is not None and len(tags := condition_tags(self.where)) > 1:
            raise ExportError(
                f"the condition is about several classes ({', '.join(sorted(tags))}), a topic has one; "
                "export one class after the other, or all topics into one file"
            )
        table: Table = self._handlers[topic.name].batches(*self.window, where=self.where)
        return table

    def merged(self) -> Table:
        """The rows of all topics merged by time, one struct per class; to be closed."""
        return self._source.batches([topic.name for topic in self.topics], *self.window, where=self.where)

    def messages(self, topics: Iterable[SelectedTopic] | None = None) -> Iterator[tuple[str, Message]]:
        """`(topic name, message)` merged by time.

        Args:
            topics: Topics of the selection whose classes this process knows. None: all.
        """
        chosen = list(self.topics if topics is None else topics)
        names = [topic.name for topic in chosen]
        if self.where is None:
            with closing(self._source.get_data_streamer(names, *self.window)) as streamer:
                yield from streamer
            return
        tags = {topic.name: topic.ontology_tag for topic in chosen}
        with self._source.batches(names, *self.window, where=self.where) as batches:
            classes = {tag: data_class(tag, batches.schema.field(tag).type) for tag in set(tags.values())}
            for batch in batches:
                for row in batch.to_pylist():
                    tag = tags[row["topic"]]
                    yield (
                        row["topic"],
                        Message(
                            timestamp_ns=row["timestamp_ns"],
                            recording_timestamp_ns=row.get("recording_timestamp_ns"),
                            data=classes[tag](**row[tag]),
                        ),
                    )


def data_class(tag: str, columns: pa.StructType) -> type[Serializable]:
    """The class of a tag; one with the columns of the topic if this process does not know it."""
    return Serializable._get_class_type(tag) or generic_class(tag, columns)


def condition_tags(where: _QueryExpression) -> set[str]:
    """Ontology tags of the fields in a condition."""
    if where._is_combination:
        parts = where.value if isinstance(where.value, tuple | list) else (where.value,)
        return set().union(*map(condition_tags, parts))
    return {where.full_path.partition(".")[0]}


def _share(handler: _Topic, window: Window) -> float | None:
    """The part of the topic's time inside the window, between 0 and 1; None without messages."""
    low, high = handler.timestamp_ns_min, handler.timestamp_ns_max
    if low is None or high is None:
        return None
    start = low if window[0] is None else max(low, window[0])
    last = high if window[1] is None else min(high, window[1] - 1)
    if last < start:
        return 0.0
    return (last - start + 1) / (high - low + 1)


def _selected(name: str, handler: _Topic, share: float) -> SelectedTopic:
    rows = handler.rows_number
    return SelectedTopic(
        name=name,
        ontology_tag=handler.ontology_tag,
        metadata=handler.user_metadata,
        messages=None if rows is None else max(round(rows * share), 1),
        size_bytes=round(handler.total_size_bytes * share),
    )
