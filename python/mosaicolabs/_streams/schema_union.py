"""One schema for the merged batches of several sequences, and the batches in it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mosaicolabs.exceptions import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIMES = ("timestamp_ns", "recording_timestamp_ns")
_KEYS = pa.dictionary(pa.int32(), pa.utf8())
_HEAD = [
    pa.field("timestamp_ns", pa.int64(), nullable=False),
    pa.field("sequence", _KEYS, nullable=False),
    pa.field("topic", _KEYS, nullable=False),
]


class SchemaUnion:
    """Brings batches of several sequences into one schema.

    Names of sequences and topics are encoded by one dictionary each for all batches. A class that a sequence
    does not have is null in its rows, as are columns that its topics of the class do not have.

    Args:
        schemas: Name and schema of each sequence.
        topics: Names of the topics of all sequences.

    Raises:
        InvalidInputError: A class is named `sequence`, or a column has different types.
    """

    def __init__(self, schemas: list[tuple[str, pa.Schema]], topics: Iterable[str]) -> None:
        self._sequences = _places(name for name, _ in schemas)
        self._topics = _places(topics)
        self.schema = pa.schema([*_HEAD, *_union(schemas)])

    def batch(self, sequence: str, merged: pa.RecordBatch) -> pa.RecordBatch:
        """A merged batch of `sequence` in the common schema."""
        topics = merged.column("topic")
        places = np.array([self._topics[name] for name in topics.dictionary.to_pylist()], np.int32)
        columns = [
            merged.column("timestamp_ns"),
            _encoded(np.full(merged.num_rows, self._sequences[sequence], np.int32), self._sequences),
            _encoded(places[topics.indices.to_numpy()], self._topics),
        ]
        columns += [_column(merged, field) for field in list(self.schema)[len(columns) :]]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def _encoded(keys: "NDArray[np.int32]", names: dict[str, int]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(keys, pa.array(names, pa.utf8()))


def _union(schemas: list[tuple[str, pa.Schema]]) -> list[pa.Field]:
    """The recording time if any sequence has it, and the classes of all sequences."""
    recording: list[pa.Field] = []
    classes: dict[str, pa.Field] = {}
    for sequence, schema in schemas:
        for field in schema:
            if field.name == "sequence":
                raise InvalidInputError(
                    f"sequence {sequence!r} has a topic with the ontology tag `sequence`, which is the "
                    "name of a column of query results; read that topic separately"
                )
            if field.name in TIMES:
                recording = [field] if field.name == TIMES[-1] else recording
            elif field.name != "topic":
                classes[field.name] = _merge_class(classes.get(field.name, field), field, sequence)
    everywhere = set.intersection(*(set(schema.names) for _, schema in schemas)) if schemas else set()
    return recording + [
        field if name in everywhere else field.with_nullable(True) for name, field in classes.items()
    ]


def _merge_class(known: pa.Field, other: pa.Field, sequence: str) -> pa.Field:
    """A class with the columns of both; columns that one of them lacks are nullable."""
    fields = {field.name: field for field in known.type}
    for field in other.type:
        before = fields.setdefault(field.name, field)
        if before.type != field.type:
            raise InvalidInputError(
                f"column `{known.name}.{field.name}` is {field.type} in sequence {sequence!r} and "
                f"{before.type} in one before it; select other columns or read the sequences separately"
            )
        fields[field.name] = before.with_nullable(before.nullable or field.nullable)
    shared = {field.name for field in known.type} & {field.name for field in other.type}
    united = [field if name in shared else field.with_nullable(True) for name, field in fields.items()]
    return pa.field(known.name, pa.struct(united), known.nullable or other.nullable)


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    index = batch.schema.get_field_index(field.name)
    if index < 0:
        return pa.nulls(batch.num_rows, field.type)
    column = batch.column(index)
    if column.type == field.type:
        return column
    known = {inner.name for inner in column.type}
    parts = [
        column.field(inner.name) if inner.name in known else pa.nulls(len(column), inner.type)
        for inner in field.type
    ]
    return pa.StructArray.from_arrays(parts, fields=list(field.type), mask=column.is_null())
