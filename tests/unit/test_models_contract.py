"""Tags, fields, columns and import paths of the data classes against the recorded contract."""

import importlib
import inspect
import json
import os
import re
import typing
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Union

import pyarrow as pa
import pytest

from mosaicolabs.models import (
    CovarianceMixin,
    Header,
    HeaderMixin,
    Message,
    Serializable,
    Time,
    VarianceMixin,
)
from mosaicolabs.models._schema import ENVELOPE_COLUMNS, message_schema
from mosaicolabs.models.sensors._pixels import ENCODINGS

SHARED = Path(os.environ.get("MOSAICO_SHARED", Path(__file__).parents[2].parent / "shared"))
CONTRACT = json.loads((SHARED / "contract" / "ontologies.json").read_text())
API = json.loads((SHARED / "contract" / "api.json").read_text())

SHIPPED = [c for c in CONTRACT["ontologies"] if c["module"].startswith("mosaicolabs.models.")]
EVERYTHING = [*SHIPPED, *CONTRACT["support_structs"], CONTRACT["envelope"], *CONTRACT["mixins"]]
PLATFORM = CONTRACT["platform"]

# An accelerometer alone is an IMU here; Mosaico 0.2 requires the angular velocity.
OPTIONAL_HERE = {("IMU", "angular_velocity")}

ARROW_TYPES = {
    t: getattr(pa, t)() for t in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}
ARROW_TYPES |= {"double": pa.float64(), "float": pa.float32(), "halffloat": pa.float16(), "bool": pa.bool_()}
ARROW_TYPES |= {"string": pa.string(), "large_string": pa.large_string(), "binary": pa.binary()}


def by_name(entries: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries, ids=[entry["class"] for entry in entries])


def load(path: str) -> Any:
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def class_of(entry: dict[str, Any]) -> Any:
    return load(entry["import_paths"][-1])


def arrow_type(field: dict[str, Any]) -> pa.DataType:
    kind = field["type"]
    if kind == "struct":
        return pa.struct([arrow_field(child) for child in field["fields"]])
    if kind == "list":
        return pa.list_(arrow_field(field["item"]))
    sized = re.fullmatch(r"fixed_size_list\[(\d+)\]", kind)
    if sized:
        return pa.list_(arrow_field(field["item"]), int(sized[1]))
    return ARROW_TYPES[kind]


def arrow_field(field: dict[str, Any], cls: str = "") -> pa.Field:
    nullable = field["nullable"] or (cls, field["name"]) in OPTIONAL_HERE
    return pa.field(field["name"], arrow_type(field), nullable=nullable)


def assert_same_columns(ours: list[pa.Field], theirs: list[dict[str, Any]], cls: str = "") -> None:
    assert [field.name for field in ours] == [field["name"] for field in theirs]
    for field, entry in zip(ours, theirs, strict=True):
        expected = arrow_field(entry, cls)
        assert field.equals(expected), f"{field!r} is not {expected!r}"
        assert metadata_keys(field) == contract_keys(entry)


def metadata_keys(field: pa.Field) -> Any:
    """Metadata keys of a column and of everything below it."""
    type_ = field.type
    below = []
    if pa.types.is_struct(type_):
        below = [metadata_keys(child) for child in type_]
    elif hasattr(type_, "value_field"):
        below = [metadata_keys(type_.value_field)]
    return field.name, sorted(key.decode() for key in field.metadata or {}), below


def contract_keys(entry: dict[str, Any]) -> Any:
    children = entry.get("fields", [entry["item"]] if "item" in entry else [])
    return entry["name"], sorted(entry["metadata_keys"]), [contract_keys(child) for child in children]


