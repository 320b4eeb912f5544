"""Logging through the standard library: silent by default, then as the application configures it."""

import io
import logging
import re

import pytest
from rich.console import Console
from rich.logging import RichHandler

from mosaicolabs import get_logger, setup_sdk_logging


def test_names_are_taken_as_given() -> None:
    assert get_logger().name == "mosaicolabs"
    assert get_logger("mosaicolabs.ml").name == "mosaicolabs.ml"
    assert get_logger("elsewhere") is logging.getLogger("elsewhere")


def test_nothing_is_printed_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in get_logger().handlers)
    get_logger("mosaicolabs.handlers").error("not configured")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("level", ["warning", "WARNING", logging.WARNING])
def test_plain_lines_on_stderr(capsys: pytest.CaptureFixture[str], level: str | int) -> None:
    setup_sdk_logging(level)
    get_logger("mosaicolabs.handlers").info("not shown")
    get_logger("mosaicolabs.handlers").warning("shown")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert re.fullmatch(r"[\d-]+ [\d:,]+ \[WARNING\] mosaicolabs\.handlers: shown", lines[0])


def test_setup_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    setup_sdk_logging()
    setup_sdk_logging()
    assert len(get_logger().handlers) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_pretty_lines_go_to_a_console() -> None:
    console = Console(file=io.StringIO(), width=200)
    setup_sdk_logging("DEBUG", pretty=True, console=console)
    get_logger("mosaicolabs.comm").debug("hello")
    (handler,) = get_logger().handlers
    assert isinstance(handler, RichHandler)
    assert isinstance(console.file, io.StringIO)
    assert "mosaicolabs.comm: hello" in console.file.getvalue()


def test_records_propagate_only_on_request(caplog: pytest.LogCaptureFixture) -> None:
    setup_sdk_logging("INFO")
    get_logger().info("for us")
    assert caplog.records == []
    setup_sdk_logging("INFO", propagate=True)
    get_logger().info("for all")
    assert [record.message for record in caplog.records][-1] == "for all"
