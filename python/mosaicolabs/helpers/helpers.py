"""Conversions between the spellings of a name. They never fail; `names` has the checks."""

import re

_CAPITALISED_WORD = re.compile(r"(.)([A-Z][a-z]+)")
_DIGITS_BETWEEN_LETTERS = re.compile(r"(?<=[A-Za-z])([0-9]+)(?=[A-Za-z])")


def camel_to_snake(name: str) -> str:
    """Derives an ontology tag from a class name.

    Tags are stored with the data, so the algorithm never changes, including its quirk: in a run of
    capitalized words every second word stays attached to the previous one.

    Example:
        >>> camel_to_snake("GPSStatus"), camel_to_snake("Vector3d"), camel_to_snake("MyCustomSensor")
        ('gps_status', 'vector_3_d', 'my_customsensor')
    """
    words = _CAPITALISED_WORD.sub(r"\1_\2", name)
    return _DIGITS_BETWEEN_LETTERS.sub(r"_\1_", words).lower()


def sanitize_sequence_name(name: str) -> str:
    """The form of a sequence name that readers return: no slash at either end.

    Example:
        >>> sanitize_sequence_name("/run-7")
        'run-7'
    """
    return name.strip("/")


def sanitize_topic_name(name: str) -> str:
    """The form of a topic name that readers return: one leading slash, none doubled or trailing.

    Example:
        >>> sanitize_topic_name("sensors//imu/")
        '/sensors/imu'
    """
    return "/" + "/".join(_parts(name))


def pack_topic_resource_name(sequence_name: str, topic_name: str) -> str:
    """The resource name of a topic: `sequence/topic` without a leading slash.

    Example:
        >>> pack_topic_resource_name("/run-7", "/sensors/imu")
        'run-7/sensors/imu'
    """
    return "/".join(_parts(sequence_name) + _parts(topic_name))


def unpack_topic_full_path(topic_path: str) -> tuple[str, str] | None:
    """Splits a resource name into sequence and topic; None if it names no topic.

    Example:
        >>> unpack_topic_full_path("run-7/sensors/imu")
        ('run-7', '/sensors/imu')
        >>> unpack_topic_full_path("run-7") is None
        True
    """
    parts = _parts(topic_path)
    if len(parts) < 2:
        return None
    return parts[0], "/" + "/".join(parts[1:])


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
