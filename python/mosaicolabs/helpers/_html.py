"""Notebook display of handlers and query results: a table with a small time line."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["Row", "facts", "table"]

_LINE_WIDTH_PX = 240
_LEAST_PX = 2.0


@dataclass(frozen=True)
class Row:
    """One row of a table: its cells and its time span."""

    cells: Sequence[str]
    start_ns: int | None
    end_ns: int | None


def table(headings: Sequence[str], rows: Iterable[Row]) -> str:
    """A table whose time line spans from the earliest start to the latest end."""
    rows = list(rows)
    times = [time for row in rows for time in (row.start_ns, row.end_ns) if time is not None]
    low, high = min(times, default=0), max(times, default=0)
    head = "".join(f"<th style='text-align:left'>{escape(text)}</th>" for text in (*headings, ""))
    body = "".join(f"<tr>{_cells(row)}<td>{_line(row, low, high)}</td></tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts(title: str, lines: Iterable[str], user_metadata: dict[str, Any]) -> str:
    """A heading, facts below it, and the collapsed user metadata."""
    text = "<br>".join(escape(line) for line in lines)
    metadata = ""
    if user_metadata:
        shown = escape(json.dumps(user_metadata, indent=2, ensure_ascii=False, default=str))
        metadata = f"<details><summary>metadata</summary><pre>{shown}</pre></details>"
    return f"<div><b>{escape(title)}</b><br>{text}{metadata}</div>"


def _cells(row: Row) -> str:
    return "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row.cells)


def _line(row: Row, low: int, high: int) -> str:
    if row.start_ns is None or row.end_ns is None:
        return ""
    scale = _LINE_WIDTH_PX / max(high - low, 1)
    width = max((row.end_ns - row.start_ns) * scale, _LEAST_PX)
    left = min((row.start_ns - low) * scale, _LINE_WIDTH_PX - width)
    return (
        f"<svg width='{_LINE_WIDTH_PX}' height='10' role='img' aria-label='time line'>"
        f"<line x1='0' y1='5' x2='{_LINE_WIDTH_PX}' y2='5' stroke='currentColor' stroke-opacity='0.2'/>"
        f"<rect x='{left:.1f}' y='1' width='{width:.1f}' height='8' fill='currentColor' fill-opacity='0.6'/>"
        "</svg>"
    )
