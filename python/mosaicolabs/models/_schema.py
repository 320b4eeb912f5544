"""The flat Arrow schema of a topic: columns of the envelope, then columns of the data class."""

from functools import cache

import pyarrow as pa

from mosaicolabs.models._arrow import ENVELOPE_COLUMNS, ENVELOPE_NAMES
from mosaicolabs.models.serializable import Serializable


def check_wrappable(cls: type[Serializable]) -> None:
    """Refuses a class whose fields collide with the columns of the envelope.

    Raises:
        ValueError: A field of the class is named like a column of the envelope, or the class is not
            a registered one.
    """
    if not cls.is_registered():
        raise ValueError(f"'{cls.__name__}' is not a data class; use a class derived from Serializable")
    taken = sorted(ENVELOPE_NAMES & {field.name for field in cls.__msco_pyarrow_struct__})
    if taken:
        raise ValueError(f"fields {taken} of '{cls.__name__}' are named like columns of Message; rename them")


@cache
def message_schema(cls: type[Serializable]) -> pa.Schema:
    """The schema of every batch of a topic of this class; built once per class.

    Raises:
        ValueError: See `check_wrappable`.

    Example:
        >>> from mosaicolabs.models.data import Boolean
        >>> message_schema(Boolean).names
        ['timestamp_ns', 'recording_timestamp_ns', 'data', 'header']
    """
    check_wrappable(cls)
    return pa.schema([*ENVELOPE_COLUMNS, *cls.__msco_pyarrow_struct__])
