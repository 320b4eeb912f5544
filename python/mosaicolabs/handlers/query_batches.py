"""The results of a query as columns, one sequence after the other."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from itertools import pairwise
from threading import Lock
from typing import Any

import pyarrow as pa

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.metadata import TopicMetadata, decode_metadata
from mosaicolabs._streams.open import Window
from mosaicolabs._streams.schema_union import TIMES, SchemaUnion
from mosaicolabs.exceptions import ClosedError, InvalidInputError
from mosaicolabs.handlers.batches import (
    Batches,
    BatchRequest,
    Column,
    Where,
    column_list,
    condition,
    path_of,
    refuse_deep_nesting,
)
from mosaicolabs.helpers.damage import DamagedRows
from mosaicolabs.models.query import QueryResponseItem, QueryResponseItemTopic
from mosaicolabs.models.query.expressions import NOT, OR, _QueryExpression

_FIRST_NS, _PAST_NS = -(2**63), 2**63
_NOTHING: Window = (0, 0)


def open_batches(
    client: _native.Client,
    items: Iterable[QueryResponseItem],
    columns: Iterable[Column] | None,
    where: Where | None,
    *,
    skip_damaged: bool = False,
) -> Batches:
    """The matching windows of the matching topics as columns, in one schema for all sequences.

    The schemas of all sequences are requested first, the rows of each when it is read.

    Raises:
        InvalidInputError: A column or the condition concerns none of the classes that were found, a class
            lacks a selected column in one of the sequences, or a column has different types.
    """
    paths = None if columns is None else [path_of(column) for column in column_list(columns)]
    found = [_MatchedSequence.of(client, item, skip_damaged=skip_damaged) for item in items]
    tags = {tag for sequence in found for tag in sequence.tags.values()}
    where = None if where is None else condition(where)
    if tags:
        _check_columns(paths or [], tags)
        with refuse_deep_nesting():
            _check_condition(where, tags)
    wholes = [sequence.part(list(sequence.tags), _NOTHING, paths) for sequence in found if sequence.tags]
    topics = (topic for sequence in found for topic in sequence.tags)
    same = SchemaUnion([(whole.sequence, whole.schema()) for whole in wholes], topics)
    parts = [
        sequence.part(topics, window, paths)
        for sequence in found
        for topics, window in split(sequence.windows)
    ]
    if where is not None:
        with refuse_deep_nesting():
            parts = [part for whole in parts for part in whole.narrowed(where)]
    return Batches(_ConcatenatedBatches(parts, same))


def window_of(topic: QueryResponseItemTopic) -> Window:
    """The times from the first to the last matching message; the end of a window is exclusive."""
    if topic.timestamp_range is None:
        return None, None
    end = topic.timestamp_range.end + 1
    return topic.timestamp_range.start, None if end == _PAST_NS else end


@dataclass(frozen=True)
class _Part:
    """Topics of a sequence that are read over the same window."""

    sequence: str
    tags: frozenset[str]
    request: BatchRequest
    columns: list[str] | None
    where: Where | None = None

    def open(self) -> Batches:
        return self.request.batches(self.columns, self.where)

    def schema(self) -> pa.Schema:
        with self.open() as batches:
            return batches.schema

    def narrowed(self, where: Where) -> "list[_Part]":
        """The part with the simplified condition; nothing if no message of its classes can match."""
        left = _simplified(where, self.tags)
        if isinstance(left, bool):
            return [self] if left else []
        return [_Part(self.sequence, self.tags, self.request, self.columns, left)]


@dataclass(frozen=True)
class _MatchedSequence:
    """Topics of a sequence that match and have data, with their tags and windows."""

    client: _native.Client
    sequence: str
    tags: dict[str, str]
    windows: dict[str, Window]
    skip_damaged: bool

    @classmethod
    def of(cls, client: _native.Client, item: QueryResponseItem, *, skip_damaged: bool) -> "_MatchedSequence":
        tags, windows = {}, {}
        for topic in item.topics:
            metadata, endpoints, _ = actions.info(client, f"{item.sequence.name}{topic.name}")
            if any(bounds is not None for _, _, bounds, *_ in endpoints):
                properties = TopicMetadata.from_dict(decode_metadata(metadata)).properties
                tags[topic.name], windows[topic.name] = properties.ontology_tag, window_of(topic)
        return cls(client, item.sequence.name, tags, windows, skip_damaged)

    def part(self, topics: list[str], window: Window, paths: list[str] | None) -> _Part:
        tags = frozenset(self.tags[topic] for topic in topics)
        columns = (
            None if paths is None else [path for path in paths if path in TIMES or _concerns(path, tags)]
        )
        locators = [f"{self.sequence}{topic}" for topic in topics]
        request = BatchRequest(self.client, locators, window, skip_damaged=self.skip_damaged)
        return _Part(self.sequence, tags, request, columns)


def split(windows: Mapping[str, Window]) -> Iterator[tuple[list[str], Window]]:
    """Splits the time at the bounds of all windows: each piece lies inside or outside of each window.

    Example:
        >>> list(split({"/a": (0, 20), "/b": (10, None)}))
        [(['/a'], (0, 10)), (['/a', '/b'], (10, 20)), (['/b'], (20, None))]
    """
    spans = {
        name: (_FIRST_NS if start is None else start, _PAST_NS if end is None else end)
        for name, (start, end) in windows.items()
    }
    for start, end in pairwise(sorted({cut for span in spans.values() for cut in span})):
        inside = [name for name, (low, high) in spans.items() if low <= start and end <= high]
        if inside:
            yield inside, (None if start == _FIRST_NS else start, None if end == _PAST_NS else end)


# -- checks of columns and conditions --------------------------------------------------------------


def _concerns(path: str, tags: Collection[str]) -> bool:
    return any(path == tag or path.startswith(f"{tag}.") for tag in tags)


def _check_columns(paths: Iterable[str], tags: Collection[str]) -> None:
    for path in paths:
        if path not in TIMES and not _concerns(path, tags):
            raise InvalidInputError(
                f"column `{path}` does not exist; give `{TIMES[-1]}`, `<tag>` or `<tag>.<field>` with one of "
                f"the tags that were found: {', '.join(sorted(tags))}"
            )


def _check_condition(where: _QueryExpression | None, tags: Collection[str]) -> None:
    if where is None:
        return
    if where._is_combination:
        for part in (where.value,) if where.op == NOT else where.value:
            _check_condition(part, tags)
    elif not _concerns(where.full_path, tags):
        raise InvalidInputError(
            f"the condition on `{where.full_path}` concerns none of the topics that were found; they have "
            f"the tags {', '.join(sorted(tags))}"
        )


def _simplified(where: _QueryExpression, tags: Collection[str]) -> _QueryExpression | bool:
    """The condition for messages of these classes alone: fields of other classes count as missing."""
    if where.op == NOT:
        part = _simplified(where.value, tags)
        return not part if isinstance(part, bool) else ~part
    if not where._is_combination:
        return where if _concerns(where.full_path, tags) else where.op == "$nex"
    decisive = where.op == OR
    parts = [_simplified(part, tags) for part in where.value]
    if decisive in parts:
        return decisive
    left = tuple(part for part in parts if not isinstance(part, bool))
    return type(where)("", where.op, left) if left else not decisive


# -- reading ---------------------------------------------------------------------------------------


class _ConcatenatedBatches:
    """The batches of the parts in order; one part is open at a time."""

    def __init__(self, parts: Iterable[_Part], same: SchemaUnion) -> None:
        self._parts = deque(parts)
        self._same = same
        self._current: Batches | None = None
        self._closed = False
        self._skipped: list[DamagedRows] = []
        self._one_reader = Lock()

    def next(self) -> pa.RecordBatch | None:
        with self._one_reader:
            while self._parts:
                if self._closed:
                    raise ClosedError("the batches are closed; request new ones")
                if self._current is None:
                    self._current = self._parts[0].open()
                batch = next(self._current, None)
                if batch is not None:
                    return self._same.batch(self._parts[0].sequence, batch)
                self._skipped += self._current.skipped
                self._current.close()
                self._current = None
                self._parts.popleft()
        return None

    def __arrow_c_schema__(self) -> object:
        return self._same.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self._same.schema, iter(self.next, None))
        return reader.__arrow_c_stream__(requested_schema)

    def skipped(self) -> list[tuple[Any, ...]]:
        found = self._skipped if self._current is None else [*self._skipped, *self._current.skipped]
        return [astuple(rows) for rows in found]

    def close(self) -> None:
        self._closed = True
        if self._current is not None:
            self._current.close()
