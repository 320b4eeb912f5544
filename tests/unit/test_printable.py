"""Recorded text never commands the terminal."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from mosaicolabs import get_logger, setup_sdk_logging
from mosaicolabs._printable import printable
from mosaicolabs._safe_console import SafeConsole
from mosaicolabs._terminal.output import echo, print_json

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31mEVIL\x9b1m\u202egnp.exe\r"


def unprintable(text: str) -> set[str]:
    """Characters that are neither text, nor a space, nor a line end or tab."""
    return {character for character in text if not (character.isprintable() or character in " \t\n")}


@given(st.text())
def test_printable_text_has_no_control_characters(text: str) -> None:
    shown = printable(text)
    assert not {c for c in shown if c not in "\t\n" and (ord(c) < 32 or 127 <= ord(c) < 160)}
    shown.encode()
    assert printable(shown) == shown


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_a_console_commands_the_terminal_by_its_styles_alone() -> None:
    out = io.StringIO()
    console = SafeConsole(file=out, force_terminal=True, width=200)
    table = Table("name", header_style="bold")
    table.add_row(HOSTILE)
    console.print(table)
    console.print(f"[bold]{HOSTILE}")
    shown = out.getvalue()
    assert "\x1b[1m" in shown, "styles work"
    for command in ("\x1b]0;", "\x1b[2J", "\x1b[31m", "\x9b", "\u202e", "\x07"):
        assert command not in shown, repr(command)
    assert r"\x1b[2J" in shown
    assert "EVIL" in shown


def test_lines_and_documents(capsys: pytest.CaptureFixture[str]) -> None:
    echo(HOSTILE + "\nsecond")
    print_json({HOSTILE: HOSTILE})
    line, document = capsys.readouterr().out.splitlines()
    assert not unprintable(line + document)
    assert line.endswith(r"\nsecond")
    assert json.loads(document) == {HOSTILE: HOSTILE}


@pytest.mark.parametrize("pretty", [False, True])
def test_log_lines(capsys: pytest.CaptureFixture[str], *, pretty: bool) -> None:
    setup_sdk_logging("warning", pretty=pretty)
    try:
        get_logger("mosaicolabs.handlers").warning("topic %s", HOSTILE)
    finally:
        for handler in [h for h in get_logger().handlers if not isinstance(h, logging.NullHandler)]:
            get_logger().removeHandler(handler)
    shown = capsys.readouterr().err
    assert "EVIL" in shown
    assert not unprintable(shown)
