"""The progress display: the final figures stay on a terminal, and files receive nothing."""

import io

import pytest
from rich.console import Console, RenderableType

from mosaicolabs._streams import transfer_progress
from mosaicolabs._streams.progress import ProgressDisplay
from mosaicolabs._streams.transfer_progress import progress_bar


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120)


def written(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Console:
    terminal = console(terminal=True)
    monkeypatch.setattr(transfer_progress, "SafeConsole", lambda **options: terminal)
    return terminal


def test_final_figures_stay_on_a_terminal() -> None:
    figures = ["first"]
    terminal = console(terminal=True)

    def render() -> RenderableType:
        return figures[-1]

    with ProgressDisplay(render, terminal) as display:
        figures.append("last")
        display.stop()
        figures.append("after the stop")

    assert "last" in written(terminal)
    assert "after the stop" not in written(terminal)


def test_nothing_is_rendered_where_no_one_looks() -> None:
    def render() -> RenderableType:
        raise AssertionError("rendered")

    file = console(terminal=False)
    with ProgressDisplay(render, file):
        pass
    assert written(file) == ""


def test_progress_bar_shows_messages_and_bytes(stderr: Console) -> None:
    with progress_bar("ingesting", 4_000_000) as advance:
        for _ in range(3):
            advance(1, 1_000_000)

    shown = written(stderr)
    assert "ingesting" in shown
    assert "3.0/4.0 MB 3 msg" in shown
    assert "msg/s" in shown
