"""Facts of `ontologies.json`: tags, formats, fields, columns, members and `.Q` leaves of the data classes."""

import re
import typing
from collections.abc import Iterator
from types import UnionType
from typing import Any, Union

import pyarrow as pa
import pydantic

from mosaicolabs.models._arrow import ENVELOPE_COLUMNS
from mosaicolabs.models._schema import message_schema
from mosaicolabs.models.query.generation.mixins import _QueryableUnsupported
from mosaicolabs.models.sensors._pixels import ENCODINGS
from mosaicolabs.models.serializable import Serializable

from .api import member_facts
from .facts import MISSING, ONTOLOGIES, Fact, load

CLASSES: list[dict[str, Any]] = [
    *ONTOLOGIES["ontologies"],
    *ONTOLOGIES["support_structs"],
    ONTOLOGIES["envelope"],
    *ONTOLOGIES["mixins"],
    *ONTOLOGIES["platform"],
    ONTOLOGIES["serializable_base"],
]

NUMBERS = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
ARROW_TYPES = {name: getattr(pa, name)() for name in NUMBERS}
ARROW_TYPES |= {"double": pa.float64(), "float": pa.float32(), "halffloat": pa.float16(), "bool": pa.bool_()}
ARROW_TYPES |= {"string": pa.string(), "large_string": pa.large_string(), "binary": pa.binary()}

COMPARABLE = {"eq", "neq", "lt", "leq", "gt", "geq", "in_", "between"}
OPERATORS = {"numeric": COMPARABLE, "string": {"eq", "neq", "match", "in_"}, "bool": {"eq"}}
METADATA_OPERATORS = {"eq", "lt", "leq", "gt", "geq", "between"}


def path_of(entry: dict[str, Any]) -> str:
    path: str = entry["import_paths"][-1]
    return path


def class_facts(entry: dict[str, Any]) -> Iterator[Fact]:
    ours = load(path_of(entry))
    for path in entry["import_paths"]:
        yield Fact(path, True, ours is not MISSING and load(path) is ours)
    for fact in described_facts(entry, ours):
        # Parts that are not there yet are named by their paths.
        yield Fact(
            f"{path_of(entry)}.{fact.name}" if ours is MISSING else fact.name, fact.expected, fact.found
        )


def described_facts(entry: dict[str, Any], ours: Any) -> Iterator[Fact]:
    name = entry["class"]
    if "ontology_tag" in entry:
        yield from registration_facts(name, entry, ours)
    for mixin in entry.get("mixins", []):
        yield Fact(
            f"{name}.mixins.{mixin}", True, mixin in {base.__name__ for base in getattr(ours, "__mro__", ())}
        )
    yield from field_facts(name, entry.get("pydantic_fields", []), ours)
    yield from column_facts(f"{name}.columns", entry.get("arrow_schema", []), own_columns(name, ours))
    members = [*entry.get("extra_members", []), *entry.get("factory_members", []), *entry.get("members", [])]
    for member in members:
        yield from member_facts(f"{name}.{member['name']}", member, ours)
    for leaf, family in entry.get("query_fields", {}).get("leaves", {}).items():
        yield from leaf_facts(entry, leaf, family, ours)


def registration_facts(name: str, entry: dict[str, Any], ours: Any) -> Iterator[Fact]:
    tag, format_ = entry["ontology_tag"], getattr(ours, "__serialization_format__", MISSING)
    yield Fact(f"{name}.tag", tag, ours.ontology_tag() if ours is not MISSING else MISSING)
    yield Fact(f"{name}.registered", True, ours is not MISSING and Serializable._get_class_type(tag) is ours)
    yield Fact(f"{name}.format", entry["serialization_format"]["member"], getattr(format_, "name", MISSING))
    yield Fact(
        f"{name}.format.value", entry["serialization_format"]["value"], getattr(format_, "value", MISSING)
    )
    if ours is not MISSING:
        envelope = [field.name for field in ENVELOPE_COLUMNS]
        wire = envelope + [column["name"] for column in entry["arrow_schema"]]
        yield Fact(f"{name}.wire", wire, message_schema(ours).names)


def field_facts(name: str, recorded: list[dict[str, Any]], ours: Any) -> Iterator[Fact]:
    fields: dict[str, pydantic.fields.FieldInfo] = getattr(ours, "model_fields", {})
    for field in recorded:
        of, found = f"{name}.fields.{field['name']}", fields.get(field["name"])
        yield Fact(of, contract_spelling(field["annotation"]), spell(found.annotation) if found else MISSING)
        yield Fact(f"{of}.required", field["required"], found.is_required() if found else MISSING)
        if not field["required"]:
            yield Fact(f"{of}.default", field["default"], repr(found.default) if found else MISSING)


