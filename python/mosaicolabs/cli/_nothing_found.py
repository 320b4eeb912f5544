"""Why a query finds nothing: a name in its condition that does not exist."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from mosaicolabs.comm import MosaicoClient
from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.helpers.suggest import did_you_mean
from mosaicolabs.models import Serializable
from mosaicolabs.models.query import Query, QueryTopic

_SECTIONS = ("sequence", "topic", "ontology")


def missing_name(client: MosaicoClient, query: Query) -> str | None:
    """One line about the first name that does not exist; None if all exist, so that just nothing matches."""
    for section, field, condition in _conditions(query.to_dict(), None):
        if section == "ontology":
            problem = _missing_column(client, field)
        elif (section, field) == ("sequence", "name"):
            problem = _missing_sequence(client, condition)
        else:
            problem = None
        if problem is not None:
            return problem
    return None


def _conditions(node: Any, section: str | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Sections, fields and conditions of a query as it is sent."""
    if isinstance(node, list):
        for part in node:
            yield from _conditions(part, section)
        return
    for key, below in node.items() if isinstance(node, dict) else ():
        if key in _SECTIONS and section is None:
            yield from _conditions(below, key)
        elif key.startswith("$"):
            yield from _conditions(below, section)
        elif section is not None and isinstance(below, dict):
            yield section, key, below


def _missing_sequence(client: MosaicoClient, condition: dict[str, Any]) -> str | None:
    name = condition.get("$eq")
    if not isinstance(name, str):
        return None
    names = sorted(client.list_sequences())
    return None if name.strip("/") in names else f"no sequence is named `{name}`; {did_you_mean(name, names)}"


def _missing_column(client: MosaicoClient, path: str) -> str | None:
    parts = path.split(".")
    # Tags may contain dots: the shortest one that topics have is that of the path.
    for length in range(1, len(parts) + 1):
        found = client.query(QueryTopic().with_ontology_tag(".".join(parts[:length])), limit=1)
        if len(found):
            return _missing_field(client, found[0].sequence.name, found[0].topics[0].name, path)
    tags = [tag for tag in Serializable._list_registered() if tag != parts[0]]
    hint = did_you_mean(parts[0], tags)
    known = f"; {hint}" if hint.startswith("did you mean") else ""
    return f"no topic has the class `{parts[0]}` of `{path}`{known}"


def _missing_field(client: MosaicoClient, sequence: str, topic: str, path: str) -> str | None:
    handler = client.sequence_handler(sequence)
    if handler is None or handler.timestamp_ns_min is None:
        return None
    try:
        with closing(handler.batches([topic], columns=[path])):
            return None
    except InvalidInputError as error:
        return str(error)