def spell(annotation: Any) -> str:
    """An annotation in the spelling of the contract, without modules."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, UnionType):
        (inner,) = [arg for arg in args if arg is not type(None)]
        return f"Optional[{spell(inner)}]"
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(spell, args))}]"
    return str(annotation.__name__)


def contract_spelling(annotation: str) -> str:
    bare = re.sub(r"\b[a-z_]+\.", "", annotation.replace("mosaicolabs.", ""))
    return bare.replace("List[", "list[").replace("Dict[", "dict[")


def test_the_contract_was_read() -> None:
    assert len(SHIPPED) == 39
    assert len(CONTRACT["image"]["encodings"]) == 29


@by_name(SHIPPED)
def test_tag_and_format(entry: dict[str, Any]) -> None:
    assert Serializable._get_class_type(entry["ontology_tag"]) is class_of(entry)
    cls = class_of(entry)
    assert cls.ontology_tag() == entry["ontology_tag"]
    assert cls.is_registered()
    assert cls.__serialization_format__.name == entry["serialization_format"]["member"]
    assert cls.__serialization_format__.value == entry["serialization_format"]["value"]


@by_name(SHIPPED)
def test_columns(entry: dict[str, Any]) -> None:
    cls = class_of(entry)
    assert_same_columns(list(cls.__msco_pyarrow_struct__), entry["arrow_schema"], entry["class"])


@by_name(SHIPPED)
def test_wire_schema_is_envelope_then_columns(entry: dict[str, Any]) -> None:
    cls = class_of(entry)
    schema = message_schema(cls)
    assert_same_columns(list(schema)[:2], CONTRACT["envelope"]["arrow_schema"])
    assert list(schema)[2:] == list(cls.__msco_pyarrow_struct__)
    assert message_schema(cls) is schema


def test_columns_of_envelope_and_support_structs() -> None:
    assert_same_columns(list(ENVELOPE_COLUMNS), CONTRACT["envelope"]["arrow_schema"])
    assert_same_columns(list(Time.__msco_pyarrow_struct__), CONTRACT["support_structs"][0]["arrow_schema"])
    assert_same_columns(list(Header.__msco_pyarrow_struct__), CONTRACT["support_structs"][1]["arrow_schema"])


@by_name([*EVERYTHING, *PLATFORM])
def test_pydantic_fields(entry: dict[str, Any]) -> None:
    cls = class_of(entry)
    expected = {}
    for field in entry["pydantic_fields"]:
        spelling, required = contract_spelling(field["annotation"]), field["required"]
        if (entry["class"], field["name"]) in OPTIONAL_HERE:
            spelling, required = f"Optional[{spelling}]", False
        expected[field["name"]] = (spelling, required)
    ours = {name: (spell(field.annotation), field.is_required()) for name, field in cls.model_fields.items()}
    assert ours == expected
    assert all(field.default is None for field in cls.model_fields.values() if not field.is_required())


@by_name([*EVERYTHING, *PLATFORM, CONTRACT["serializable_base"]])
def test_import_paths(entry: dict[str, Any]) -> None:
    assert {id(load(path)) for path in entry["import_paths"]} == {id(class_of(entry))}


@by_name([*SHIPPED, *CONTRACT["support_structs"], CONTRACT["envelope"], *PLATFORM])
def test_members(entry: dict[str, Any]) -> None:
    cls = class_of(entry)
    for member in entry["extra_members"]:
        static = inspect.getattr_static(cls, member["name"])
        kinds = {"classmethod": classmethod, "staticmethod": staticmethod, "property": property}
        assert isinstance(static, kinds.get(member["kind"], object))
        if member["kind"] == "property":
            continue
        parameters = inspect.signature(getattr(cls, member["name"])).parameters.values()
        ours = [(p.name, p.kind.name.lower(), p.default is not p.empty) for p in parameters]
        known = [(p["name"], p["kind"], "default" in p) for p in member["params"]]
        assert ours[: len(known)] == known
        more = list(parameters)[len(known) :]
        assert all(p.default is not p.empty or p.kind is p.VAR_KEYWORD for p in more)
        for parameter, theirs in zip(parameters, member["params"], strict=False):
            assert theirs.get("default") in (None, repr(parameter.default))


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, definition in API["definitions"].items()
        if definition["kind"] == "enum" and name.startswith(("mosaicolabs.enum.", "mosaicolabs.models."))
    ],
)
def test_enums(name: str) -> None:
    definition = API["definitions"][name]
    cls = load(name)
    assert issubclass(cls, Enum)
    assert {member.name: member.value for member in cls} == definition["members"]
    assert issubclass(cls, str) == (definition["bases"] != ["Enum"])
    if definition["bases"] == ["StrEnum"]:
        assert [f"{member}" for member in cls] == list(definition["members"].values())


@pytest.mark.parametrize(
    "module",
    ["mosaicolabs.enum", "mosaicolabs.helpers", "mosaicolabs.logging_config", "mosaicolabs.models"]
    + [f"mosaicolabs.models.{part}" for part in ("data", "sensors", "platform")],
)
def test_package_exports(module: str) -> None:
    for name, path in API["modules"][module]["exports"].items():
        assert load(f"{module}.{name}") is load(path)


@pytest.mark.parametrize("module", ["mosaicolabs.helpers", "mosaicolabs.logging_config"])
def test_function_signatures(module: str) -> None:
    for path in API["modules"][module]["exports"].values():
        parameters = inspect.signature(load(path)).parameters.values()
        expected = [(p["name"], p.get("default")) for p in API["definitions"][path]["params"]]
        assert [(p.name, None if p.default is p.empty else repr(p.default)) for p in parameters] == expected


def test_star_import_keeps_the_builtin_range() -> None:
    namespace: dict[str, Any] = {}
    exec("from mosaicolabs.models.sensors import *", namespace)  # the statement is the subject
    assert "IMU" in namespace
    assert "range" not in namespace


def test_image_encodings() -> None:
    expected = {name: (e["dtype"], e["channels"]) for name, e in CONTRACT["image"]["encodings"].items()}
    ours = {name: (e.dtype.name, e.channels) for name, e in ENCODINGS.items()}
    assert {name: ours[name] for name in expected} == expected
    assert ours.keys() - expected.keys() == {"yuv422", "uyvy", "yuv422_yuy2", "yuyv"}


def test_mixins_append_their_columns() -> None:
    bases = {"HeaderMixin": HeaderMixin, "CovarianceMixin": CovarianceMixin, "VarianceMixin": VarianceMixin}
    for entry in CONTRACT["mixins"]:
        name = f"Contract{entry['class']}"
        struct = {"__msco_pyarrow_struct__": pa.struct([]), "__module__": __name__}
        cls: Any = type(name, (Serializable, bases[entry["class"]]), struct)
        assert_same_columns(list(cls.__msco_pyarrow_struct__), entry["arrow_fields"])


def test_message_is_keyword_only_and_ignores_unknown_keywords() -> None:
    data = class_of(SHIPPED[0])(data=1)
    with pytest.raises(TypeError):
        Message(data, 5)  # type: ignore[call-arg]
    assert not hasattr(Message(data=data, timestamp_ns=5, unknown=1), "unknown")
