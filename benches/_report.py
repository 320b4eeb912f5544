"""`BENCHMARKS.md`: the tables and plots of a run, with the machine and how to run it again."""

import os
import platform
import re
import shutil
from collections.abc import Iterable
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

import _plot
from _harness import Options, Row

import mosaicolabs

# The folder of the plots, beside the page.
PLOTS = "benches/plots"

TITLES = {
    "push": "Recording messages",
    "topics": "Many topics",
    "columnar": "Recording columns",
    "replay": "Replaying messages",
    "columns": "Reading columns",
    "ml": "Frames for machine learning",
    "images": "Raw images",
    "pictures": "Encoding images",
    "query": "Queries",
    "catalog": "Start and rebuild",
    "growth": "Growth",
    "load": "Beside slow clients",
    "memory": "Memory",
}
# What both sides use; tools that are not installed are left out.
PACKAGES = ("pyarrow", "mcap", "zstandard", "numpy", "pydantic", "pillow")


def write(page: Path, groups: dict[str, list[Row]], options: Options) -> None:
    """Writes the page and its plots; plots of an earlier run disappear."""
    plots = page.parent / PLOTS
    shutil.rmtree(plots, ignore_errors=True)
    plots.mkdir(parents=True)
    bars = [
        _plot.Ratio(label_of(row), times)
        for rows in groups.values()
        for row in rows
        if row.goal not in ("-", "growth") and (times := advantage(row)) is not None
    ]
    (plots / "ratios.svg").write_text(_plot.ratios("Times as good as the other way (log scale)", bars))
    parts = [
        "# Benchmarks",
        INTRODUCTION,
        how(options),
        f"![Ratios of all rows]({PLOTS}/ratios.svg)",
        "## Machine",
        table(("", ""), machine(options)),
    ]
    for group, rows in groups.items():
        parts.append(f"## {TITLES[group]}")
        parts.append(table(HEADINGS, (cells(row, options) for row in rows)))
        for number, (title, lines) in enumerate(charts(rows)):
            name = f"{group}-{number}.svg" if number else f"{group}.svg"
            (plots / name).write_text(_plot.figures(title, lines))
            parts.append(f"![{title}]({PLOTS}/{name})")
    parts += ["## Run it again", RUN]
    page.write_text("\n\n".join(parts) + "\n")


HEADINGS = ("", "case", "size", "unit", "ours", "embedded", "other", "other way", "ratio", "goal", "verdict")
INTRODUCTION = """Written by `make bench`; [benches/](benches/README.md) describes each row. `ours` uses a \
daemon process over loopback TCP, `embedded` a daemon inside the client's process. The ratio is that of \
`ours` to the other way, measured in the same run: it hardly depends on the machine, absolute figures do."""
RUN = """```sh
make bench                              # the same: builds the wheel, measures, writes this page
python benches/run.py --only push       # some groups, as a table in the terminal
```

The machine should be idle: a load average below 1 before the start. The data is seeded and equal for \
all sides."""


def how(options: Options) -> str:
    if options.quick:
        return "**A quick run with a hundredth of the work: these figures mean nothing.**"
    load = os.getloadavg()[0]
    figures = f"Figures are medians of {options.repetitions} rounds after one warm-up round"
    return f"{date.today():%Y-%m-%d}. {figures}; the load average at the end was {load:.1f}."


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""

    def line(values: Iterable[str]) -> str:
        return f"| {' | '.join(value.replace('|', chr(92) + '|') for value in values)} |"

    headings = tuple(headings)
    return "\n".join([line(headings), line("---" for _ in headings), *map(line, rows)])


def cells(row: Row, options: Options) -> tuple[str, ...]:
    """The cells of a row, below `HEADINGS`."""
    goal = "" if row.least_ratio is None else f">= {row.least_ratio:g}x"
    goal = goal if row.most is None else f"<= {row.most:g}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
    figures = (number(row.ours), number(row.embedded), number(row.other))
    return (
        *(row.goal, row.case, row.size, row.unit),
        *figures,
        *(row.other_way, ratio, goal, verdict(row, options)),
    )


def verdict(row: Row, options: Options) -> str:
    return "-" if options.quick else row.verdict


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def label_of(row: Row) -> str:
    return f"{row.case}, {row.size}" if row.goal in ("G14", "P5", "P6") else row.case


def advantage(row: Row) -> float | None:
    """How many times better ours is; None where there is nothing to compare with."""
    if not row.ratio:
        return None
    return row.ratio if row.more_is_better else 1 / row.ratio


def charts(rows: list[Row]) -> list[tuple[str, list[_plot.Figure]]]:
    """The rows of a group as charts, one for each unit."""
    found = []
    for unit, of_unit in groupby(sorted(rows, key=lambda row: row.unit), key=lambda row: row.unit):
        lines, better = [], "more"
        for row in of_unit:
            sides = {"ours": row.ours, "embedded": row.embedded, "other": row.other}
            values = {side: value for side, value in sides.items() if value is not None}
            lines.append(_plot.Figure(label_of(row), values))
            better = "more" if row.more_is_better else "less"
        found.append((f"{unit}, {better} is better", lines))
    return found


def machine(options: Options) -> list[tuple[str, str]]:
    """What the figures depend on."""
    rows = [
        ("processor", f"{os.cpu_count()} cores, {_processor()}"),
        ("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"),
        ("file system", _file_system(options.folder)),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("mosaicolabs", mosaicolabs.__version__),
        ("Python", platform.python_version()),
    ]
    for package in PACKAGES:
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return rows


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", described.read_text()) if described.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    """The file system of a folder, whose syncs the durable rows wait for."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    place = folder.resolve()
    fields = [line.split() for line in mounts.read_text().splitlines()]
    above = [field for field in fields if place.is_relative_to(field[1])]
    return max(above, key=lambda field: len(field[1]))[2] if above else "unknown"
