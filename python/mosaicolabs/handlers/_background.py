"""Messages made in background threads, pushed in the order in which they were submitted.

Encoders of pictures (zlib, libjpeg and others behind Pillow) release the GIL, so threads are enough to
keep all cores busy; see `benches/pictures.py`.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mosaicolabs.exceptions import FailedPreconditionError, InvalidInputError, MosaicoError
from mosaicolabs.models.message import Message
from mosaicolabs.models.serializable import Serializable

__all__ = ["Background"]


def _cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@dataclass
class _Job:
    timestamp_ns: int
    make: Callable[[], Serializable]
    message: Message | None = None
    error: BaseException | None = None

    def run(self) -> None:
        try:
            self.message = Message(timestamp_ns=self.timestamp_ns, data=self.make())
        except BaseException as error:  # also SystemExit: a job without an end would stall the topic
            self.error = error

    @property
    def done(self) -> bool:
        return self.message is not None or self.error is not None


class Background:
    """The threads of one topic, as many as there are cores, and what they have in work.

    The threads are the topic's own: a `push` that waits for room must not stall other topics.
    """

    def __init__(self, topic: str, push: Callable[[Message], None]) -> None:
        self._topic = topic
        self._push = push
        self._process = os.getpid()
        cores = _cores()
        self._pool = ThreadPoolExecutor(cores, thread_name_prefix=f"mosaico-{topic}")
        self._most_jobs = 2 * cores  # one in work and one ready per thread
        self._jobs: deque[_Job] = deque()
        self._failed: list[_Job] = []
        self._dropped = False
        self._turn = threading.Condition()  # held while pushing, which keeps the order

    def submit(self, timestamp_ns: int, make: Callable[[], Serializable]) -> None:
        """Takes one message; waits while too many are in work.

        Raises:
            MosaicoError: Messages submitted before are not stored; this one was not taken.
        """
        self._refuse_after_fork()
        job = _Job(timestamp_ns, make)
        with self._turn:
            self._turn.wait_for(lambda: len(self._jobs) < self._most_jobs)
            self.raise_failures()
            self._pool.submit(self._work, job)
            self._jobs.append(job)

    def wait(self) -> None:
        """Returns when everything that was submitted has been pushed, or has failed."""
        self._refuse_after_fork()
        with self._turn:
            self._turn.wait_for(lambda: not self._jobs)

    def raise_failures(self) -> None:
        """Raises what failed since the last call: the first error, with the times of all lost messages."""
        with self._turn:
            failed, self._failed = self._failed, []
        if not failed:
            return
        error = failed[0].error
        times = ", ".join(str(job.timestamp_ns) for job in failed)
        text = f"submitted messages of topic `{self._topic}` are not stored, those at {times} ns: "
        if isinstance(error, MosaicoError):
            raise type(error)(f"{text}{error.message}", error.code, error.request_id) from error
        raise InvalidInputError(f"{text}{type(error).__name__}: {error}") from error

    def end(self, *, wait: bool = True) -> None:
        """Ends the threads when all is pushed or has failed; without `wait` the rest is dropped."""
        if wait:
            self.wait()
        self._dropped = not wait
        self._pool.shutdown(wait=False, cancel_futures=not wait)

    def _work(self, job: _Job) -> None:
        job.run()
        with self._turn:
            while self._jobs and self._jobs[0].done and not self._dropped:
                self._hand_over(self._jobs[0])
                self._jobs.popleft()
                self._turn.notify_all()

    def _hand_over(self, job: _Job) -> None:
        try:
            if job.message is not None:
                self._push(job.message)
        except Exception as error:
            job.error = error
        if job.error is not None:
            self._failed.append(job)

    def _refuse_after_fork(self) -> None:
        if os.getpid() != self._process:
            raise FailedPreconditionError(
                f"topic `{self._topic}` was opened before this process was forked and its threads did not "
                "survive; start workers with the `spawn` or `forkserver` method and open a client there"
            )
