"""Writes a recording into a sequence and verifies that all of it is stored."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from mosaicolabs._protocol import actions
from mosaicolabs.comm import MosaicoClient, NotifyType
from mosaicolabs.enum import FlightAction, OnErrorPolicy, TopicLevelErrorPolicy
from mosaicolabs.exceptions import AlreadyExistsError, InvalidInputError
from mosaicolabs.handlers import SequenceHandler, SequenceWriter, TopicWriter
from mosaicolabs.helpers import pack_topic_resource_name
from mosaicolabs.models import Message

from ._reader_api import FailedMessage, Metadata, Recording, RecordingError

Progress = Callable[[int, float], None]
"""Called after each message with the number of messages and of input bytes that it accounts for."""

_MOST_SINGLE_FAILURES = 64
"""So many rows of columns are tried one by one; then what cannot be encoded fails together."""

TopicPolicies = TopicLevelErrorPolicy | Mapping[str, TopicLevelErrorPolicy]
"""One policy for all topics, or one by name; other topics skip failed messages."""


@dataclass(frozen=True)
class Failures:
    """Messages of one topic that are not stored.

    Attributes:
        messages: Their number.
        first: The error of the first one.
    """

    messages: int
    first: str


@dataclass(frozen=True)
class IngestResult:
    """The result of an ingestion.

    Attributes:
        recording: The input.
        messages: Number of stored messages by topic.
        stored_bytes: Size in the store by topic, bytes.
        failed: Messages that are not stored, by topic.
        seconds: Duration, s.
        handler: The new sequence.
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
    """Stores `recording` as a new sequence and verifies the number of stored messages.

    Args:
        client: Where to store it.
        recording: The input.
        sequence_name: Name of the new sequence.
        metadata: Added to the metadata of the recording, which it overrides.
        on_error: What happens to the sequence if the ingestion fails.
        topics_on_error: What happens to a topic when one of its messages cannot be read or stored. Skipped
            messages are counted, and reported by a notification of the topic.
        progress: Called after each message.

    Raises:
        RecordingError: The input is damaged or changed during the ingestion, or none of its messages can be
            stored; `on_error` was applied.
        AlreadyExistsError: The name is taken.
        MosaicoError: The daemon refuses or cannot be reached.
    """
    started = time.monotonic()
    share = {topic.name: topic.size_bytes / max(topic.messages, 1) for topic in recording.topics}
    all_metadata = {**recording.metadata, **(metadata or {})}
    with (
        _name_errors(client, sequence_name),
        client.sequence_create(sequence_name, all_metadata, on_error=on_error) as sequence,
    ):
        intakes = _open_intakes(sequence, recording, topics_on_error)
        for name, message in recording.messages():
            count = message.num_rows if isinstance(message, pa.RecordBatch) else 1
            intakes[name].take(message, count)
            progress(count, count * share[name])
        _check_complete(recording, intakes)
        _check_any(recording, intakes)
        failed = {name: intake.failures for name, intake in intakes.items() if intake.failures is not None}
        for name, failures in failed.items():
            _notify(client, pack_topic_resource_name(sequence_name, name), failures)
    handler = client.sequence_handler(sequence_name)
    if handler is None:
        raise RecordingError(
            f"sequence `{sequence_name}` was finalized but cannot be found; see the log of the daemon"
        )
    pushed = {name: intake.pushed for name, intake in intakes.items()}
    stored_bytes = _check_stored(handler, pushed)
    return IngestResult(recording, pushed, stored_bytes, failed, time.monotonic() - started, handler)


@dataclass
class _Intake:
    """One topic: pushes its messages and counts failures."""

    writer: TopicWriter
    policy: TopicLevelErrorPolicy
    pushed: int = 0
    failures: Failures | None = field(default=None)

    def take(self, message: Message | FailedMessage | pa.RecordBatch, count: int) -> None:
        if isinstance(message, FailedMessage):
            self._fail(message.reason, message.messages)
        elif self.writer.finalized():
            self._fail("the topic was completed at its first failure", count)
        else:
            failures = self.failures.messages if self.failures is not None else 0
            self._push(message, count, failures + _MOST_SINGLE_FAILURES)

    def _push(self, message: Message | pa.RecordBatch, count: int, most_failures: int) -> None:
        """Of columns that cannot be encoded, halves are tried, so that a bad row costs no other one."""
        try:
            if isinstance(message, pa.RecordBatch):
                self.writer.push_batch(message)
            else:
                self.writer.push(message)
        except InvalidInputError as error:  # the topic stays open
            failures = self.failures.messages if self.failures is not None else 0
            if not isinstance(message, pa.RecordBatch) or count == 1 or failures >= most_failures:
                self._fail(str(error), count)
                return
            half = count // 2
            self._push(message.slice(0, half), half, most_failures)
            self._push(message.slice(half), count - half, most_failures)
        else:
            self.pushed += count

    def _fail(self, reason: str, messages: int = 1) -> None:
        if self.policy is TopicLevelErrorPolicy.Raise:
            raise RecordingError(f"topic `{self.writer.name}`: {reason}")
        if self.failures is None:
            self.failures = Failures(messages, reason)
        else:
            self.failures = Failures(self.failures.messages + messages, self.failures.first)
        if self.policy is TopicLevelErrorPolicy.Finalize:
            self.writer.finalize()


@contextmanager
def _name_errors(client: MosaicoClient, name: str) -> Iterator[None]:
    """Names what can be done when the name is taken: a finalized sequence cannot be deleted."""
    try:
        yield
    except AlreadyExistsError as error:
        if error.code != "sequence_exists" or not client.sequence_system_info(name).is_locked:
            raise
        raise AlreadyExistsError(
            f"sequence `{name}` already exists and is finalized, so it cannot be changed or deleted; choose "
            "another name"
        ) from error


def _check_any(recording: Recording, intakes: dict[str, _Intake]) -> None:
    """Raises if messages fail and none is stored: an empty sequence would only take the name."""
    failed = [(name, intake.failures) for name, intake in intakes.items() if intake.failures is not None]
    if failed and not any(intake.pushed for intake in intakes.values()):
        name, first = failed[0]
        count = sum(failures.messages for _, failures in failed)
        raise RecordingError(
            f"none of the {count} messages can be stored; first error, in topic `{name}`: {first.first}"
        )


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
    text = f"{failures.messages} messages of the input are not stored; first error: {failures.first}"
    actions.call(
        client._native,
        FlightAction.TOPIC_NOTIFY_CREATE,
        name=locator,
        notify_type=NotifyType.ERROR.value,
        msg=text,
    )


def _check_complete(recording: Recording, intakes: dict[str, _Intake]) -> None:
    for topic in recording.topics:
        intake = intakes[topic.name]
        read = intake.pushed + (intake.failures.messages if intake.failures else 0)
        if read != topic.messages:
            raise RecordingError(
                f"topic `{topic.name}`: {topic.messages} messages expected, {read} read; "
                "the input changed during the ingestion"
            )


def _check_stored(handler: SequenceHandler, pushed: dict[str, int]) -> dict[str, int]:
    """Verifies the number of stored messages; returns the sizes by topic."""
    sizes = {}
    for name, count in pushed.items():
        topic = handler.get_topic_handler(name)
        # None: a Mosaico 0.2 server does not report it.
        if topic.rows_number is not None and topic.rows_number != count:
            raise RecordingError(f"topic `{name}`: {count} messages sent, {topic.rows_number} stored")
        sizes[name] = topic.total_size_bytes
    return sizes
