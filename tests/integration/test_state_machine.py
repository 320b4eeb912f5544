"""Random sequences of operations against a model of dictionaries and lists."""

import tempfile
from dataclasses import dataclass, field
from typing import Any

import pytest
from harness.record import number, sequence_of, topic_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mosaicolabs import Integer64, MosaicoClient, OnErrorPolicy, SequenceStatus, SequenceWriter
from mosaicolabs.exceptions import AlreadyExistsError, ClosedError, FailedPreconditionError, NotFoundError

NAMES = st.sampled_from(["one", "one1", "two"])
TOPICS = st.sampled_from(["a", "a/b", "b"])
TIMES = st.lists(st.integers(-20, 20), min_size=1, max_size=30)


@dataclass
class Recorded:
    """What the catalog and the store must hold of one sequence."""

    policy: OnErrorPolicy
    writer: SequenceWriter | None
    topics: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    confirmed: dict[str, int] = field(default_factory=dict)
    locked: bool = False

    @property
    def being_recorded(self) -> bool:
        return self.writer is not None


class Platform(RuleBasedStateMachine):
    """One store, several sequences, each in its own state."""

    @initialize()
    def open_store(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.client = MosaicoClient.embedded(self.folder.name)
        self.model: dict[str, Recorded] = {}
        self.count = 0

    def teardown(self) -> None:
        if hasattr(self, "client"):
            for name in [name for name, recorded in self.model.items() if recorded.being_recorded]:
                self.finalize(name)
            self.client.close()
            self.folder.cleanup()

    # -- writing ---------------------------------------------------------------------------------

    @rule(name=NAMES, policy=st.sampled_from(OnErrorPolicy), records=st.integers(1, 20))
    def create(self, name: str, policy: OnErrorPolicy, records: int) -> None:
        writer = self.client.sequence_create(name, {"n": name}, policy, max_batch_size_records=records)
        if name in self.model:
            with pytest.raises(AlreadyExistsError):
                writer.__enter__()
        else:
            self.model[name] = Recorded(policy, writer.__enter__())

    @rule(name=NAMES, topic=TOPICS)
    def create_topic(self, name: str, topic: str) -> None:
        recorded = self.model.get(name)
        if recorded is None or recorded.writer is None:
            return
        if topic in recorded.topics:
            with pytest.raises(AlreadyExistsError):
                recorded.writer.topic_create(topic, {}, Integer64)
        else:
            recorded.writer.topic_create(topic, {"t": topic}, Integer64)
            recorded.topics[topic] = []
            recorded.confirmed[topic] = 0

    @rule(name=NAMES, topic=TOPICS, times=TIMES)
    def push(self, name: str, topic: str, times: list[int]) -> None:
        writer = self.topic_writer(name, topic)
        if writer is None:
            return
        for timestamp_ns in times:
            self.count += 1
            row = number(timestamp_ns, self.count)
            if writer.finalized():
                with pytest.raises(ClosedError):
                    writer.push(row)
            else:
                writer.push(row)
                self.model[name].topics[topic].append((timestamp_ns, self.count))

    @rule(name=NAMES, topic=TOPICS)
    def flush(self, name: str, topic: str) -> None:
        writer = self.topic_writer(name, topic)
        if writer is not None and not writer.finalized():
            writer.flush()
            self.model[name].confirmed[topic] = len(self.model[name].topics[topic])

    @rule(name=NAMES, topic=TOPICS)
    def finalize_topic(self, name: str, topic: str) -> None:
        writer = self.topic_writer(name, topic)
        if writer is not None:
            writer.finalize()
            self.model[name].confirmed[topic] = len(self.model[name].topics[topic])

    @rule(name=NAMES)
    def finalize(self, name: str) -> None:
        recorded = self.model.get(name)
        if recorded is not None and recorded.writer is not None:
            recorded.writer.__exit__(None, None, None)
            assert recorded.writer.sequence_status == SequenceStatus.Finalized
            recorded.writer, recorded.locked = None, True

    @rule(name=NAMES)
    def fail(self, name: str) -> None:
        recorded = self.model.get(name)
        if recorded is None or recorded.writer is None:
            return
        error = RuntimeError("unplugged")
        recorded.writer.__exit__(RuntimeError, error, None)
        assert recorded.writer.sequence_status == SequenceStatus.Error
        assert getattr(error, "__notes__", []) == []
        recorded.writer = None
        if recorded.policy is OnErrorPolicy.Delete:
            del self.model[name]
        else:
            assert [note.message for note in self.client.list_sequence_notify(name)] == ["unplugged"]

    def topic_writer(self, name: str, topic: str) -> Any:
        recorded = self.model.get(name)
        return recorded.writer.get_topic(topic) if recorded and recorded.writer else None

    # -- the catalog ---------------------------------------------------------------------------

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        recorded = self.model.get(name)
        if recorded is None:
            with pytest.raises(NotFoundError):
                self.client.sequence_delete(name)
        elif recorded.locked:
            with pytest.raises(FailedPreconditionError):
                self.client.sequence_delete(name)
        elif not recorded.being_recorded:
            self.client.sequence_delete(name)
            del self.model[name]

    @precondition(lambda self: not any(recorded.being_recorded for recorded in self.model.values()))
    @rule()
    def reopen(self) -> None:
        self.client.close()
        self.client = MosaicoClient.embedded(self.folder.name)

    @invariant()
    def the_catalog_lists_every_sequence(self) -> None:
        if hasattr(self, "client"):
            assert sorted(self.client.list_sequences()) == sorted(self.model)

    # -- reading ---------------------------------------------------------------------------------

    @rule(name=NAMES, start=st.none() | st.integers(-25, 25), end=st.none() | st.integers(-25, 25))
    def read(self, name: str, start: int | None, end: int | None) -> None:
        recorded = self.model.get(name)
        if recorded is None:
            assert self.client.sequence_handler(name) is None
            return
        handler = sequence_of(self.client, name)
        assert handler.is_locked is recorded.locked
        assert handler.topics == [f"/{topic}" for topic in recorded.topics]
        assert handler.user_metadata == {"n": name}
        if recorded.being_recorded:
            return
        rows = merged(recorded)
        if not rows:
            assert handler.timestamp_ns_min is None
            return
        assert (handler.timestamp_ns_min, handler.timestamp_ns_max) == (rows[0][1], rows[-1][1])
        streamer = handler.get_data_streamer(start_timestamp_ns=start, end_timestamp_ns=end)
        read = [
            (topic, message.timestamp_ns, message.get_data(Integer64).data) for topic, message in streamer
        ]
        assert read == [
            row for row in rows if (start is None or row[1] >= start) and (end is None or row[1] < end)
        ]

    @rule(name=NAMES, topic=TOPICS)
    def read_topic(self, name: str, topic: str) -> None:
        recorded = self.model.get(name)
        if recorded is None or topic not in recorded.topics:
            assert self.client.topic_handler(name, topic) is None
            return
        handler = topic_of(self.client, name, topic)
        assert handler.user_metadata == {"t": topic}
        if handler.timestamp_ns_min is None:
            assert recorded.confirmed[topic] == 0
            return
        read = [message.get_data(Integer64).data for message in handler.get_data_streamer()]
        pushed = [value for _, value in recorded.topics[topic]]
        least = recorded.confirmed[topic] if recorded.being_recorded else len(pushed)
        assert sorted(read) == pushed[: len(read)], "a recording in progress shows its first rows"
        assert least <= len(read), "confirmed rows are readable"


def merged(recorded: Recorded) -> list[tuple[str, int, int]]:
    rows = [(f"/{topic}", *row) for topic, pushed in recorded.topics.items() for row in pushed]
    return sorted(rows, key=lambda row: row[1])


TestPlatform = Platform.TestCase
TestPlatform.settings = settings(max_examples=settings.default.max_examples, stateful_step_count=30)
