"""Names, signatures and `.Q` leaves of the query language against the recorded contract."""

import dataclasses
import importlib
import inspect
import json
import os
from pathlib import Path
from typing import Any

import pytest

from mosaicolabs import MosaicoClient
from mosaicolabs.models.query.generation.mixins import _QueryableUnsupported

SHARED = Path(os.environ.get("MOSAICO_SHARED", Path(__file__).parents[2].parent / "shared"))
API = json.loads((SHARED / "contract" / "api.json").read_text())
ONTOLOGIES = json.loads((SHARED / "contract" / "ontologies.json").read_text())

DEFINITIONS = {
    name: entry
    for name, entry in API["definitions"].items()
    if ".models.query." in name and "mixins" not in name
}
MODULES = {
    name: entry.get("exports", entry)
    for name, entry in {**API["modules"], **API["semi_public"]}.items()
    if name.startswith("mosaicolabs.models.query")
}
LEAVES = {
    "numeric": {"eq", "neq", "lt", "leq", "gt", "geq", "in_", "between"},
    "string": {"eq", "neq", "match", "in_"},
    "bool": {"eq"},
}
# What ours has too: every field with operators, and text.
OURS = {"exists", "missing", "desc"}
OURS_FOR_TEXT = LEAVES["numeric"]

SHIPPED = [entry for entry in ONTOLOGIES["ontologies"] if entry["module"].startswith("mosaicolabs.models.")]
LEAF_CASES = [
    pytest.param(entry, leaf, family, id=f"{entry['class']}.{leaf}")
    for entry in SHIPPED
    for leaf, family in entry["query_fields"]["leaves"].items()
]


def load(path: str) -> Any:
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def operators(field: Any) -> set[str]:
    names = {name for name in dir(field) if not name.startswith("_")}
    return {name for name in names if callable(getattr(field, name))}


def leaf_of(cls: Any, path: str) -> Any:
    node = cls.Q
    for name in path.split("."):
        node = getattr(node, name)
    return node


def parameters(function: Any) -> list[tuple[str, str]]:
    """Names and kinds without `self`; what can be left out and is keyword-only may be ours."""
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind.name.lower()) for p in found if p.name != "self"]


def test_the_contract_was_read() -> None:
    assert len(DEFINITIONS) == 19
    assert len(MODULES) == 7
    assert len(LEAF_CASES) == 549


@pytest.mark.parametrize("module", MODULES)
def test_import_paths(module: str) -> None:
    for name, path in MODULES[module].items():
        assert load(f"{module}.{name}") is load(path)


def test_top_level_exports() -> None:
    exports = API["modules"]["mosaicolabs"]["exports"]
    ours = {name: path for name, path in exports.items() if ".models.query." in path}
    assert len(ours) == 9
    for name, path in ours.items():
        assert load(f"mosaicolabs.{name}") is load(path)


@pytest.mark.parametrize("path", DEFINITIONS)
def test_definitions(path: str) -> None:
    entry, ours = DEFINITIONS[path], load(path)
    if entry["kind"] == "function":
        assert [name for name, _ in parameters(ours)] == [p["name"] for p in entry["params"]]
        return
    for field in entry.get("dataclass", {}).get("fields", []):
        assert field["name"] in {field.name for field in dataclasses.fields(ours)}
    for member in [entry["init"], *entry["members"]] if "init" in entry else entry["members"]:
        found = inspect.getattr_static(ours, member["name"])
        if member["kind"] == "property":
            assert isinstance(found, property)
            continue
        expected = [(p["name"], p.get("kind", "positional_or_keyword")) for p in member["params"]]
        assert parameters(getattr(ours, member["name"])) == expected


def test_query_keeps_its_parameters_and_adds_keywords_only() -> None:
    found = list(inspect.signature(MosaicoClient.query).parameters.values())[1:]
    assert [(p.name, p.kind.name) for p in found[:2]] == [
        ("queries", "VAR_POSITIONAL"),
        ("query", "KEYWORD_ONLY"),
    ]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in found[1:])


@pytest.mark.parametrize(("entry", "leaf", "family"), LEAF_CASES)
def test_leaf(entry: dict[str, Any], leaf: str, family: str) -> None:
    field = leaf_of(load(entry["import_paths"][-1]), leaf)
    assert field.full_path == f"{entry['query_fields']['prefix']}.{leaf}"
    if family.startswith("unsupported"):
        # Binary stays out of reach; lists of a fixed size are queried by their elements.
        expected = set() if isinstance(field, _QueryableUnsupported) else LEAVES["numeric"] | OURS
        assert isinstance(field, _QueryableUnsupported) == (leaf == "data")
    else:
        expected = LEAVES[family] | OURS | (OURS_FOR_TEXT if family == "string" else set())
    assert operators(field) == expected


@pytest.mark.parametrize("entry", SHIPPED, ids=[entry["class"] for entry in SHIPPED])
def test_first_level_names(entry: dict[str, Any]) -> None:
    cls = load(entry["import_paths"][-1])
    leaves = entry["query_fields"]["leaves"]
    theirs = {leaf.split(".")[0] for leaf, family in leaves.items() if not family.startswith("unsupported")}
    columns = {column["name"]: column for column in entry["arrow_schema"]}
    lists = {name for name, column in columns.items() if "list" in column["type"]}
    assert set(cls.Q.queryable_fields) == theirs | lists
    assert set(dir(cls.Q)) == {"timestamp_ns", "recording_timestamp_ns", "queryable_fields", *columns}


@pytest.mark.parametrize("entry", ONTOLOGIES["platform"], ids=["Topic", "Sequence"])
def test_platform_leaves(entry: dict[str, Any]) -> None:
    cls = load(entry["import_paths"][-1])
    assert list(entry["query_fields"]["leaves"]) == ["user_metadata"]
    dynamic = LEAVES["numeric"] | LEAVES["string"] | OURS
    assert operators(cls.Q.user_metadata["a.b"]) == dynamic
    assert cls.Q.user_metadata["a.b"].full_path == "user_metadata.a.b"
