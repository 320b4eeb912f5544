"""Tables of commands: no trailing spaces, no broken words, spare columns on narrow terminals."""

import pytest

from mosaicolabs._terminal.tables import Table


def sequences() -> Table:
    table = Table(
        "sequence", "topics", "size", "state", numbers=["topics", "size"], spare=["topics", "state"]
    )
    table.add_row("flight-over-the-north-field", "12", "1.9 MB", "finalized")
    table.add_row("run-7", "3", "20 kB", "open")
    return table


def test_lines_have_no_trailing_spaces() -> None:
    lines = list(sequences().lines(None))
    assert lines == [
        "sequence                     topics    size  state",
        "flight-over-the-north-field      12  1.9 MB  finalized",
        "run-7                             3   20 kB  open",
    ]
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (54, ["sequence", "topics", "size", "state"]),
        (53, ["sequence", "size", "state"]),
        (40, ["sequence", "size"]),
        (20, ["sequence", "size"]),
    ],
)
def test_a_narrow_terminal_does_without_spare_columns(width: int, columns: list[str]) -> None:
    first, *_ = sequences().lines(width)
    assert first.split() == columns


def test_words_of_the_last_column_continue_below() -> None:
    table = Table("topic", "message")
    table.add_row(
        "/imu", "the daemon lost its connection to https://robots.example.org/a/very/long/path twice"
    )
    lines = list(table.lines(40))
    assert lines == [
        "topic  message",
        "/imu   the daemon lost its connection to",
        "       https://robots.example.org/a/very/long/path",
        "       twice",
    ]


def test_cells_are_one_line_and_printable() -> None:
    table = Table("a")
    table.add_row("x\ny\x1b[2J")
    assert list(table.lines(None)) == ["a", "x\\ny\\x1b[2J"]


def test_a_row_has_a_cell_per_column() -> None:
    with pytest.raises(ValueError, match="argument"):
        Table("a", "b").add_row("x")
