"""The benchmarks run and show every row; their results are not judged here."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

RUN = Path(__file__).parents[2] / "benches" / "run.py"

# Goal and number of rows: G1 with objects and with plain values, G3 with 16 and 64 topics, and creation and
# close, G14 for two kinds of data, two jobs, two processes.
ROWS = {
    "G1": 2,
    "G2": 1,
    "G3": 4,
    "G4": 2,
    "-": 6,
    "G7": 1,
    "G8": 1,
    "G9": 2,
    "ML": 2,
    "G5": 1,
    "G6": 2,
    "G16": 2,
    "G10": 1,
    "G12": 2,
    "G13": 3,
    "G15": 2,
    "growth": 4,
    "P6": 2,
    "P5": 1,
    "G14": 8,
}


TIMEOUT_S = 400

pytestmark = pytest.mark.timeout(TIMEOUT_S + 20)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page") / "BENCHMARKS.md"


@pytest.fixture(scope="module")
def report(page: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("benches")
    command = [sys.executable, RUN, "--quick", "--json", "--folder", folder, "--write", page]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    assert not list(folder.iterdir()), "the benchmarks clean up after themselves"
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def test_every_goal_has_its_rows(report: dict[str, Any]) -> None:
    goals = [row["goal"] for row in report["rows"]]
    assert {goal: goals.count(goal) for goal in goals} == ROWS


def test_both_sides_were_measured(report: dict[str, Any]) -> None:
    for row in report["rows"]:
        assert row["other"] > 0, row
        if row["goal"] != "-":
            assert row["ours"] > 0, row
            assert row["ratio"] == pytest.approx(row["ours"] / row["other"])


def test_a_quick_run_claims_nothing(report: dict[str, Any]) -> None:
    assert report["quick"] is True
    assert {row["verdict"] for row in report["rows"]} == {"-"}


def test_the_page_shows_every_row_and_the_machine(report: dict[str, Any], page: Path) -> None:
    text = page.read_text()
    lines = [line.split(" | ") for line in text.splitlines()]
    for row in report["rows"]:
        assert [row["case"], row["size"], row["unit"]] in [line[1:4] for line in lines], row
    assert "these figures mean nothing" in text
    assert re.search(r"\| processor \| [0-9]+ cores, .+ \|", text)
    assert re.search(r"\| mosaicolabs \| [0-9.]+ \|", text)


def test_the_page_links_to_plots_with_a_bar_for_each_figure(report: dict[str, Any], page: Path) -> None:
    plots = [page.parent / link for link in re.findall(r"\]\((.*\.svg)\)", page.read_text())]
    assert sorted(plots) == sorted((page.parent / "benches" / "plots").iterdir())
    bars = {plot.name: len(ElementTree.parse(plot).findall("{*}rect")) for plot in plots}
    compared = [row for row in report["rows"] if row["goal"] not in ("-", "growth")]
    assert bars.pop("ratios.svg") == len(compared)
    figures = [row[side] for row in report["rows"] for side in ("ours", "embedded", "other")]
    assert sum(bars.values()) == len([figure for figure in figures if figure is not None])
