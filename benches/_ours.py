"""Our side: recording and replaying messages through the public API."""

from collections.abc import Iterable
from itertools import count, cycle
from time import perf_counter

from mosaicolabs import Message, MosaicoClient, Serializable

_numbers = count()


def new_name() -> str:
    """A name that no sequence of this process has."""
    return f"bench-{next(_numbers)}"


def push(
    client: MosaicoClient,
    name: str,
    data_class: type[Serializable],
    messages: Iterable[Message],
    topics: int = 1,
) -> float:
    """Seconds to push the messages, topic after topic in turn, until all of them are durable."""
    with client.sequence_create(name) as sequence:
        writers = [sequence.topic_create(f"topic_{n}", {}, data_class) for n in range(topics)]
        turns = cycle([writer.push for writer in writers])
        start = perf_counter()
        for push_one, message in zip(turns, messages, strict=False):
            push_one(message)
    return perf_counter() - start


def replay(client: MosaicoClient, name: str, expected: int) -> float:
    """Seconds to replay a sequence merged by time, touching the data of each message."""
    start = perf_counter()
    handler = client.sequence_handler(name)
    assert handler is not None
    found = 0
    with handler.get_data_streamer() as stream:
        for _, message in stream:
            found += message.data is not None
    return _checked(perf_counter() - start, name, found, expected)


def replay_topic(client: MosaicoClient, name: str, expected: int) -> float:
    """Seconds to replay one topic, touching the data of each message."""
    start = perf_counter()
    handler = client.topic_handler(name, "topic_0")
    assert handler is not None
    found = 0
    with handler.get_data_streamer() as stream:
        for message in stream:
            found += message.data is not None
    return _checked(perf_counter() - start, name, found, expected)


def _checked(seconds: float, name: str, found: int, expected: int) -> float:
    if found != expected:
        raise RuntimeError(f"sequence {name} gave {found} of {expected} messages")
    return seconds
