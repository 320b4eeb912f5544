"""The writer of one sequence."""

from typing import Any

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs.enum import FlightAction
from mosaicolabs.handlers.base_sequence_writer import BaseSequenceWriter
from mosaicolabs.handlers.config import WriterConfig

__all__ = ["SequenceWriter"]


class SequenceWriter(BaseSequenceWriter):
    """Records one sequence; created by `MosaicoClient.sequence_create` and used as a context manager.

    Entering creates the sequence. Leaving stores what is buffered, completes every topic and finalizes the
    sequence, which makes it immutable. If the block or the finalization fails, the `OnErrorPolicy` applies:
    `Delete` removes the sequence; `Report` keeps everything that was pushed, records the error as a
    notification, and leaves the sequence unlocked, that is readable and deletable. If the interpreter exits
    inside the block, the writer stores what was pushed within five seconds and reports the rest on stderr. If
    the process dies, the daemon applies the policy after its `--writer-timeout` without a heartbeat.

    Example:
        >>> from mosaicolabs import Floating64, Message
        >>> with MosaicoClient.embedded(store) as client:
        ...     with client.sequence_create("drive", {"car": 7}) as writer:
        ...         speed = writer.topic_create("speed", {"unit": "m/s"}, Floating64)
        ...         speed.push(Message(timestamp_ns=0, data=Floating64(data=3.5)))
        ...     client.sequence_handler("drive").is_locked
        True
    """

    def __init__(
        self, *, sequence_name: str, client: _native.Client, metadata: dict[str, Any], config: WriterConfig
    ) -> None:
        super().__init__(sequence_name=sequence_name, client=client, config=config)
        self._metadata = metadata

    def _on_context_enter(self) -> None:
        body: dict[str, Any] = {"name": self._resource, "user_metadata": self._metadata}
        if self._client.server() is not None:
            # What the daemon does if this process dies; a Mosaico 0.2 server does not support it.
            body["on_error"] = self._config.on_error.value
        self._key = actions.create_key(self._client, FlightAction.SEQUENCE_CREATE, **body)
