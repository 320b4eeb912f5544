"""Writes the columns of the package's data classes for the daemon: `make ontologies`."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from mosaicolabs.models import _lazy_registry
from mosaicolabs.models.serializable import Serializable

FILE = Path(__file__).parents[1] / "rust/mosaico-admin/src/import/plain/ontologies.json"


def _column(field: pa.Field) -> dict[str, Any]:
    described: dict[str, Any] = {"name": field.name, "type": _type(field.type)}
    if not field.nullable:
        described["nullable"] = False
    if field.metadata:
        described["metadata"] = {key.decode(): value.decode() for key, value in field.metadata.items()}
    return described


def _type(data_type: pa.DataType) -> Any:
    if pa.types.is_struct(data_type):
        return {"struct": [_column(field) for field in data_type]}
    if pa.types.is_list(data_type):
        return {"list": _column(data_type.value_field)}
    if pa.types.is_fixed_size_list(data_type):
        return {"fixed_size_list": [_column(data_type.value_field), data_type.list_size]}
    return str(data_type)


def ontologies() -> str:
    """One line per class."""
    for tag in _lazy_registry.YIELDING:
        _lazy_registry.import_class_of(tag)
    lines = []
    for tag in sorted(Serializable._list_registered()):
        cls = Serializable._get_class_type(tag)
        assert cls is not None
        if cls.__module__.startswith("mosaicolabs."):
            columns = [_column(field) for field in cls.__msco_pyarrow_struct__]
            described = {"serialization_format": cls.__serialization_format__.value, "columns": columns}
            lines.append(f"{json.dumps(tag)}: {json.dumps(described, separators=(',', ':'))}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(ontologies())
