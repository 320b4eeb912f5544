"""Topics as columns."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import pyarrow as pa

from mosaicolabs import _native
from mosaicolabs._closing import Closing
from mosaicolabs._streams.dataframes import to_pandas, to_polars
from mosaicolabs._streams.open import READ_AHEAD_BYTES
from mosaicolabs.exceptions import ClosedError, InvalidInputError
from mosaicolabs.helpers.damage import DamagedRows, warn_skipped
from mosaicolabs.models.query.expressions import _QueryCatalogExpression, _QueryExpression
from mosaicolabs.models.query.generation.api import _QueryProxy
from mosaicolabs.models.query.generation.mixins import _QueryableField

__all__ = ["Batches"]

Column: TypeAlias = str | _QueryableField | _QueryProxy
"""A dotted path, or a field of a class: `IMU.Q.acceleration.x`."""

Where: TypeAlias = _QueryExpression
"""A condition on values, as in queries: `IMU.Q.acceleration.x.gt(9.9)`; they combine by `&`, `|` and `~`."""


class BatchSource(Protocol):
    """The source of batches: the native reader of a sequence or topic, or the reader of several sequences."""

    def next(self) -> pa.RecordBatch | None:
        """The next batch, never empty; None at the end. An error is raised again by every later call."""

    def __arrow_c_schema__(self) -> object: ...

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

    def skipped(self) -> list[tuple[Any, ...]]:
        """Rows of damaged chunks that were left out so far."""

    def close(self) -> None:
        """Closes the streams behind it."""


class Batches(Closing):
    """Rows as columns, batch by batch in time order; runs once, forward.

    Iterating yields `pyarrow.RecordBatch`, each of about a megabyte and never empty. Any library that takes
    Arrow streams reads it directly (`__arrow_c_stream__`), without a copy and without pyarrow. Memory is
    bounded unless the caller keeps the batches.

    One topic has the columns it is stored with: `timestamp_ns`, `recording_timestamp_ns`, and those of its
    class. Merged topics have `timestamp_ns`, `topic` (the name, dictionary-encoded),
    `recording_timestamp_ns`, and one struct per class, named by its ontology tag and null in the rows of
    other classes, so that columns are named as in queries: `imu.acceleration.x`. Results of a query have
    `sequence` before `topic`.
    """

    def __init__(self, source: BatchSource) -> None:
        self._source: BatchSource | None = source
        self._schema = pa.schema(source)
        self._skipped: list[DamagedRows] | None = None

    @property
    def schema(self) -> pa.Schema:
        """The schema of all batches."""
        return self._schema

    @property
    def skipped(self) -> list[DamagedRows]:
        """Rows of damaged chunks that were left out so far, with `skip_damaged`; complete at the end."""
        if self._source is None:
            return self._skipped or []
        return DamagedRows.of_native(self._source.skipped())

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> pa.RecordBatch:
        batch = self._open().next()
        if batch is None:
            if self._skipped is None:
                self._skipped = self.skipped
                warn_skipped(self._skipped)
            raise StopIteration
        return batch

    def to_arrow(self) -> pa.Table:
        """The remaining rows as a table."""
        return pa.Table.from_batches(self, self._schema)

    def to_pandas(self, *, time_index: bool = False) -> Any:
        """The remaining rows as a pandas frame; fields of structs become columns with dotted names.

        Integers and booleans with nulls get pandas' nullable types.

        Args:
            time_index: The index is the time of the messages, UTC, exact to the ns, a `DatetimeIndex` named
                `time`; for `resample`, `frame["2026-11-30 12:00":]` and plots. Otherwise it counts the rows.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return to_pandas(self.to_arrow(), time_index=time_index)

    def to_polars(self) -> Any:
        """The remaining rows as a polars frame.

        Raises:
            ModuleNotFoundError: polars is not installed.
        """
        return to_polars(self)

    def __arrow_c_schema__(self) -> object:
        return self._open().__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._open().__arrow_c_stream__(requested_schema)

    def close(self) -> None:
        """Closes the streams behind it; safe to call repeatedly."""
        if self._source is not None:
            self._skipped = self.skipped
            self._source.close()
            self._source = None

    def _open(self) -> BatchSource:
        if self._source is None:
            raise ClosedError("the batches are closed; request new ones")
        return self._source


@dataclass(frozen=True)
class BatchRequest:
    """Topics to read as columns; columns and rows are selected by `batches`.

    Attributes:
        client: The native client.
        locators: The topics, `sequence/topic`.
        window: Times to read.
        tag: Ontology tag of a single topic; None: topics are merged.
        max_lateness_s: How long a followed message waits for earlier ones of other topics, s; None: the
            topics are not followed.
        read_ahead_bytes: Budget of batches beyond the one that is being read.
        skip_damaged: Leave out rows of damaged chunks.
    """

    client: _native.Client
    locators: list[str]
    window: tuple[int | None, int | None]
    tag: str | None = None
    max_lateness_s: float | None = None
    read_ahead_bytes: int = READ_AHEAD_BYTES
    skip_damaged: bool = False

    def batches(self, columns: Iterable[Column] | None, where: Where | None) -> Batches:
        """Opens the topics.

        Raises:
            InvalidInputError: A column does not exist, or the condition matches none of the topics.
        """
        native = self.client.batches(
            self.locators,
            self.window,
            columns=None if columns is None else [self._path(column) for column in column_list(columns)],
            condition=None if where is None else _json(where),
            merged=self.tag is None,
            lateness_s=self.max_lateness_s,
            read_ahead_bytes=self.read_ahead_bytes,
            skip_damaged=self.skip_damaged,
        )
        return Batches(native)

    def _path(self, column: Column) -> str:
        path = path_of(column)
        if self.tag is None or isinstance(column, str):
            return path
        below = path.removeprefix(f"{self.tag}.")
        if below == path:
            raise InvalidInputError(
                f"{path} is not a column of {self.locators[0]}, whose class is {self.tag!r}"
            )
        return below


def column_list(columns: Iterable[Column]) -> Iterable[Column]:
    """The columns, checked to be several.

    Raises:
        TypeError: It is a single column instead of a list.
    """
    if isinstance(columns, str | _QueryableField | _QueryProxy):
        raise TypeError(f"columns takes a list, not the single column {columns!r}; write [{columns!r}]")
    return columns


def path_of(column: Column) -> str:
    """The dotted path of a column; the path of a field begins with the tag of its class.

    Raises:
        TypeError: The column is neither a path nor a field.
    """
    if isinstance(column, str):
        return column
    if not isinstance(column, _QueryableField | _QueryProxy):
        raise TypeError(
            f"{column!r} does not name a column; give a dotted path, or a field such as IMU.Q.header"
        )
    return column.full_path if isinstance(column, _QueryableField) else column._full_path


def condition(where: Where) -> _QueryCatalogExpression:
    """The condition, checked to be one on values of messages.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(where, _QueryCatalogExpression):
        raise TypeError(
            f"where takes a condition on values such as IMU.Q.acceleration.x.gt(9.9), not {where!r}"
        )
    return where


def _json(where: Where) -> str:
    with refuse_deep_nesting():
        return json.dumps(condition(where)._filter())


@contextmanager
def refuse_deep_nesting() -> Iterator[None]:
    """Turns the recursion error of a deeply nested condition into one that says so.

    Raises:
        InvalidInputError: The condition is nested too deeply.
    """
    try:
        yield
    except RecursionError as error:
        raise InvalidInputError("the condition is nested too deeply; use in_ instead of many |") from error
