"""Options of readers, which arrive as text."""

from collections.abc import Mapping

from ._reader_api import RecordingError


def flag_option(given: Mapping[str, str], name: str) -> bool:
    """The value of an option that is `true` or `false`, the default.

    Raises:
        RecordingError: It is something else.
    """
    value = given.get(name, "false")
    if value not in ("true", "false"):
        raise RecordingError(f"option {name}: `{value}` is neither true nor false")
    return value == "true"


def class_option(given: Mapping[str, str]) -> dict[str, str]:
    """The option `as`: the wanted class by pattern of topics.

    Raises:
        RecordingError: An item is not of the form PATTERN=TAG.

    Example:
        >>> class_option({"as": "/top=lidar,/imu*=generic"})
        {'/top': 'lidar', '/imu*': 'generic'}
    """
    classes = {}
    for item in filter(None, given.get("as", "").split(",")):
        pattern, equals, tag = item.partition("=")
        if not equals or not tag:
            raise RecordingError(f"option as: `{item}` is not of the form PATTERN=TAG")
        classes[pattern] = tag
    return classes
