"""The layers of the package: modules import their own layer and lower ones, and form no circle.

Every import counts, also one inside a function or for type checkers only.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "python"
PACKAGE = "mosaicolabs"

LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "exceptions",
        "logging_config",
        "enum",
        "helpers",
        "_closing",
        "_distribution",
        "_lazy_names",
        "_printable",
        "_safe_console",
        "_native",
    ),  # know nothing of the others
    ("models",),  # data classes, queries
    ("_protocol",),  # what travels: actions, answers, addresses
    ("_streams",),  # opening, schemas, conversions, progress, ordered work
    ("export",),  # sequences into other formats; handlers give it what it reads
    ("handlers",),  # writers, handlers, streamers
    ("comm",),  # the client
    ("ingest", "ml"),  # recordings into sequences; sequences into frames
    ("_terminal",),  # what commands share
    ("ros_bridge", "demo"),
    # Plug-ins that `ingest` and `export` find by entry points.
    (
        "ingest.asl",
        "ingest.dataflash",
        "ingest.kitti",
        "ingest.table",
        "ingest.tum",
        "ingest.ulog",
        "ingest.rosbag",
        "export.tables",
        "export.images",
        "export.video",
        "export.rosbag",
    ),
    ("cli",),
    ("", "__main__"),  # the package itself: re-exports, and its command
)
"""From the bottom up. A name stands for a module or a package; the longest one that fits decides."""

ONLY_FOR_TYPES = {("models.query.response", "handlers.query_reader")}
"""Upward, seen by type checkers alone: `QueryResponse.get_data_streamer` names the class that users get."""

Edges = dict[str, set[str]]


def modules(sources: Path) -> dict[str, Path]:
    """Modules of the package below its name: `comm.events`, `comm`, and ` ` for the package itself."""
    found = {}
    root = sources / PACKAGE
    for path in [*root.rglob("*.py"), *root.glob("*.pyi")]:
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, module: str, known: dict[str, Path]) -> Iterator[tuple[str, bool]]:
    """What a module imports of the package, and whether only type checkers see it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    is_package = path.stem == "__init__"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package=is_package)
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name == PACKAGE or name.startswith(f"{PACKAGE}."):
                yield _module_of(name, known), id(node) in for_types


def _absolute(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    here = [PACKAGE, *module.split(".")] if module else [PACKAGE]
    up = node.level - is_package
    return ".".join([*here[: len(here) - up], *([node.module] if node.module else [])])


def _module_of(name: str, known: dict[str, Path]) -> str:
    """The module that a dotted name is, or is defined in."""
    below = name.removeprefix(PACKAGE).removeprefix(".")
    return below if below in known else below.rpartition(".")[0]


def layer_of(module: str) -> int:
    fitting = [
        (len(name), number)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or (name and module.startswith(f"{name}."))
    ]
    assert fitting, f"{module} belongs to no layer; add it to LAYERS"
    return max(fitting)[1]


def problems(sources: Path) -> list[str]:
    """Upward imports, and the first circle."""
    known = modules(sources)
    edges: Edges = {}
    found = []
    for module, path in known.items():
        edges[module] = set()
        for target, for_types in imports(path, module, known):
            if for_types and (module, target) in ONLY_FOR_TYPES:
                continue
            if layer_of(target) > layer_of(module):
                found.append(f"{module} imports {target} of a higher layer")
            if target != module:
                edges[module].add(target)
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        found.append(f"circle: {' <- '.join(error.args[1])}")
    return found


def test_no_module_imports_upward_or_in_a_circle() -> None:
    assert problems(SOURCES) == []


def test_all_modules_are_read() -> None:
    known = modules(SOURCES)
    assert {"", "_native", "comm.mosaico_client", "handlers", "models.query.response"} <= known.keys()
    assert len(known) > 150
    for module, target in ONLY_FOR_TYPES:
        found = list(imports(known[module], module, known))
        assert (target, True) in found, "it is not needed any more: remove it from ONLY_FOR_TYPES"
        assert (target, False) not in found


@pytest.mark.parametrize(
    ("changed", "line", "problem"),
    [
        ("enum/__init__.py", "from mosaicolabs.handlers import Batches", "enum imports handlers of a higher"),
        ("_streams/open.py", "import mosaicolabs.comm.events", "_streams.open imports comm.events of a"),
        ("_protocol/actions.py", "def f():\n    from .. import comm", "_protocol.actions imports comm of a"),
        ("handlers/config.py", "from .sequence_writer import SequenceWriter", "circle: "),
        ("handlers/batches.py", "def f():\n    from . import topic_handler", "circle: "),
        (
            "models/header.py",
            "from typing import *\nif TYPE_CHECKING:\n    from ..comm import events",
            "header",
        ),
    ],
)
def test_such_an_import_is_found(tmp_path: Path, changed: str, line: str, problem: str) -> None:
    for path in modules(SOURCES).values():
        copy = tmp_path / path.relative_to(SOURCES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    assert problems(tmp_path) == []

    target = tmp_path / PACKAGE / changed
    target.write_text(f"{target.read_text()}\n{line}\n")

    assert any(problem in found for found in problems(tmp_path))
