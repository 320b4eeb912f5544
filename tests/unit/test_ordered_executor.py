"""Results that are made in threads come in order, all of them, and not too many at once."""

import os
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaicolabs._streams import ordered_executor
from mosaicolabs._streams.ordered_executor import run_ahead

LIMIT = 2 * (os.cpu_count() or 1)


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
def test_order(costly: list[bool], fails: bool) -> None:
    made = Jobs(costly, fails)
    found = []

    try:
        for result in run_ahead(made.jobs()):
            found.append(result)
    except OSError:
        assert fails
    else:
        assert not fails

    assert found == [(str(i), i) for i in range(len(costly))]


def test_costly_ones_are_made_elsewhere() -> None:
    made = Jobs([True] * 5)

    assert len(list(run_ahead(made.jobs()))) == 5
    assert threading.get_ident() not in made.threads


def test_few_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_executor, "_MAX_WAITING", 20)
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
        results = run_ahead(jobs(costly))
        waiter = threading.Thread(target=next, args=(results,))
        waiter.start()
        while taken < most:
            waiter.join(0.01)
            assert waiter.is_alive()
        waiter.join(0.1)  # would go on, if nothing held it
        assert taken == most
        gate.set()
        waiter.join(30)
        assert sum(1 for _ in results) == 999
