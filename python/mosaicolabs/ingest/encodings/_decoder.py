"""What decoders have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from mosaicolabs.models._arrow import ENVELOPE_COLUMNS

_TAKEN = frozenset(field.name for field in ENVELOPE_COLUMNS)


class EncodingError(ValueError):
    """The messages of a channel cannot be decoded; the text says why."""


@dataclass(frozen=True)
class ChannelDecoder:
    """What the messages of a channel become.

    Attributes:
        tag: Ontology tag.
        schema: Columns of the data.
        decode: The values of a message by column.
    """

    tag: str
    schema: pa.Schema
    decode: Callable[[bytes], dict[str, Any]]


def column_name(field: str) -> str:
    """The column of a field: its name, with `_` behind it if every message has a column of that name."""
    return f"{field}_" if field in _TAKEN else field
