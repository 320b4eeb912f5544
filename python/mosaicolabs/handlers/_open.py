"""Opens the streams behind tickets and binds them to the classes of their messages."""

import logging
from typing import Any

from mosaicolabs import _native
from mosaicolabs.exceptions import ConnectionFailedError, MosaicoError
from mosaicolabs.models._plan import decode_plan
from mosaicolabs.models.message import Message
from mosaicolabs.models.serializable import Serializable

logger = logging.getLogger(__name__)

READ_AHEAD_BYTES = 32 * 1024 * 1024
"""Decoded batches that may wait beyond the one that each topic hands out, for all topics of a streamer."""

_MESSAGE_PLAN = (
    "model",
    Message,
    (("data", ("leaf",)), ("timestamp_ns", ("leaf",)), ("recording_timestamp_ns", ("leaf",))),
)


def open_stream(
    client: _native.Client, names: list[str], tickets: list[bytes]
) -> tuple[_native.Stream, list[str]]:
    """The merged stream of `tickets`, and the ontology tag of each.

    Raises:
        ConnectionFailedError: The daemon refused, or went away.
    """
    try:
        stream = client.read(tickets, READ_AHEAD_BYTES)
    except MosaicoError as error:
        raise ConnectionFailedError(f"cannot open the stream of {', '.join(names)}: {error}") from error
    tags = [tag or "" for tag in stream.tags()]
    plans = []
    for name, tag in zip(names, tags, strict=True):
        cls = Serializable._get_class_type(tag)
        if cls is None:
            logger.warning("%s: ontology %r is not registered; define or import its class", name, tag)
        plans.append(_refusal(name, tag) if cls is None else decode_plan(cls))
    stream.bind(_MESSAGE_PLAN, names, plans)
    return stream, tags


def _refusal(name: str, tag: str) -> tuple[Any, ...]:
    """A plan that raises at the topic's first message, so that the other topics stay readable."""

    def refuse(_: object) -> None:
        raise ValueError(
            f"topic {name!r} holds ontology {tag!r}, which is not registered in this process; "
            "import or define its class before reading"
        )

    return ("convert", refuse)
