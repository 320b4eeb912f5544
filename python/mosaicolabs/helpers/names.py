"""Checks of sequence and topic names before anything is sent."""

import string

from mosaicolabs.exceptions import InvalidInputError

_FIRST_CHARS = frozenset(string.ascii_letters + string.digits)
_SEQUENCE_CHARS = _FIRST_CHARS | frozenset("-_")
_TOPIC_CHARS = _SEQUENCE_CHARS | frozenset("/")


def validate_sequence_name(name: str) -> None:
    """Refuses names that are not allowed.

    Args:
        name: Letters, digits, `-` and `_`, starting with a letter or a digit. One leading `/` is
            accepted and ignored.

    Raises:
        ValueError: The name breaks a rule; the text says which.

    Example:
        >>> validate_sequence_name("run-7")
        >>> try:
        ...     validate_sequence_name("run 7")
        ... except ValueError as error:
        ...     print(error)
        Sequence name contains invalid characters: ' ' in 'run 7'; use letters, digits, '-', '_'
    """
    _validate("sequence", name, _SEQUENCE_CHARS, "letters, digits, '-', '_'")


def validate_topic_name(name: str) -> None:
    """Refuses names that are not allowed.

    Args:
        name: As for a sequence, and `/` between the levels of a hierarchy.

    Raises:
        ValueError: The name breaks a rule; the text says which.

    Example:
        >>> validate_topic_name("/sensors/imu")
    """
    _validate("topic", name, _TOPIC_CHARS, "letters, digits, '-', '_', '/'")


def _validate(kind: str, name: str, allowed: frozenset[str], allowed_text: str) -> None:
    bare = name.removeprefix("/")
    if not bare:
        raise InvalidInputError(
            f"Empty {kind} name {name!r}; give it at least one letter or digit", "bad_name"
        )
    if bare.startswith("/"):
        raise InvalidInputError(
            f"Malformed {kind} name {name!r}: it begins with two slashes; use at most one", "bad_name"
        )
    if bare[0] not in _FIRST_CHARS:
        raise InvalidInputError(
            f"{kind.capitalize()} name {name!r} does not begin with a letter or a number", "bad_name"
        )
    wrong = sorted(set(bare) - allowed)
    if wrong:
        raise InvalidInputError(
            f"{kind.capitalize()} name contains invalid characters: "
            f"{', '.join(map(repr, wrong))} in {name!r}; use {allowed_text}",
            "bad_name",
        )
