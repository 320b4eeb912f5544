"""Jobs that run in threads while their results are delivered in the order of submission.

Encoders and decoders of pictures (zlib, libjpeg and others behind Pillow) release the GIL, so threads are
enough to keep all cores busy; see `benches/pictures.py`.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

_MAX_PENDING = 1000
"""Jobs that may wait for delivery, including those that ran inline behind a slow one."""


def _cores() -> int:
    """Number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The result of a job, or the error that ended it."""

    value: T | None = None
    error: BaseException | None = None

    def get(self) -> T:
        """The result.

        Raises:
            BaseException: The error of the job.
        """
        if self.error is not None:
            raise self.error
        return cast(T, self.value)


Deliver = Callable[[Outcome[T]], None]
"""Takes the outcome of a job; called by one thread at a time and never raises."""


class _Job:
    def __init__(self, make: Callable[[], Any], deliver: Deliver[Any], *, threaded: bool) -> None:
        self._make = make
        self.deliver = deliver
        self.threaded = threaded
        self.outcome: Outcome[Any] | None = None

    def run(self) -> None:
        try:
            self.outcome = Outcome(value=self._make())
        except BaseException as error:  # also SystemExit: a job without an outcome would block all later ones
            self.outcome = Outcome(error=error)


class OrderedExecutor:
    """A pool of one thread per core. At most two jobs per core are running or waiting for delivery.

    Args:
        name: Prefix of the names of its threads.
    """

    def __init__(self, name: str) -> None:
        cores = _cores()
        self._pool = ThreadPoolExecutor(cores, thread_name_prefix=name)
        self._max_threaded = 2 * cores  # one running and one ready per thread
        self._jobs: deque[_Job] = deque()
        self._threaded = 0
        self._dropped = False
        self._delivery = threading.Condition()  # locked during each delivery, which keeps the order

    def wait_for_room(self) -> None:
        """Blocks until another job may be submitted."""
        with self._delivery:
            self._delivery.wait_for(self._has_room)

    def submit(self, make: Callable[[], T], deliver: Deliver[T], *, inline: bool = False) -> None:
        """Runs `make` and hands its outcome to `deliver` once all earlier outcomes are delivered.

        Blocks while too many jobs are pending.

        Args:
            make: The work.
            deliver: Called in any of the threads, or in this one.
            inline: Run `make` in this thread, for work that is cheaper than a hand-over between threads.
        """
        job = _Job(make, deliver, threaded=not inline)
        self.wait_for_room()
        if inline:
            job.run()
        with self._delivery:
            if job.threaded:
                self._pool.submit(self._work, job)
                self._threaded += 1
            self._jobs.append(job)
            self._deliver_done()

    def wait(self) -> None:
        """Blocks until all outcomes are delivered."""
        with self._delivery:
            self._delivery.wait_for(lambda: not self._jobs)

    def close(self, *, wait: bool = True) -> None:
        """Ends the threads after the last delivery; without `wait` outstanding jobs are dropped."""
        if wait:
            self.wait()
        self._dropped = not wait
        self._pool.shutdown(wait=False, cancel_futures=not wait)

    def _has_room(self) -> bool:
        return self._threaded < self._max_threaded and len(self._jobs) < _MAX_PENDING

    def _work(self, job: _Job) -> None:
        job.run()
        with self._delivery:
            self._deliver_done()

    def _deliver_done(self) -> None:
        while self._jobs and not self._dropped and (outcome := self._jobs[0].outcome) is not None:
            # Stays in the queue during its delivery, so that `wait` includes it.
            self._jobs[0].deliver(outcome)
            self._threaded -= self._jobs.popleft().threaded
            self._delivery.notify_all()


def ordered_map(jobs: Iterable[tuple[str, Callable[[], T], bool]]) -> Iterator[tuple[str, T]]:
    """Results of `(name, make, costly)` in the order of `jobs`; costly ones are computed in threads.

    `jobs` is read only as far ahead as jobs may be pending. An error of a job, or of `jobs` itself, is raised
    after the results before it.

    Example:
        >>> list(ordered_map([("a", lambda: 1, True), ("b", lambda: 2, False)]))
        [('a', 1), ('b', 2)]
    """
    ready: deque[tuple[str, Outcome[T]]] = deque()
    executor = OrderedExecutor("mosaico-map")
    try:
        for name, make, costly in _until_error(jobs):
            executor.submit(make, partial(_collect, ready, name), inline=not costly)
            yield from _drain(ready)
        executor.wait()
        yield from _drain(ready)
    finally:
        executor.close(wait=False)


def _until_error(
    jobs: Iterable[tuple[str, Callable[[], T], bool]],
) -> Iterator[tuple[str, Callable[[], T], bool]]:
    """The jobs; an error of the iterable becomes a last job that raises it in its turn."""
    try:
        yield from jobs
    except Exception as error:
        yield "", Outcome[T](error=error).get, False


def _collect(ready: "deque[tuple[str, Outcome[T]]]", name: str, outcome: Outcome[T]) -> None:
    ready.append((name, outcome))


def _drain(ready: "deque[tuple[str, Outcome[T]]]") -> Iterator[tuple[str, T]]:
    while ready:
        name, outcome = ready.popleft()
        yield name, outcome.get()
