"""The client of a dataset: one per process, opened when it is needed."""

import os
from collections.abc import Callable
from typing import Any

from mosaicolabs.comm import MosaicoClient
from mosaicolabs.exceptions import InvalidInputError, NotFoundError
from mosaicolabs.handlers import SequenceHandler, TopicHandler

Connect = Callable[[], MosaicoClient]
"""Opens a client; to be sent to other processes it must be picklable, such as a `functools.partial`."""


class Source:
    """Handlers of a client that each process opens for itself.

    Args:
        connect: A client, for this process only, or a function that opens one.
    """

    def __init__(self, connect: MosaicoClient | Connect) -> None:
        self._connect = connect
        self._pid: int | None = None
        self._client: MosaicoClient | None = None
        self._handlers: dict[str, SequenceHandler] = {}
        self._topics: dict[tuple[str, str], TopicHandler] = {}

    def client(self) -> MosaicoClient:
        """The client of this process."""
        if isinstance(self._connect, MosaicoClient):
            return self._connect
        if self._client is None or self._pid != os.getpid():
            # A client of the parent cannot be used, nor closed, after a fork.
            self._handlers, self._topics = {}, {}
            self._client, self._pid = self._connect(), os.getpid()
        return self._client

    def sequence(self, name: str) -> SequenceHandler:
        """The handler of a sequence.

        Raises:
            InvalidInputError: It does not exist.
        """
        client = self.client()
        if name not in self._handlers:
            try:
                # A handler of its own: those of the client have one live streamer for all their users.
                self._handlers[name] = SequenceHandler._connect(client._native, name)
            except NotFoundError as error:
                raise InvalidInputError(f"no sequence {name!r}: {error}") from error
        return self._handlers[name]

    def topic(self, sequence: str, topic: str) -> TopicHandler:
        """The handler of a topic."""
        key = (sequence, topic)
        handler = self.sequence(sequence)
        if key not in self._topics:
            self._topics[key] = handler.get_topic_handler(topic)
        return self._topics[key]

    def again(self) -> "Source":
        """Another one with handlers of its own."""
        return Source(self._connect)

    def close(self) -> None:
        """Closes the client that this process opened."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()
        self._handlers, self._topics = {}, {}

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self._connect, MosaicoClient):
            raise InvalidInputError(
                "a dataset with a client cannot be sent to another process; give a function that opens one, "
                "such as functools.partial(MosaicoClient.connect, 'localhost', 6726)"
            )
        return {**self.__dict__, "_pid": None, "_client": None, "_handlers": {}, "_topics": {}}
