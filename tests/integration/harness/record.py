"""Shortcuts to record and to replay."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from mosaicolabs import Floating64, Integer64, Message, MosaicoClient, SequenceHandler, TopicHandler


def number(timestamp_ns: int, value: int) -> Message:
    return Message(timestamp_ns=timestamp_ns, data=Integer64(data=value))


def record_numbers(
    client: MosaicoClient, name: str, topics: dict[str, Iterable[tuple[int, int]]], **limits: int
) -> None:
    """Records and finalizes a sequence of Integer64 topics, each a list of (timestamp_ns, value)."""
    with client.sequence_create(name, **limits) as sequence:
        for topic, rows in topics.items():
            writer = sequence.topic_create(topic, {}, Integer64)
            for timestamp_ns, value in rows:
                writer.push(number(timestamp_ns, value))


def replay(client: MosaicoClient, name: str, *args: Any, **window: Any) -> list[tuple[str, int, Any]]:
    """All (topic, timestamp_ns, value) of a sequence of one-value topics, in the order of the streamer."""
    streamer = sequence_of(client, name).get_data_streamer(*args, **window)
    return [(topic, message.timestamp_ns, _value(message)) for topic, message in streamer]


def _value(message: Message) -> Any:
    assert isinstance(message.data, Integer64 | Floating64)
    return message.data.data


def sequence_of(client: MosaicoClient, name: str) -> SequenceHandler:
    handler = client.sequence_handler(name)
    assert handler is not None, f"no sequence {name!r} in {client.list_sequences()}"
    return handler


def topic_of(client: MosaicoClient, sequence: str, topic: str) -> TopicHandler:
    handler = client.topic_handler(sequence, topic)
    assert handler is not None, f"no topic {topic!r} in sequence {sequence!r}"
    return handler


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something comes true in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
