"""Every recorded fact of the Python surface: modules, names, signatures, enums, fields, columns, queries."""

import functools
import itertools
from typing import Any

import pytest
from contract import api, ontologies
from contract.facts import DIFFERENT, PENDING, Fact, broken, covered, exists


@functools.cache
def all_facts() -> list[Fact]:
    chain = itertools.chain.from_iterable
    return [
        *chain(api.module_facts(module) for module in api.modules()),
        *chain(api.definition_facts(path) for path in api.DEFINITIONS),
        *api.constant_facts(),
        *api.adapter_facts(),
        *api.command_facts(),
        *chain(ontologies.class_facts(entry) for entry in ontologies.CLASSES),
        *ontologies.image_facts(),
        *ontologies.registry_facts(),
    ]


def test_the_whole_contract_is_walked() -> None:
    assert len(api.DEFINITIONS) == 150
    assert len(api.modules()) == 38
    assert len(ontologies.CLASSES) == 50
    assert len(all_facts()) > 8_000


@pytest.mark.parametrize("module", api.modules())
def test_modules_export_their_names(module: str) -> None:
    assert broken(api.module_facts(module)) == []


@pytest.mark.parametrize("path", api.DEFINITIONS)
def test_definitions(path: str) -> None:
    assert broken(api.definition_facts(path)) == []


def test_constants() -> None:
    assert broken(api.constant_facts()) == []


@pytest.mark.parametrize("entry", ontologies.CLASSES, ids=[entry["class"] for entry in ontologies.CLASSES])
def test_data_classes(entry: dict[str, Any]) -> None:
    assert broken(ontologies.class_facts(entry)) == []


def test_ros_adapters() -> None:
    assert broken(api.adapter_facts()) == []


def test_commands() -> None:
    assert broken(api.command_facts()) == []


def test_images() -> None:
    assert broken(ontologies.image_facts()) == []


def test_tags_are_registered() -> None:
    assert broken(ontologies.registry_facts()) == []


def test_existing_parts_are_not_pending() -> None:
    assert [part for part in PENDING if exists(part)] == []


@pytest.mark.parametrize("beginning", DIFFERENT)
def test_listed_differences_are_differences(beginning: str) -> None:
    facts = [fact for fact in all_facts() if covered(fact.name, [beginning])]
    assert any(not fact.holds for fact in facts), f"{beginning} is as recorded: take it off the list"
