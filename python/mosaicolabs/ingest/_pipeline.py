"""Writes a recording into a sequence and makes sure that all of it arrived."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mosaicolabs._protocol import actions
from mosaicolabs.comm import MosaicoClient, NotifyType
from mosaicolabs.enum import FlightAction, OnErrorPolicy, TopicLevelErrorPolicy
from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.handlers import SequenceHandler, SequenceWriter, TopicWriter
from mosaicolabs.helpers import pack_topic_resource_name
from mosaicolabs.models import Message

from ._reader_api import FailedMessage, Metadata, Recording, RecordingError

Progress = Callable[[int, float], None]
"""Called after each message with (messages, input bytes) that it stands for."""

TopicPolicies = TopicLevelErrorPolicy | Mapping[str, TopicLevelErrorPolicy]
"""One policy for all topics, or one by name; topics that are not named ignore failed messages."""


@dataclass(frozen=True)
class Failures:
    """Messages of one topic that are not stored.

    Attributes:
        first: Why the first of them is not.
    """

    messages: int
    first: str


@dataclass(frozen=True)
class IngestResult:
    """What was stored.

    Attributes:
        messages: Rows by topic.
        stored_bytes: Size in the store by topic.
        failed: Topics that lost messages, and why.
    """

    recording: Recording
    messages: dict[str, int]
    stored_bytes: dict[str, int]
    failed: dict[str, Failures]
    seconds: float
    handler: SequenceHandler


def ingest(
    client: MosaicoClient,
    recording: Recording,
    sequence_name: str,
    *,
    metadata: Metadata | None = None,
    on_error: OnErrorPolicy = OnErrorPolicy.Delete,
    topics_on_error: TopicPolicies = TopicLevelErrorPolicy.Ignore,
    progress: Progress = lambda messages, size_bytes: None,
) -> IngestResult:
    """Store `recording` as a new sequence. `metadata` is added to the recording's own and wins over it.

    A message that cannot be read or does not fit its topic is dealt with by `topics_on_error`, for all topics
    or by name; what is left out is counted, and noted with the topic.

    Raises:
        RecordingError: The input is damaged, or does not hold what it announced; `on_error` has been applied.
    """
    started = time.monotonic()
    share = {topic.name: topic.size_bytes / max(topic.messages, 1) for topic in recording.topics}
    all_metadata = {**recording.metadata, **(metadata or {})}
    with client.sequence_create(sequence_name, all_metadata, on_error=on_error) as sequence:
        intakes = _open_intakes(sequence, recording, topics_on_error)
        for name, message in recording.messages():
            intakes[name].take(message)
            progress(1, share[name])
        _check_announced(recording, intakes)
        failed = {name: intake.failures for name, intake in intakes.items() if intake.failures is not None}
        for name, failures in failed.items():
            _notify(client, pack_topic_resource_name(sequence_name, name), failures)
    handler = client.sequence_handler(sequence_name)
    if handler is None:
        raise RecordingError(
            f"sequence `{sequence_name}` was finalized but cannot be found; look at the server's log"
        )
    pushed = {name: intake.pushed for name, intake in intakes.items()}
    stored_bytes = _check_stored(handler, pushed)
    return IngestResult(recording, pushed, stored_bytes, failed, time.monotonic() - started, handler)


@dataclass
class _Intake:
    """One topic: takes its messages, or counts why not."""

    writer: TopicWriter
    policy: TopicLevelErrorPolicy
    pushed: int = 0
    failures: Failures | None = field(default=None)

    def take(self, message: Message | FailedMessage) -> None:
        if isinstance(message, FailedMessage):
            self._fail(message.reason)
        elif self.writer.finalized():
            self._fail("the topic was completed at its first failure")
        else:
            try:
                self.writer.push(message)
            except InvalidInputError as error:  # does not encode; the topic goes on
                self._fail(str(error))
            else:
                self.pushed += 1

    def _fail(self, reason: str) -> None:
        if self.policy is TopicLevelErrorPolicy.Raise:
            raise RecordingError(f"topic `{self.writer.name}`: {reason}")
        if self.failures is None:
            self.failures = Failures(1, reason)
        else:
            self.failures = Failures(self.failures.messages + 1, self.failures.first)
        if self.policy is TopicLevelErrorPolicy.Finalize:
            self.writer.finalize()


def _open_intakes(
    sequence: SequenceWriter,
    recording: Recording,
    policies: TopicPolicies,
) -> dict[str, _Intake]:
    def policy(name: str) -> TopicLevelErrorPolicy:
        if isinstance(policies, TopicLevelErrorPolicy):
            return policies
        return policies.get(name, TopicLevelErrorPolicy.Ignore)

    return {
        topic.name: _Intake(
            sequence.topic_create(topic.name, dict(topic.metadata), topic.ontology), policy(topic.name)
        )
        for topic in recording.topics
    }


def _notify(client: MosaicoClient, locator: str, failures: Failures) -> None:
    text = f"{failures.messages} messages of the input are not stored; the first: {failures.first}"
    actions.call(
        client._native,
        FlightAction.TOPIC_NOTIFY_CREATE,
        name=locator,
        notify_type=NotifyType.ERROR.value,
        msg=text,
    )


def _check_announced(recording: Recording, intakes: dict[str, _Intake]) -> None:
    for topic in recording.topics:
        intake = intakes[topic.name]
        read = intake.pushed + (intake.failures.messages if intake.failures else 0)
        if read != topic.messages:
            raise RecordingError(
                f"topic `{topic.name}`: {topic.messages} messages announced, {read} read; "
                "the input changed while it was read"
            )


def _check_stored(handler: SequenceHandler, pushed: dict[str, int]) -> dict[str, int]:
    """Compares the numbers of rows; returns the sizes."""
    sizes = {}
    for name, count in pushed.items():
        topic = handler.get_topic_handler(name)
        # None: a server of the 0.2 line does not tell.
        if topic.rows_number is not None and topic.rows_number != count:
            raise RecordingError(f"topic `{name}`: {count} messages sent, {topic.rows_number} stored")
        sizes[name] = topic.total_size_bytes
    return sizes