def own_columns(name: str, ours: Any) -> list[pa.Field]:
    return list(ENVELOPE_COLUMNS if name == "Message" else getattr(ours, "__msco_pyarrow_struct__", []))


def column_facts(name: str, recorded: list[dict[str, Any]], ours: list[pa.Field]) -> Iterator[Fact]:
    """Names and order, and of each column type, nullability, metadata keys and what is below it."""
    yield Fact(name, [entry["name"] for entry in recorded], [field.name for field in ours])
    fields = {field.name: field for field in ours}
    for entry in recorded:
        of, field = f"{name}.{entry['name']}", fields.get(entry["name"])
        yield Fact(f"{of}.type", arrow_type(entry), field.type if field is not None else MISSING)
        yield Fact(f"{of}.nullable", entry["nullable"], field.nullable if field is not None else MISSING)
        keys = sorted(key.decode() for key in (field.metadata or {})) if field is not None else MISSING
        yield Fact(f"{of}.metadata", sorted(entry["metadata_keys"]), keys)
        below = entry.get("fields", [entry["item"]] if "item" in entry else [])
        if below:
            yield from column_facts(f"{of}", below, [] if field is None else children(field.type))


def children(type_: pa.DataType) -> list[pa.Field]:
    if pa.types.is_struct(type_):
        return list(type_)
    return [type_.value_field] if hasattr(type_, "value_field") else []


def arrow_type(entry: dict[str, Any]) -> pa.DataType:
    kind = entry["type"]
    if kind == "struct":
        return pa.struct([arrow_field(child) for child in entry["fields"]])
    if kind == "list":
        return pa.list_(arrow_field(entry["item"]))
    sized = re.fullmatch(r"fixed_size_list\[(\d+)\]", kind)
    return pa.list_(arrow_field(entry["item"]), int(sized[1])) if sized else ARROW_TYPES[kind]


def arrow_field(entry: dict[str, Any]) -> pa.Field:
    return pa.field(entry["name"], arrow_type(entry), nullable=entry["nullable"])


def leaf_facts(entry: dict[str, Any], leaf: str, family: str, ours: Any) -> Iterator[Fact]:
    """Every recorded leaf is there, with its operators; ours may have more of both."""
    name, prefix = f"{entry['class']}.Q.{leaf}", entry["query_fields"]["prefix"]
    node = getattr(ours, "Q", MISSING)
    for part in leaf.split("."):
        node = getattr(node, part, MISSING)
    if family.startswith("dict"):
        value = node["a.b"] if node is not MISSING else MISSING
        yield Fact(name, f"{leaf}.a.b", getattr(value, "full_path", MISSING))
        yield Fact(f"{name}.operators", set(), METADATA_OPERATORS - set(dir(value)))
        return
    yield Fact(name, f"{prefix}.{leaf}", getattr(node, "full_path", MISSING))
    expected = OPERATORS.get(family, set())
    yield Fact(f"{name}.operators", set(), expected - set(dir(node)))
    if family.startswith("unsupported"):
        # Lists of a fixed size are queried by their elements here; bytes stay out of reach.
        reachable = {n for n in dir(node) if not n.startswith("_")} - {"full_path"}
        yield Fact(
            f"{name}.reachable",
            leaf != "data",
            bool(reachable) and not isinstance(node, _QueryableUnsupported),
        )


def image_facts() -> Iterator[Fact]:
    recorded = ONTOLOGIES["image"]
    formats = load("mosaicolabs.models.sensors.image.ImageFormat")
    for name, value in recorded["ImageFormat"].items():
        yield Fact(f"ImageFormat.{name}", value, getattr(formats, name, MISSING).value)
    for name, encoding in recorded["encodings"].items():
        found = ENCODINGS.get(name)
        yield Fact(f"encodings.{name}.dtype", encoding["dtype"], found.dtype.name if found else MISSING)
        yield Fact(f"encodings.{name}.channels", encoding["channels"], found.channels if found else MISSING)


def registry_facts() -> Iterator[Fact]:
    for tag in ONTOLOGIES["registration_order"]:
        path = next(path_of(entry) for entry in CLASSES if entry.get("ontology_tag") == tag)
        yield Fact(f"{path}.registry", True, tag in Serializable._list_registered())


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
