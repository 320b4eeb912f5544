"""Makes costly results in threads, a few ahead, and hands all out in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_MAX_WAITING = 1000


def run_ahead(jobs: Iterable[tuple[str, Callable[[], T], bool]]) -> Iterator[tuple[str, T]]:
    """Results of `(name, make, costly)` in order; those that are costly are made in threads.

    Encoders of images release the GIL, so that reading and encoding go on side by side. At most two costly
    results per core are under way. An error of `jobs` comes after the results of those before it.

    Example:
        >>> list(run_ahead([("a", lambda: 1, True), ("b", lambda: 2, False)]))
        [('a', 1), ('b', 2)]
    """
    workers = os.cpu_count() or 1
    waiting: deque[tuple[str, Future[T] | T]] = deque()
    under_way = 0
    failure: Exception | None = None
    jobs = iter(jobs)
    with ThreadPoolExecutor(workers, thread_name_prefix="mosaico-translate") as pool:
        while True:
            try:
                name, make, costly = next(jobs)
            except StopIteration:
                break
            except Exception as error:
                failure = error
                break
            waiting.append((name, pool.submit(make) if costly else make()))
            under_way += costly
            while waiting:
                result = waiting[0][1]
                if isinstance(result, Future):
                    full = under_way > 2 * workers or len(waiting) > _MAX_WAITING
                    if not result.done() and not full:
                        break
                    under_way -= 1
                yield waiting.popleft()[0], _value(result)
        for name, result in waiting:
            yield name, _value(result)
    if failure is not None:
        raise failure


def _value(result: Future[T] | T) -> T:
    return result.result() if isinstance(result, Future) else result
