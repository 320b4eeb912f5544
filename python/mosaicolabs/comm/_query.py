"""Runs queries: encodes the request, decodes the response."""

from collections.abc import Iterable, Iterator
from typing import Any

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.malformed import well_formed
from mosaicolabs.enum import FlightAction
from mosaicolabs.exceptions import InternalError, InvalidInputError, UnsupportedError
from mosaicolabs.handlers.query_reader import QueryDataStreamer
from mosaicolabs.helpers import sanitize_topic_name, unpack_topic_full_path
from mosaicolabs.helpers.damage import DamagedRows
from mosaicolabs.models.query import (
    Query,
    QueryResponse,
    QueryResponseItem,
    QueryResponseItemSequence,
    QueryResponseItemTopic,
    TimestampRange,
)
from mosaicolabs.models.query.expressions import COMBINATIONS, OR, _QuerySequenceExpression
from mosaicolabs.models.query.generation.mixins import Descending, _QueryableField

OrderBy = _QueryableField | Descending
"""A field of `Sequence.Q`, or its `.desc()`."""


def paging(
    order_by: OrderBy | Iterable[OrderBy] | None, limit: int | None, cursor: str | None, explain: bool
) -> dict[str, Any]:
    """The part of a request that orders and limits the response.

    Raises:
        TypeError: `order_by` contains something other than fields of `Sequence.Q`.
        ValueError: The limit is not positive, or a cursor is given without a limit.
    """
    request: dict[str, Any] = {}
    if order_by is not None:
        fields = [order_by] if isinstance(order_by, _QueryableField | Descending) else list(order_by)
        request["order"] = [_order(field) for field in fields]
    if limit is not None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InvalidInputError(f"limit is {limit!r}; give a positive number of sequences per page")
        request["limit"] = limit
    if cursor is not None:
        if limit is None:
            raise InvalidInputError(
                "a cursor needs the limit of the query that it continues; give the same limit"
            )
        request["cursor"] = cursor
    if explain:
        request["explain"] = True
    return request


def run(client: _native.Client, query: Query, request: dict[str, Any]) -> QueryResponse:
    """Sends a query and decodes the response.

    Raises:
        InvalidInputError: The query is nested too deeply.
        UnsupportedError: The query uses an extension that a Mosaico 0.2 server does not support.
        MosaicoError: The daemon refuses.
    """
    try:
        return _encode_and_send(client, query, request)
    except RecursionError as error:
        raise InvalidInputError(
            "the query is nested too deeply; split it, or use in_ instead of many |"
        ) from error


def _encode_and_send(client: _native.Client, query: Query, request: dict[str, Any]) -> QueryResponse:
    body = query.to_dict() | request
    if client.server() is not None:
        return _send(client, body)
    if len(query._pins) > 1:
        # Mosaico 0.2 servers ignore what they do not know; other topics are filtered out below.
        body.pop(OR, None)
    _refuse_extensions(body)
    body = _with_slashes(body)
    return _keep_pinned(_send(client, body), query._pins)


def _send(client: _native.Client, body: dict[str, Any]) -> QueryResponse:
    answer = actions.call(client, FlightAction.QUERY, **body)
    if answer is None:
        raise InternalError("the daemon answered the query without content")
    with well_formed("results of a query"):
        items = [_item(entry) for entry in answer["items"]]
        incomplete = DamagedRows.of_answer(answer.get("incomplete", []))
    return QueryResponse._of(
        items,
        cursor=answer.get("cursor"),
        explain=answer.get("explain"),
        fetch=lambda cursor: _send(client, {**body, "cursor": cursor}),
        incomplete=incomplete,
        stream=lambda items, progress, skip_damaged: QueryDataStreamer(
            client=client, items=items, progress=progress, skip_damaged=skip_damaged
        ),
    )


def _item(entry: dict[str, Any]) -> QueryResponseItem:
    return QueryResponseItem(
        sequence=QueryResponseItemSequence(name=entry["sequence"].strip("/")),
        topics=[_topic(topic) for topic in entry["topics"]],
    )


def _topic(entry: dict[str, Any]) -> QueryResponseItemTopic:
    parts = unpack_topic_full_path(entry["locator"])
    if parts is None:
        raise InternalError(
            f"the daemon answered the query with {entry['locator']!r}, which is not the name of a topic"
        )
    bounds = entry.get("timestamp_range")
    return QueryResponseItemTopic(name=parts[1], timestamp_range=TimestampRange(*bounds) if bounds else None)


def _order(by: object) -> dict[str, Any]:
    field = by.field if isinstance(by, Descending) else by
    if not isinstance(field, _QueryableField) or field._expr_cls is not _QuerySequenceExpression:
        raise TypeError(f"cannot order by {by!r}; give fields of Sequence.Q or their .desc()")
    return {"by": f"sequence.{field.full_path}", "desc": isinstance(by, Descending)}


def _refuse_extensions(body: dict[str, Any]) -> None:
    unknown = sorted({*_combinations(body), *(body.keys() & {"order", "limit", "cursor", "explain"})})
    if unknown:
        raise UnsupportedError(
            f"this Mosaico 0.2 server does not support {', '.join(unknown)} in queries; "
            "leave out combinations, order, limit and explain, or connect to mosaicod of this package"
        )


def _with_slashes(body: dict[str, Any]) -> dict[str, Any]:
    """Mosaico 0.2 servers find a topic only by its full name with the leading slash."""
    condition = body.get("topic", {}).get("name", {})
    whole = {op: value for op, value in condition.items() if op != "$match"}
    if not whole:
        return body
    spelled = {op: _spelled(value) for op, value in whole.items()}
    return body | {"topic": body["topic"] | {"name": condition | spelled}}


def _spelled(value: Any) -> Any:
    return [_spelled(one) for one in value] if isinstance(value, list) else sanitize_topic_name(value)


def _combinations(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, below in node.items():
            if key in COMBINATIONS:
                yield key
            yield from _combinations(below)


def _keep_pinned(response: QueryResponse, pins: tuple[tuple[list[str], list[str]], ...]) -> QueryResponse:
    if not pins:
        return response
    topics = {sequence: set(names) for sequences, names in pins for sequence in sequences}
    for item in response.items:
        item.topics = [topic for topic in item.topics if topic.name in topics[item.sequence.name]]
    response.items = [item for item in response.items if item.topics]
    return response
