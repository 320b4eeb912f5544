"""The writer of one sequence."""

from typing import Any

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs.enum import FlightAction
from mosaicolabs.handlers.base_sequence_writer import BaseSequenceWriter
from mosaicolabs.handlers.config import WriterConfig

__all__ = ["SequenceWriter"]


class SequenceWriter(BaseSequenceWriter):
    """Records one sequence; made by `MosaicoClient.sequence_create` and used in `with`.

    Entering registers the sequence. Leaving stores what is buffered, completes every topic and finalizes
    the sequence: from then on it is immutable. If the block or that work fails, the `OnErrorPolicy` decides:
    `Delete` leaves nothing behind; `Report` keeps everything that was pushed, notes the error, and leaves the
    sequence unlocked: readable and deletable. An interpreter that ends inside the block stores what was
    pushed, within five seconds, and says on stderr what it could not. If the process dies instead, the daemon
    applies the policy when it has heard nothing for its `--writer-timeout`.
    """

    def __init__(
        self, *, sequence_name: str, client: _native.Client, metadata: dict[str, Any], config: WriterConfig
    ) -> None:
        super().__init__(sequence_name=sequence_name, client=client, config=config)
        self._metadata = metadata

    def _on_context_enter(self) -> None:
        body: dict[str, Any] = {"name": self._resource, "user_metadata": self._metadata}
        if self._client.server() is not None:
            # What the daemon does if this process dies; Mosaico's does not know it.
            body["on_error"] = self._config.on_error.value
        self._key = actions.create_key(self._client, FlightAction.SEQUENCE_CREATE, **body)
