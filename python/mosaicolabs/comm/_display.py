"""Notebook display of a client."""

from mosaicolabs import _native
from mosaicolabs.exceptions import NotFoundError
from mosaicolabs.handlers.sequence_handler import SequenceHandler
from mosaicolabs.helpers._format import megabytes, span
from mosaicolabs.helpers._html import Row, facts, table

_SHOWN = 20


def client_table(client: _native.Client, title: str) -> str:
    """The first sequences with their size and time line."""
    names = client.sequences()
    rows = [row for name in names[:_SHOWN] for row in _rows(client, name)]
    more = f", {_SHOWN} of them below" if len(names) > _SHOWN else ""
    head = facts(title, [f"{len(names)} sequences{more}"], {})
    return head + table(["sequence", "topics", "duration", "size"], rows)


def _rows(client: _native.Client, name: str) -> list[Row]:
    try:
        handler = SequenceHandler._connect(client, name)
    except NotFoundError:  # deleted in the meantime
        return []
    low, high = handler.timestamp_ns_min, handler.timestamp_ns_max
    cells = [name, str(len(handler.topics)), span(low, high), megabytes(handler.total_size_bytes)]
    return [Row(cells, low, high)]
