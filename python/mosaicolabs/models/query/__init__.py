"""Queries for sequences and topics by names, metadata and the values of their messages.

`.Q` of a class creates conditions, builders combine them, `client.query` executes them.

Example:
    >>> from mosaicolabs import IMU
    >>> from mosaicolabs.models.platform import Sequence
    >>> north = QuerySequence(Sequence.Q.user_metadata["site"].eq("north"))
    >>> shaken = QueryOntologyCatalog(IMU.Q.acceleration.x.gt(20.0) | IMU.Q.acceleration.y.gt(20.0))
    >>> Query(north, shaken).to_dict()["sequence"]
    {'user_metadata': {'site': {'$eq': 'north'}}}
"""

from mosaicolabs.models.query.builders import Query, QueryOntologyCatalog, QuerySequence, QueryTopic
from mosaicolabs.models.query.fields import data_field
from mosaicolabs.models.query.response import (
    QueryResponse,
    QueryResponseItem,
    QueryResponseItemSequence,
    QueryResponseItemTopic,
    TimestampRange,
)

__all__ = [
    "Query",
    "QueryOntologyCatalog",
    "QueryResponse",
    "QueryResponseItem",
    "QueryResponseItemSequence",
    "QueryResponseItemTopic",
    "QuerySequence",
    "QueryTopic",
    "TimestampRange",
    "data_field",
]
