"""Converts the flat columns of a data frame row to the nested values of a data class."""

import math
from typing import Any, Final

from pydantic import BaseModel

from mosaicolabs.models._annotations import is_model, without_none
from mosaicolabs.models.serializable import Serializable

_ABSENT: Final = object()


def data_from_columns(
    columns: dict[str, Any], topic_name: str, timestamp_column_name: str
) -> tuple[type[Serializable], dict[str, int], dict[str, Any]] | None:
    """The class, the times and the values of the topic in this row; None if it has no such record.

    Raises:
        ValueError: No registered tag follows the topic in the column names.
    """
    prefix = f"{topic_name}."
    own = {name[len(prefix) :]: value for name, value in columns.items() if name.startswith(prefix)}
    timestamp_ns = _plain(columns.get(timestamp_column_name))
    if not own or timestamp_ns is None:
        return None
    cls = _find_class(own, topic_name)
    tag = cls.ontology_tag()
    values = _nest({name[len(tag) + 1 :]: value for name, value in own.items() if name.startswith(f"{tag}.")})
    values.pop("timestamp_ns", None)
    recording_timestamp_ns = values.pop("recording_timestamp_ns", None)
    if recording_timestamp_ns is None and not _has_value(values):
        return None
    _fill_gaps(values, cls)
    times = {"timestamp_ns": int(timestamp_ns)}
    if recording_timestamp_ns is not None:
        times["recording_timestamp_ns"] = int(recording_timestamp_ns)
    return cls, times, values


def _find_class(own: dict[str, Any], topic_name: str) -> type[Serializable]:
    tags = sorted({name.split(".", 1)[0] for name in own if "." in name})
    for tag in tags:
        cls = Serializable._get_class_type(tag)
        if cls is not None:
            return cls
    raise ValueError(
        f"columns of topic '{topic_name}' have no registered ontology tag (found {tags}); name them "
        "'{topic}.{tag}.{field}', and import the module of the class"
    )


def _nest(flat: dict[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` -> `{"a": {"b": 1}}`."""
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, leaf = path.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = _plain(value)
    return nested


def _has_value(node: Any) -> bool:
    return any(map(_has_value, node.values())) if isinstance(node, dict) else node is not None


def _fill_gaps(values: dict[str, Any], cls: type[BaseModel]) -> None:
    """Distinguishes the two meanings of NaN by the fields of the class.

    A nested object without any value becomes None, unless the class requires it. A missing number where
    the class requires a float was NaN.
    """
    for name, field in cls.model_fields.items():
        value = values.get(name, _ABSENT)
        type_ = without_none(field.annotation)
        required = type_ is field.annotation
        if value is None and required and type_ is float:
            values[name] = math.nan
        elif isinstance(value, dict):
            if not _has_value(value) and not (required and is_model(type_)):
                values[name] = None
            elif is_model(type_):
                _fill_gaps(value, type_)


def _plain(value: Any) -> Any:
    """The Python value of a cell: numpy scalars and arrays unpacked, NaN and pandas' NA as None."""
    value = _unpacked(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return None if type(value).__name__ in ("NAType", "NaTType") else value


def _unpacked(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_unpacked(item) for item in value] if _nests(value) else value
    if isinstance(value, dict):
        return {name: _unpacked(item) for name, item in value.items()}
    return value


def _nests(items: list[Any]) -> bool:
    """Whether a list contains arrays, lists or dicts, unlike a long list of numbers."""
    return any(isinstance(item, (list, dict)) or hasattr(item, "tolist") for item in items)
