"""Jobs run in threads; results are delivered in order, none is lost, and pending work is bounded."""

import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs._streams import ordered_executor
from mosaicolabs._streams.ordered_executor import OrderedExecutor, ordered_map

LIMIT = 2 * ordered_executor._cores()


class Jobs:
    """Makes jobs, and knows which threads they ran in."""

    def __init__(self, costly: list[bool], fails: bool = False) -> None:
        self.costly, self.fails = costly, fails
        self.threads: set[int] = set()

    def jobs(self) -> Iterator[tuple[str, Callable[[], int], bool]]:
        for i, costly in enumerate(self.costly):
            yield str(i), self.make(i), costly
        if self.fails:
            raise OSError("the input ends here")

    def make(self, i: int) -> Callable[[], int]:
        def made() -> int:
            self.threads.add(threading.get_ident())
            return i

        return made


@given(st.lists(st.booleans(), max_size=60), st.booleans())
def test_results_keep_the_order_of_jobs(costly: list[bool], fails: bool) -> None:
    made = Jobs(costly, fails)
    found = []

    try:
        for result in ordered_map(made.jobs()):
            found.append(result)
    except OSError:
        assert fails
    else:
        assert not fails

    assert found == [(str(i), i) for i in range(len(costly))]


def test_costly_jobs_run_in_other_threads() -> None:
    made = Jobs([True] * 5)

    assert len(list(ordered_map(made.jobs()))) == 5
    assert threading.get_ident() not in made.threads


def test_pending_jobs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_executor, "_MAX_PENDING", 20)
    gate = threading.Event()
    taken = 0

    def jobs(costly: bool) -> Iterator[tuple[str, Callable[[], bool], bool]]:
        nonlocal taken
        yield "slow", lambda: gate.wait(30), True
        for number in range(1, 1000):
            taken = number
            yield "next", lambda: True, costly

    for costly, most in ((True, LIMIT), (False, 20)):
        gate.clear()
        taken = 0
        results = ordered_map(jobs(costly))
        waiter = threading.Thread(target=next, args=(results,))
        waiter.start()
        while taken < most:
            waiter.join(0.01)
            assert waiter.is_alive()
        waiter.join(0.1)  # time to take more, if nothing stopped it
        assert taken == most
        gate.set()
        waiter.join(30)
        assert sum(1 for _ in results) == 999


@pytest.mark.parametrize("costly", [True, False])
def test_error_of_a_job_is_raised_after_earlier_results(costly: bool) -> None:
    gate = threading.Event()

    def fail() -> bool:
        raise KeyError("broken")

    def jobs() -> Iterator[tuple[str, Callable[[], bool], bool]]:
        yield "slow", lambda: gate.wait(30), True
        yield "bad", fail, costly
        gate.set()
        yield "next", lambda: True, costly

    results = ordered_map(jobs())
    assert next(results) == ("slow", True)
    with pytest.raises(KeyError, match="broken"):
        next(results)


def test_closing_without_waiting_drops_pending_jobs() -> None:
    gate, delivered = threading.Event(), []
    executor = OrderedExecutor("test")
    for number in range(LIMIT):
        executor.submit(lambda number=number: gate.wait(30) and number, delivered.append)  # type: ignore[misc]
    executor.close(wait=False)
    gate.set()
    executor._pool.shutdown(wait=True)
    assert delivered == []
