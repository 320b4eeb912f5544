"""Measures ours beside other ways in one run and prints one table; see README.md.

python benches/run.py [--quick] [--json] [--write BENCHMARKS.md] [--only push ...]
"""

import argparse
import importlib
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from _harness import Options, Row, isolated
from _report import HEADINGS, cells, verdict, write

# Modules, imported where they run: memory counts what a client needs, not what other groups do.
GROUPS = (
    "push",
    "topics",
    "columnar",
    "replay",
    "columns",
    "ml",
    "images",
    "pictures",
    "query",
    "catalog",
    "growth",
    "load",
    "memory",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ours beside other ways, both sides in one run.")
    parser.add_argument(
        "--quick", action="store_true", help="a hundredth of the work, once; measures nothing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="also write this page, with plots beside it"
    )
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="groups to run")
    parser.add_argument("--repetitions", type=int, default=5, help="timed runs of each side (default: 5)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to write")
    parser.add_argument(
        "--mosaicod",
        type=Path,
        default=Path(sys.executable).with_name("mosaicod"),
        help="the daemon's executable (default: the one installed beside this Python)",
    )
    given = parser.parse_args()
    options = Options(
        folder=given.folder,
        mosaicod=given.mosaicod,
        repetitions=1 if given.quick else given.repetitions,
        quick=given.quick,
    )
    groups: dict[str, list[Row]] = {}
    for name in given.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        groups[name] = isolated(run, name, options)
    if given.write is not None:
        write(given.write, groups, options)
    rows = [row for found in groups.values() for row in found]
    print(as_json(rows, options) if given.json else as_table(rows, options))


def run(group: str, options: Options) -> list[Row]:
    rows: list[Row] = importlib.import_module(group).rows(options)
    return rows


def as_json(rows: list[Row], options: Options) -> str:
    lines = [{**asdict(row), "ratio": row.ratio, "verdict": verdict(row, options)} for row in rows]
    return json.dumps({"quick": options.quick, "machine": machine(), "rows": lines}, indent=2)


def as_table(rows: list[Row], options: Options) -> str:
    texts = [HEADINGS, *(cells(row, options) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    numeric = {HEADINGS.index(name) for name in ("ours", "embedded", "other", "ratio", "goal")}
    lines = [
        "  ".join(
            cell.rjust(width) if index in numeric else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in texts
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    how = "quick: these figures mean nothing" if options.quick else f"medians of {options.repetitions}"
    return "\n".join([*lines, "", f"{machine()}; {how}"])


def machine() -> str:
    system = f"{platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
