"""The results of a query."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.helpers._format import seconds
from mosaicolabs.helpers._html import Row, table
from mosaicolabs.helpers.damage import DamagedRows
from mosaicolabs.models.platform import Sequence
from mosaicolabs.models.query.builders import QuerySequence, QueryTopic

if TYPE_CHECKING:
    from mosaicolabs.handlers.query_reader import QueryDataStreamer

__all__ = [
    "QueryResponse",
    "QueryResponseItem",
    "QueryResponseItemSequence",
    "QueryResponseItemTopic",
    "TimestampRange",
]


@dataclass
class TimestampRange:
    """The times of the matching messages.

    Attributes:
        start: Time of the first matching message, ns since the Unix epoch.
        end: Time of the last one.
    """

    start: int
    end: int


@dataclass
class QueryResponseItemSequence:
    """A sequence that was found.

    Attributes:
        name: Name without slashes.
    """

    name: str


@dataclass
class QueryResponseItemTopic:
    """A topic that was found.

    Attributes:
        name: Name with a leading slash.
        timestamp_range: Times of its matching messages. None: not requested by the query.
    """

    name: str
    timestamp_range: TimestampRange | None


@dataclass
class QueryResponseItem:
    """A sequence and those of its topics that match.

    Attributes:
        sequence: The sequence.
        topics: Its matching topics.
    """

    sequence: QueryResponseItemSequence
    topics: list[QueryResponseItemTopic]


@dataclass
class QueryResponse:
    """The response to a query: a sequence of items, falsy if nothing was found.

    Attributes:
        items: One per sequence.

    Example:
        >>> imu = QueryResponseItemTopic("/imu", TimestampRange(start=0, end=5_000_000))
        >>> response = QueryResponse([QueryResponseItem(QueryResponseItemSequence("run-1"), [imu])])
        >>> [(item.sequence.name, topic.name) for item in response for topic in item.topics]
        [('run-1', '/imu')]
        >>> response.to_query_sequence().to_dict()
        {'name': {'$in': ['run-1']}}
    """

    items: list[QueryResponseItem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._cursor: str | None = None
        self._explain: dict[str, Any] | None = None
        self._incomplete: list[DamagedRows] = []
        self._fetch: Callable[[str], QueryResponse] | None = None
        self._stream: Callable[[list[QueryResponseItem], bool, bool], QueryDataStreamer] | None = None

    @classmethod
    def _of(
        cls,
        items: list[QueryResponseItem],
        *,
        cursor: str | None,
        explain: dict[str, Any] | None,
        incomplete: list[DamagedRows],
        fetch: "Callable[[str], QueryResponse]",
        stream: "Callable[[list[QueryResponseItem], bool, bool], QueryDataStreamer]",
    ) -> "QueryResponse":
        response = cls(items)
        response._cursor, response._explain = cursor, explain
        response._incomplete = incomplete
        response._fetch, response._stream = fetch, stream
        return response

    @property
    def cursor(self) -> str | None:
        """Where the next page begins, for `client.query(..., cursor=...)`; None on the last page."""
        return self._cursor

    @property
    def explain(self) -> dict[str, Any] | None:
        """How the daemon executed the query, if requested: chunks, row groups, rows and bytes read."""
        return self._explain

    @property
    def incomplete(self) -> list[DamagedRows]:
        """Damaged chunks that the daemon could not search: messages in them may match."""
        return self._incomplete

    def pages(self) -> Iterator["QueryResponse"]:
        """This page and all following ones, each fetched when it is needed."""
        page: QueryResponse | None = self
        while page is not None:
            yield page
            page = page._next()

    def _next(self) -> "QueryResponse | None":
        if self._cursor is None or self._fetch is None:
            return None
        return self._fetch(self._cursor)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[QueryResponseItem]:
        return iter(self.items)

    def __getitem__(self, index: int) -> QueryResponseItem:
        return self.items[index]

    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return not self.items

    def get_data_streamer(self, *, progress: bool = False, skip_damaged: bool = False) -> "QueryDataStreamer":
        """Opens the replay of the results: `(sequence_name, topic_name, message)`.

        With `include_timestamp_range` in the query, each topic is read from its first to its last matching
        message, otherwise as a whole. Sequences follow the order of the items; the topics of each are merged
        by time. Later pages are not included.

        Args:
            progress: Show the position of the replay of each sequence on stderr, where that is a terminal or
                a notebook.
            skip_damaged: Leave out rows of damaged chunks instead of raising `DataLossError`; `skipped` of
                the streamer and a warning name them.

        Raises:
            ValueError: The response was not created by `client.query`.
        """
        if self._stream is None:
            raise InvalidInputError(
                "this response was not created by client.query, hence has no data to stream", "bad_query"
            )
        return self._stream(self.items, progress, skip_damaged)

    def _repr_html_(self) -> str:
        rows = [_row(item.sequence.name, topic) for item in self.items for topic in item.topics]
        return table(["sequence", "topic", "matching"], rows)

    def to_query_sequence(self) -> QuerySequence:
        """A builder for these sequences, to refine the query.

        Raises:
            ValueError: Nothing was found.
        """
        if self.is_empty():
            raise InvalidInputError(
                "the response is empty: there are no sequences to query further; test is_empty() first",
                "bad_query",
            )
        return QuerySequence(Sequence.Q.name.in_([item.sequence.name for item in self.items]))

    def to_query_topic(self) -> QueryTopic:
        """A builder for exactly these topics of these sequences, to refine the query.

        Topics of the same name in other sequences are not included.

        Raises:
            ValueError: No topic was found.
        """
        found = [item for item in self.items if item.topics]
        topics = {item.sequence.name: [topic.name for topic in item.topics] for item in found}
        if not topics:
            raise InvalidInputError(
                "the response has no topics to query further; test is_empty() first", "bad_query"
            )
        return QueryTopic._pinned_to(topics)


def _row(sequence_name: str, topic: QueryResponseItemTopic) -> Row:
    times = topic.timestamp_range
    if times is None:
        return Row([sequence_name, topic.name, ""], None, None)
    return Row([sequence_name, topic.name, seconds(times.end - times.start)], times.start, times.end)
