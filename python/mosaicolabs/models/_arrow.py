"""Helpers for the Arrow structs of data classes."""

from typing import Any

import pyarrow as pa


def column(name: str, type_: pa.DataType, description: str, *, required: bool = False) -> pa.Field:
    """A described column; `required` columns refuse nulls."""
    return pa.field(name, type_, nullable=not required, metadata={"description": description})


ENVELOPE_COLUMNS = (
    column("timestamp_ns", pa.int64(), "Message time, ns since the Unix epoch.", required=True),
    column("recording_timestamp_ns", pa.int64(), "Time of recording, ns since the Unix epoch."),
)
"""Columns of the envelope, which precede those of the data class."""

ENVELOPE_NAMES = frozenset(field.name for field in ENVELOPE_COLUMNS)


def append_columns(cls: Any, columns: list[pa.Field]) -> None:
    """Adds the columns of a mixin to the struct of a class that is being defined.

    A class without a struct is unchanged: it is a mixin itself, or `Serializable` will refuse it.

    Raises:
        ValueError: The struct already has one of the columns.
    """
    struct = getattr(cls, "__msco_pyarrow_struct__", None)
    if not isinstance(struct, pa.StructType):
        return
    own = list(struct)
    taken = sorted({field.name for field in own} & {field.name for field in columns})
    if taken:
        raise ValueError(
            f"ontology class '{cls.__name__}' already has the columns {taken} that its mixin adds; "
            "rename the fields, or do not derive from a class that has the mixin"
        )
    cls.__msco_pyarrow_struct__ = pa.struct(own + columns)
