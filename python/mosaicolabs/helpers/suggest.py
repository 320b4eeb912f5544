"""What was meant by a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches

_LISTED = 12


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The names that resemble `name`; if there are none, the first of all names.

    Example:
        >>> did_you_mean("acceleratoin", ["acceleration", "angular_velocity"])
        "did you mean 'acceleration'?"
        >>> did_you_mean("/lidar", ["/imu", "/gps"])
        'it has: /imu, /gps'
        >>> did_you_mean("/lidar", [])
        'it has none'
    """
    names = list(dict.fromkeys(known))
    by_lower = {known_name.lower(): known_name for known_name in names}
    close = [by_lower[lower] for lower in get_close_matches(name.lower(), by_lower, 3, 0.6)]
    close += [known_name for known_name in names if known_name not in close and _is_part(name, known_name)]
    if close:
        return f"did you mean {' or '.join(repr(some) for some in close[:3])}?"
    if not names:
        return "it has none"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"it has: {', '.join(names[:_LISTED])}{more}"


def _is_part(name: str, known: str) -> bool:
    """Whether the name is a part of a path, or begins one: people remember the end, and abbreviate."""
    parts = known.lower().replace(".", "/").split("/")
    wanted = name.lower().strip("/.")
    return wanted in parts or (len(wanted) > 2 and any(part.startswith(wanted) for part in parts))
