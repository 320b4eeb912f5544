"""From the flat columns of a data frame row back to the nested values of a data class."""

import math
from typing import Any

from mosaicolabs.models.serializable import Serializable


def data_from_columns(
    columns: dict[str, Any], topic_name: str, timestamp_column_name: str
) -> tuple[str, dict[str, int], dict[str, Any]] | None:
    """The tag, the times and the values of the topic in this row; None if it has no such record.

    Raises:
        ValueError: No registered tag follows the topic in the column names.
    """
    prefix = f"{topic_name}."
    own = {name[len(prefix) :]: value for name, value in columns.items() if name.startswith(prefix)}
    timestamp_ns = _plain(columns.get(timestamp_column_name))
    if not own or timestamp_ns is None:
        return None
    tag = _find_tag(own, topic_name)
    values = _nest({name[len(tag) + 1 :]: value for name, value in own.items() if name.startswith(f"{tag}.")})
    values.pop("timestamp_ns", None)
    recording_timestamp_ns = values.pop("recording_timestamp_ns", None)
    if all(value is None for value in values.values()):
        return None
    times = {"timestamp_ns": int(timestamp_ns)}
    if recording_timestamp_ns is not None:
        times["recording_timestamp_ns"] = int(recording_timestamp_ns)
    return tag, times, values


def _find_tag(own: dict[str, Any], topic_name: str) -> str:
    tags = sorted({name.split(".", 1)[0] for name in own if "." in name})
    for tag in tags:
        if Serializable._is_registered(tag):
            return tag
    raise ValueError(
        f"columns of topic '{topic_name}' name no registered ontology tag (found {tags}); "
        "expected '{topic}.{tag}.{field}', and the module of the class to be imported"
    )


def _nest(flat: dict[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` -> `{"a": {"b": 1}}`; branches without any value become None."""
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, leaf = path.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = _plain(value)
    return {name: _without_empty(value) for name, value in nested.items()}


def _without_empty(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    cleaned = {name: _without_empty(child) for name, child in value.items()}
    return None if all(child is None for child in cleaned.values()) else cleaned


def _plain(value: Any) -> Any:
    """The Python value of a cell: numpy scalars and arrays unpacked, NaN and pandas' NA as None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and math.isnan(value):
        return None
    return None if type(value).__name__ in ("NAType", "NaTType") else value
