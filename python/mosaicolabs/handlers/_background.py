"""Messages made in background threads, pushed in the order in which they were submitted."""

import os
import threading
from collections.abc import Callable
from functools import partial

from mosaicolabs._streams.ordered_executor import OrderedExecutor, Outcome
from mosaicolabs.exceptions import FailedPreconditionError, InvalidInputError, MosaicoError
from mosaicolabs.models.message import Message
from mosaicolabs.models.serializable import Serializable

__all__ = ["Background"]


class Background:
    """The threads of one topic, and the messages that could not be made or pushed.

    Each topic has threads of its own: a `push` that is blocked by backpressure must not stall other topics.

    Args:
        topic: Name of the topic, for errors and names of threads.
        push: Appends a message to the topic.
    """

    def __init__(self, topic: str, push: Callable[[Message], object]) -> None:
        self._topic = topic
        self._push = push
        self._process = os.getpid()
        self._executor = OrderedExecutor(f"mosaico-{topic}")
        self._failed: list[tuple[int, BaseException]] = []
        self._lock = threading.Lock()  # of `_failed`

    def submit(self, timestamp_ns: int, make: Callable[[], Serializable]) -> None:
        """Accepts one message; blocks while too many are pending.

        Raises:
            MosaicoError: Messages submitted before are not stored; this one was not accepted.
        """
        self._refuse_after_fork()
        self._executor.wait_for_room()
        self.raise_failures()
        self._executor.submit(
            lambda: Message(timestamp_ns=timestamp_ns, data=make()), partial(self._deliver, timestamp_ns)
        )

    def wait(self) -> None:
        """Blocks until every submitted message has been pushed or has failed."""
        self._refuse_after_fork()
        self._executor.wait()

    def raise_failures(self) -> None:
        """Raises what failed since the last call: the first error, with the times of all lost messages."""
        with self._lock:
            failed, self._failed = self._failed, []
        if not failed:
            return
        error = failed[0][1]
        times = ", ".join(str(timestamp_ns) for timestamp_ns, _ in failed)
        text = f"submitted messages of topic `{self._topic}` are not stored, those at {times} ns: "
        if isinstance(error, MosaicoError):
            raise type(error)(f"{text}{error.message}", error.code, error.request_id) from error
        raise InvalidInputError(f"{text}{type(error).__name__}: {error}") from error

    def end(self, *, wait: bool = True) -> None:
        """Ends the threads once all messages are pushed or failed; without `wait` the rest is dropped."""
        if wait:
            self.wait()
        self._executor.close(wait=wait)

    def _deliver(self, timestamp_ns: int, outcome: Outcome[Message]) -> None:
        error = outcome.error
        if outcome.value is not None:
            try:
                self._push(outcome.value)
            except Exception as failure:
                error = failure
        if error is not None:
            with self._lock:
                self._failed.append((timestamp_ns, error))

    def _refuse_after_fork(self) -> None:
        if os.getpid() != self._process:
            raise FailedPreconditionError(
                f"topic `{self._topic}` was opened before this process was forked and its threads did not "
                "survive; start workers with the `spawn` or `forkserver` method and open a client there"
            )
