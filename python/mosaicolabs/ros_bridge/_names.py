"""Replacements for ROS topic names that are not allowed."""

import re
from collections.abc import Iterable

from mosaicolabs.helpers import sanitize_topic_name, validate_topic_name

_ILLEGAL = re.compile(r"[^A-Za-z0-9_/-]")


def legal_topic_names(names: Iterable[str]) -> dict[str, str]:
    """A unique legal name for each ROS name; legal names are unchanged.

    Illegal characters become `_`; names that begin with neither a letter nor a digit get an `x`.

    Example:
        >>> legal_topic_names(["/my imu", "/my_imu", "/_hidden"])
        {'/my_imu': '/my_imu', '/_hidden': '/x_hidden', '/my imu': '/my_imu_2'}
    """
    legal: dict[str, str] = {}
    names = sorted(names)
    # Legal names first, so that they stay unchanged.
    for name in sorted(names, key=lambda name: _legal(name) != name):
        wanted, number = _legal(name), 1
        unique = wanted
        while unique in legal.values():
            number += 1
            unique = f"{wanted}_{number}"
        validate_topic_name(unique)
        legal[name] = unique
    return legal


def _legal(name: str) -> str:
    clean = sanitize_topic_name(_ILLEGAL.sub("_", name))
    return clean if clean[1:2].isalnum() else f"/x{clean[1:]}"
