"""Facts of `api.json`: modules and their names, signatures, dataclasses, enums, exceptions, constants."""

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from .facts import API, MISSING, Fact, load

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
# Recorded without the class that it decorates.
DECORATORS = {"mosaicolabs.ros_bridge.ros_bridge.register_adapter.more"}
DEFINITIONS: dict[str, dict[str, Any]] = API["definitions"]


def modules() -> dict[str, dict[str, str]]:
    """Names that each module exports, with the paths of their definitions."""
    return {
        name: entry.get("exports", entry) for name, entry in {**API["modules"], **API["semi_public"]}.items()
    }


def module_facts(module: str) -> Iterator[Fact]:
    for name, path in modules()[module].items():
        ours = load(f"{module}.{name}")
        # The definition lies where it is recorded, and both names are one object.
        yield Fact(f"{module}.{name}", True, ours is not MISSING and ours is load(path))
    exported = API["modules"].get(module, {}).get("__all__", [])
    for name in exported:
        yield Fact(f"{module}.__all__.{name}", True, name in load(f"{module}.__all__"))


def constant_facts() -> Iterator[Fact]:
    for module, values in API["constants"].items():
        for name, value in values.items():
            found = load(f"{module}.{name}")
            if isinstance(value, str) and name.isupper() is False:
                found = spell(found)
            yield Fact(f"{module}.{name}", value, found)


def definition_facts(path: str) -> Iterator[Fact]:
    entry, ours = DEFINITIONS[path], load(path)
    yield Fact(path, True, ours is not MISSING)
    kinds = {"function": inspect.isroutine(ours), "exception": is_subclass(ours, Exception)}
    kinds |= {"class": inspect.isclass(ours), "enum": is_subclass(ours, Enum)}
    yield Fact(f"{path}.kind", True, kinds[entry["kind"]])
    for base in entry.get("bases", []):
        if not base.startswith("_"):
            yield Fact(f"{path}.bases.{base}", True, base in base_names(ours))
    if entry["kind"] == "function":
        yield from parameter_facts(path, entry["params"], ours)
    if entry["kind"] == "enum":
        for name, value in entry["members"].items():
            yield Fact(f"{path}.{name}", value, getattr(getattr(ours, name, MISSING), "value", MISSING))
        return
    yield from dataclass_facts(path, entry.get("dataclass"), ours)
    members = list(entry.get("members", []))
    if isinstance(entry.get("init"), dict):
        members.append(entry["init"])
    for member in members:
        yield from member_facts(f"{path}.{member['name']}", member, ours)
    if "ros_msgtype" in entry:
        types = getattr(ours, "ros_msgtype", ())
        types = [types] if isinstance(types, str) else types
        lacking = [type_ for type_ in entry["ros_msgtype"] if type_ not in types]
        yield Fact(f"{path}.ros_msgtype", [], lacking)
        keys = getattr(ours, "_REQUIRED_KEYS", MISSING)
        yield Fact(f"{path}.keys", set(entry["required_keys"]), set(keys) if keys is not MISSING else MISSING)
    for name, value in entry.get("class_attributes", {}).items():
        if name not in ("model_config", "Q", "full_path", "ros_msgtype"):
            yield Fact(f"{path}.{name}", normal(value), normal(repr(getattr(ours, name, MISSING))))


def adapter_facts() -> Iterator[Fact]:
    """ROS types and the adapters and data classes that take them over."""
    bridge = load("mosaicolabs.ros_bridge.ROSBridge")
    for entry in API["ros_adapters"]:
        name = f"mosaicolabs.ros_bridge.{entry['ros_type']}"
        adapter = MISSING if bridge is MISSING else bridge.get_adapter(entry["ros_type"])
        yield Fact(f"{name}.adapter", entry["adapter"], getattr(adapter, "__name__", MISSING))
        ontology = getattr(adapter, "__mosaico_ontology_type__", MISSING)
        yield Fact(f"{name}.ontology", entry["ontology"], getattr(ontology, "__name__", MISSING))


def command_facts() -> Iterator[Fact]:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    for command, entry in API["cli"].items():
        part = entry["entry"].split(":")[0].rpartition(".")[0]
        yield Fact(f"{part}.command.{command}", entry["entry"], project["scripts"].get(command, MISSING))


