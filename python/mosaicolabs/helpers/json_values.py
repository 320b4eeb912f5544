"""Values of any field as JSON types."""

import base64
import math
from enum import Enum
from typing import Any

__all__ = ["to_json"]


def to_json(value: Any, *, summarise_bytes: bool = False) -> Any:
    """JSON types for any field value.

    JSON has no NaN, no infinities and no bytes: the former become the strings `"NaN"`, `"Infinity"` and
    `"-Infinity"`, bytes become base64, or `{"bytes": size}` with `summarise_bytes`.

    Example:
        >>> to_json({"speed": float("nan"), "frame": b"abc"})
        {'speed': 'NaN', 'frame': 'YWJj'}
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return {"bytes": len(value)} if summarise_bytes else base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: to_json(item, summarise_bytes=summarise_bytes) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, summarise_bytes=summarise_bytes) for item in value]
    return value
