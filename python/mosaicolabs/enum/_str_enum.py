"""`enum.StrEnum` for every supported Python (3.10 does not have it)."""

import sys

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:
    from enum import Enum

    class StrEnum(str, Enum):
        """A string enumeration whose `str()` and format are the value."""

        __str__ = str.__str__


__all__ = ["StrEnum"]
