"""Values of options, which are text."""

from collections.abc import Sequence

from ._errors import ExportError

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def choice(option: str, value: str, allowed: Sequence[str]) -> str:
    """A value that is one of those allowed.

    Raises:
        ExportError: It is not.
    """
    if value not in allowed:
        raise ExportError(f"option {option}: `{value}` does not exist; give one of {', '.join(allowed)}")
    return value


def boolean(option: str, value: str) -> bool:
    """A value that is true or false.

    Raises:
        ExportError: It is neither.
    """
    return _BOOLEANS[choice(option, value, tuple(_BOOLEANS))]


def whole_number(option: str, value: str) -> int:
    """A value that is a number.

    Raises:
        ExportError: It is not a whole number.
    """
    try:
        return int(value)
    except ValueError as error:
        raise ExportError(f"option {option}: `{value}` is not a whole number") from error
