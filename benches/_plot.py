"""Bars as SVG, without a plotting library: readable on light and dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log2

WIDTH = 900
_LABELS, _FIGURES = 390, 90
_BAR, _GAP, _PAD = 14, 4, 12
_STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px; fill: #57606a }
.title { font-weight: 600 }
.axis { stroke: #8c959f; stroke-width: 1 }
.ours, .better { fill: #1a7f64 }
.embedded { fill: #6fb39e }
.other { fill: #b6bcc4 }
.worse { fill: #c4554d }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #9198a1 }
  .other { fill: #545d68 }
}
</style>"""


@dataclass(frozen=True)
class Ratio:
    """One bar of `ratios`: how many times better ours is, below 1 how many times worse."""

    label: str
    times: float


@dataclass(frozen=True)
class Figure:
    """One line of `figures`: values by series, `ours`, `embedded` or `other`."""

    label: str
    values: dict[str, float]


def ratios(title: str, bars: Sequence[Ratio]) -> str:
    """A chart of ratios: bars to the right of the axis are better than the other way, to the left worse.

    The axis is logarithmic, so that twice as fast is as long as half as fast.
    """
    reach = max([abs(log2(bar.times)) for bar in bars] + [1.0])
    left, right = _LABELS, WIDTH - _PAD
    middle = (left + right) / 2
    scale = ((right - left) / 2 - _FIGURES) / reach
    shapes, y = [], 44.0
    for bar in bars:
        length = abs(log2(bar.times)) * scale
        better = bar.times >= 1
        x = middle if better else middle - length
        shapes.append(_text(left - 10, y, bar.label, anchor="end"))
        shapes.append(_bar(x, y, length, "better" if better else "worse"))
        at, anchor = (x + length + 6, "start") if better else (x - 6, "end")
        shapes.append(_text(at, y, f"{bar.times:.2g}x", anchor=anchor, style="small"))
        y += _BAR + 2 * _GAP
    shapes.insert(0, f'<line class="axis" x1="{middle:.1f}" x2="{middle:.1f}" y1="34" y2="{y - _GAP:.1f}"/>')
    return _document(title, shapes, y)


def figures(title: str, lines: Sequence[Figure]) -> str:
    """A chart of absolute figures from 0 on, with a bar for each series of a line."""
    most = max(value for line in lines for value in line.values.values()) or 1.0
    scale = (WIDTH - _LABELS - _FIGURES - _PAD) / most
    shapes, y = [], 44.0
    for line in lines:
        top = y
        for series, value in line.values.items():
            shapes.append(_bar(_LABELS, y, value * scale, series))
            shapes.append(_text(_LABELS + value * scale + 6, y, f"{value:.3g}  {series}", style="small"))
            y += _BAR + 2
        shapes.append(_text(_LABELS - 10, (top + y - _BAR - 2) / 2, line.label, anchor="end"))
        y += 2 * _GAP
    return _document(title, shapes, y)


def _bar(x: float, y: float, length: float, style: str) -> str:
    return (
        f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{max(length, 1):.1f}" height="{_BAR}" rx="2"/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", style: str = "") -> str:
    place = f'x="{x:.1f}" y="{y + _BAR - 3:.1f}" text-anchor="{anchor}"'
    return f'<text {place} class="{style}">{escape(text)}</text>'


def _document(title: str, shapes: Sequence[str], height: float) -> str:
    size = f'width="{WIDTH}" height="{height + _PAD:.0f}" viewBox="0 0 {WIDTH} {height + _PAD:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
    heading = f'<text x="{_PAD}" y="22" class="title">{escape(title)}</text>'
    return "\n".join([head, _STYLE, heading, *shapes, "</svg>", ""])
