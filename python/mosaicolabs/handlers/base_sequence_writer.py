"""Base of the writers of a sequence: creates topics and ends the recording."""

import logging
import sys
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.extension_actions import ExtensionAction
from mosaicolabs._protocol.metadata import user_metadata_of
from mosaicolabs._protocol.notifications import NotifyType
from mosaicolabs.enum import FlightAction, OnErrorPolicy, SequenceStatus
from mosaicolabs.exceptions import (
    AlreadyExistsError,
    ConnectionFailedError,
    FailedPreconditionError,
    InvalidInputError,
    MosaicoError,
)
from mosaicolabs.handlers import _at_exit
from mosaicolabs.handlers._outcome import add_note, report_outcome
from mosaicolabs.handlers.config import WriterConfig
from mosaicolabs.handlers.topic_writer import TopicWriter
from mosaicolabs.helpers import pack_topic_resource_name, sanitize_sequence_name, validate_topic_name
from mosaicolabs.models._conversions import storing
from mosaicolabs.models._schema import message_schema
from mosaicolabs.models.serializable import Serializable

if TYPE_CHECKING:
    from mosaicolabs._streams.progress import RecordingProgress

__all__ = ["BaseSequenceWriter"]

logger = logging.getLogger(__name__)


class BaseSequenceWriter(ABC):
    """Topics of a sequence being recorded, and the end of the recording.

    Extension point: `_on_context_enter` registers the recording with the daemon and sets `_key`.
    """

    def __init__(self, *, sequence_name: str, client: _native.Client, config: WriterConfig) -> None:
        self._name = sequence_name
        self._resource = sanitize_sequence_name(sequence_name)
        self._client = client
        self._config = config
        self._budget = _native.LaneBudget(
            config.max_buffered_bytes, config.spill_folder, config.max_spill_bytes
        )
        self._status = SequenceStatus.Null
        self._key = ""
        self._topics: dict[str, TopicWriter] = {}
        self._keep_alive: _native.KeepAlive | None = None
        self._is_mosaicod = False
        self._progress: RecordingProgress | None = None

    @abstractmethod
    def _on_context_enter(self) -> None:
        """Registers the recording with the daemon and sets `_key`."""

    # -- topics ----------------------------------------------------------------------------------

    def topic_create(
        self, topic_name: str, metadata: dict[str, Any], ontology_type: type[Serializable]
    ) -> TopicWriter:
        """Creates a topic and opens its writer.

        Args:
            topic_name: `A-Z a-z 0-9 - _ /`; a leading slash is optional.
            metadata: A JSON object.
            ontology_type: Class of its messages.

        Raises:
            RuntimeError: Outside the `with` block.
            ValueError: The name is not allowed, the metadata is not a dict, or the class is not serializable.
            AlreadyExistsError: The sequence already has a topic of this name.
            MosaicoError: The daemon refuses.
        """
        self._require_open()
        validate_topic_name(topic_name)
        if not (isinstance(ontology_type, type) and issubclass(ontology_type, Serializable)):
            raise InvalidInputError(
                f"ontology class '{ontology_type!r}' is not serializable: derive it from Serializable"
            )
        user_metadata = user_metadata_of(metadata)
        schema = message_schema(ontology_type)
        locator = pack_topic_resource_name(self._resource, topic_name)
        if self.topic_writer_exists(topic_name):
            raise AlreadyExistsError(f"topic `{locator}` already exists in this recording", "topic_exists")
        key = actions.create_key(
            self._client,
            FlightAction.TOPIC_CREATE,
            reconnect_timeout_s=self._config.reconnect_timeout_s,
            sequence_key=self._key,
            name=locator,
            serialization_format=ontology_type.__serialization_format__.value,
            ontology_tag=ontology_type.ontology_tag(),
            user_metadata=user_metadata,
        )
        try:
            lane = self._client.write(
                locator,
                key,
                schema,
                # Values that the encoder does not take are converted to dicts.
                ontology_type
                if storing(ontology_type, ontology_type.__msco_pyarrow_struct__) is None
                else dict,
                max_batch_bytes=self._config.max_batch_size_bytes,
                max_batch_records=self._config.max_batch_size_records,
                max_batch_age_s=self._config.max_batch_age_s,
                reconnect_timeout_s=self._config.reconnect_timeout_s,
                budget=self._budget,
            )
        except BaseException:
            actions.call(self._client, FlightAction.TOPIC_DELETE, name=locator)
            raise
        writer = TopicWriter(
            topic_name=topic_name,
            sequence_name=self._resource,
            data_class=ontology_type,
            lane=lane,
            config=self._config,
        )
        self._topics[locator] = writer
        return writer

    def topic_writer_exists(self, topic_name: str) -> bool:
        """Whether this recording has a topic of this name."""
        return pack_topic_resource_name(self._resource, topic_name) in self._topics

    def get_topic_writer(self, topic_name: str) -> TopicWriter | None:
        """The writer of a topic of this recording; None if it does not exist."""
        return self._topics.get(pack_topic_resource_name(self._resource, topic_name))

    def list_topic_writers(self) -> list[str]:
        """Names of the topics being recorded, as given; empty after the block."""
        return [writer.name for writer in self._topics.values()]

    topic_exists = topic_writer_exists
    get_topic = get_topic_writer
    list_topics = list_topic_writers

    @property
    def sequence_status(self) -> SequenceStatus:
        """`Null` before the block, `Pending` inside, `Finalized` or `Error` after; may also be called."""
        return self._status

    # -- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Completes every topic and finalizes the sequence, as leaving the block does.

        Raises:
            RuntimeError: Outside the `with` block.
            MosaicoError: Not everything could be stored; the error policy was applied.
            ConnectionFailedError: With the code `rows_on_other_daemon`: some rows are only on the disk of an
                unreachable daemon. The sequence stays open; call this again when that daemon runs.
        """
        if self._status in (SequenceStatus.Finalized, SequenceStatus.Error):
            return
        self._require_open()
        self._close(None)

    def _close(self, error: BaseException | None) -> None:
        _at_exit.forget(self)
        try:
            self._on_context_exit(error)
        finally:
            if self._keep_alive is not None:
                self._keep_alive.stop()
            if self._progress is not None:
                self._progress.stop()
        self._topics.clear()

    def _flush_at_exit(self) -> None:
        """At exit of the interpreter inside the block: stores what was pushed, reports losses on stderr."""
        lost: list[str] = []
        for locator, writer in self._topics.items():
            try:
                writer.flush()
            except MosaicoError as failure:
                pushed, _, durable, _ = writer._lane.stats()
                lost.append(f"rows {durable}..{pushed} of topic `{locator}` may be lost ({failure})")
        try:
            self._leave(reconnect_timeout_s=0.0)
        except MosaicoError as failure:
            lost.append(f"the daemon may still apply `{self._config.on_error.value}` ({failure})")
        stored = "; ".join(lost) or "every pushed row is stored"
        print(
            f"mosaicolabs: sequence `{self._name}` was not closed before the interpreter exited: {stored}."
            " It stays unlocked; use a `with` block to finalize recordings.",
            file=sys.stderr,
        )

    def _on_context_exit(self, error: BaseException | None) -> None:
        ends_well = error is None or isinstance(error, self._config.finalize_on)
        try:
            if ends_well:
                self._finish_topics()
                actions.call(
                    self._client,
                    FlightAction.SEQUENCE_FINALIZE,
                    reconnect_timeout_s=self._config.reconnect_timeout_s,
                    name=self._resource,
                    key=self._key,
                )
                self._status = SequenceStatus.Finalized
                if error is not None:
                    report_outcome(self._name, "finalized", error, "finalize_on")
                return
        except BaseException as failure:
            if isinstance(failure, MosaicoError) and failure.code == "rows_on_other_daemon":
                # Everything is durable, but partly on an unreachable daemon: deleting would lose it.
                add_note(failure, "nothing is lost; call close() again when that daemon runs")
            else:
                self._fail(failure)
            raise
        if error is not None:
            self._fail(error)

    def _finish_topics(self) -> None:
        """Closes all topics, even if one fails; raises the first failure, with the others as notes."""
        failures = []
        for writer in self._topics.values():
            writer._end()
        for writer in self._topics.values():
            try:
                writer.finalize()
            except MosaicoError as error:
                failures.append(error)
        if failures:
            for other in failures[1:]:
                add_note(failures[0], str(other))
            raise failures[0]

    def _fail(self, error: BaseException) -> None:
        """Applies the error policy; failures of doing so become notes of `error`."""
        self._status = SequenceStatus.Error
        # An interrupt while a recording is being finalized, such as a second Ctrl-C, deletes nothing.
        deletes = self._config.on_error is OnErrorPolicy.Delete and not isinstance(
            error, self._config.finalize_on
        )
        failures = (self._delete if deletes else self._report)(error)
        for failure in failures:
            logger.error("Sequence %r: %s", self._name, failure)
            add_note(error, f"while ending sequence `{self._name}`: {failure}")
        outcome = "deleted" if deletes else "kept as far as it was stored, unlocked"
        if failures:
            outcome = f"to be {outcome}, which failed ({failures[0]})"
        report_outcome(self._name, outcome, error, f"on_error={self._config.on_error.name}")

    def _delete(self, error: BaseException) -> list[MosaicoError]:
        failures: list[MosaicoError] = []
        for writer in self._topics.values():
            writer.finalize(with_error=True)
        self._attempt(failures, error, FlightAction.SEQUENCE_ABORT, name=self._resource, key=self._key)
        return failures

    def _report(self, error: BaseException) -> list[MosaicoError]:
        failures: list[MosaicoError] = []
        for locator, writer in self._topics.items():
            try:
                writer.finalize()
            except MosaicoError as failure:
                failures.append(failure)
            if writer._error is not None:
                self._notify(failures, FlightAction.TOPIC_NOTIFY_CREATE, locator, writer._error)
        self._notify(failures, FlightAction.SEQUENCE_NOTIFY_CREATE, self._resource, error)
        try:
            self._leave(reconnect_timeout_s=self._reconnect_timeout_s(error))
        except MosaicoError as failure:
            failures.append(failure)
        return failures

    def _leave(self, *, reconnect_timeout_s: float) -> None:
        """Ends the recording without finalizing it: the daemon keeps the sequence as it is."""
        if self._is_mosaicod:
            action = ExtensionAction.SEQUENCE_END
            actions.call(
                self._client,
                action,
                reconnect_timeout_s=reconnect_timeout_s,
                name=self._resource,
                key=self._key,
            )

    def _notify(
        self, failures: list[MosaicoError], action: FlightAction, name: str, error: BaseException
    ) -> None:
        text = str(error) or type(error).__name__
        self._attempt(failures, error, action, name=name, notify_type=NotifyType.ERROR.value, msg=text)

    def _attempt(
        self, failures: list[MosaicoError], error: BaseException, action: FlightAction, **body: Any
    ) -> None:
        try:
            actions.call(self._client, action, reconnect_timeout_s=self._reconnect_timeout_s(error), **body)
        except MosaicoError as failure:
            failures.append(failure)

    def _reconnect_timeout_s(self, error: BaseException) -> float:
        # The recording already waited for the daemon in vain; do not wait again.
        return 0.0 if isinstance(error, ConnectionFailedError) else self._config.reconnect_timeout_s

    def _stats(self) -> dict[str, tuple[int, int, int, int]]:
        # Called by the thread of the progress display while topics may be added.
        return {writer.name: writer._lane.stats() for writer in list(self._topics.values())}

    def _require_open(self) -> None:
        if self._status is not SequenceStatus.Pending:
            raise FailedPreconditionError("SequenceWriter must be used within a 'with' block.")

    def __enter__(self) -> Self:
        if self._status is not SequenceStatus.Null:
            raise FailedPreconditionError(
                "a SequenceWriter records one sequence; call sequence_create() again"
            )
        self._on_context_enter()
        self._status = SequenceStatus.Pending
        self._keep_alive = self._client.keep_alive(self._resource, self._key)
        self._is_mosaicod = self._client.server() is not None
        _at_exit.remember(self)
        if self._config.progress:
            # Few recordings show it, and rich takes long to import.
            from mosaicolabs._streams.progress import RecordingProgress

            self._progress = RecordingProgress(self._resource, self._stats)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self._status is SequenceStatus.Pending:
            self._close(exc_val)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}: {self._status.name}, {len(self._topics)} topics>"