def dataclass_facts(path: str, entry: dict[str, Any] | None, ours: Any) -> Iterator[Fact]:
    if entry is None:
        return
    is_dataclass = dataclasses.is_dataclass(ours)
    yield Fact(f"{path}.dataclass", True, is_dataclass)
    fields = {field.name: field for field in dataclasses.fields(ours)} if is_dataclass else {}
    frozen = is_dataclass and ours.__dataclass_params__.frozen
    yield Fact(f"{path}.dataclass.frozen", entry["frozen"], frozen)
    order = [field["name"] for field in entry["fields"]]
    yield Fact(f"{path}.dataclass.order", order, [name for name in fields if name in order])
    for field in entry["fields"]:
        found = fields.get(field["name"])
        yield Fact(f"{path}.dataclass.{field['name']}", True, found is not None)
        default = MISSING if found is None or found.default is dataclasses.MISSING else spell(found.default)
        yield Fact(f"{path}.dataclass.{field['name']}.default", field.get("default", MISSING), default)


def member_facts(name: str, member: dict[str, Any], ours: Any) -> Iterator[Fact]:
    static = inspect.getattr_static(ours, member["name"], MISSING)
    if member["name"] == "__init__" and static is object.__init__:
        static = MISSING if member["params"] else static
    kinds = {"classmethod": classmethod, "staticmethod": staticmethod, "property": property}
    yield Fact(name, True, static is not MISSING)
    kind = kinds.get(member["kind"], object)
    yield Fact(f"{name}.kind", True, static is not MISSING and isinstance(static, kind))
    if member["kind"] != "property":
        recorded = [p for p in member["params"] if p["name"] != "self"]
        yield from parameter_facts(name, recorded, getattr(ours, member["name"], MISSING))


def parameter_facts(name: str, recorded: list[dict[str, Any]], function: Any) -> Iterator[Fact]:
    """Recorded parameters are there, in their order; ours may have more, if calls without them work."""
    found = parameters(function)
    if found is None:
        yield Fact(f"{name}.parameters", [p["name"] for p in recorded], MISSING)
        return
    ours = {p.name: p for p in found}
    order = [p["name"] for p in recorded]
    yield Fact(f"{name}.parameters", order, [p.name for p in found if p.name in order])
    for parameter in recorded:
        of = f"{name}.{parameter['name']}"
        mine = ours.get(parameter["name"])
        yield Fact(of, True, mine is not None)
        kind = parameter.get("kind", "positional_or_keyword")
        yield Fact(f"{of}.kind", kind, mine.kind.name.lower() if mine else MISSING)
        if "default" in parameter:
            recorded_default = enum_spelling(parameter["default"])
            default: Any = mine.default if mine and mine.default is not mine.empty else MISSING
            if recorded_default.endswith(" instance>"):
                default = f"<{type(default).__name__} instance>"
            elif default is not MISSING:
                default = spell(default)
            yield Fact(f"{of}.default", recorded_default, default)
    more = [p for p in found if p.name not in order]
    needed = [
        p.name for p in more if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    yield Fact(f"{name}.more", [], needed[1:] if f"{name}.more" in DECORATORS else needed)
    positional = [p.name for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]
    first = [p["name"] for p in recorded if p.get("kind", "positional_or_keyword") == "positional_or_keyword"]
    yield Fact(f"{name}.positions", first, positional[: len(first)])


def parameters(function: Any) -> list[inspect.Parameter] | None:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [p for p in found if p.name != "self"]


def spell(value: Any) -> str:
    """A default in the spelling of the contract."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    return repr(value)


def enum_spelling(text: str) -> str:
    """`<ImageFormat.PNG: 'png'>` -> `ImageFormat.PNG`."""
    found = re.fullmatch(r"<(\w+\.\w+): .*>", text)
    return found[1] if found else text


def normal(text: str) -> Any:
    """Sets in any order are equal."""
    return sorted(text.strip("{}").split(", ")) if text.startswith("{") else text


def is_subclass(found: Any, base: type) -> bool:
    return inspect.isclass(found) and issubclass(found, base)


def base_names(found: Any) -> set[str]:
    return {base.__name__ for base in getattr(found, "__mro__", ())}
