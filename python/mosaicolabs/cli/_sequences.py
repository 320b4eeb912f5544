"""Sequences that the commands name: by names, patterns, conditions."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import click

from mosaicolabs._terminal.options import Target
from mosaicolabs.helpers.patterns import select_names
from mosaicolabs.helpers.suggest import did_you_mean

if TYPE_CHECKING:
    from mosaicolabs.comm import MosaicoClient
    from mosaicolabs.handlers import SequenceHandler

_CALLS = 8
"""Calls that wait for their answers at the same time."""


def require_sequence(client: "MosaicoClient", name: str, target: Target) -> "SequenceHandler":
    """The handler of `name`.

    Raises:
        click.ClickException: The sequence does not exist; the text names similar ones.
    """
    handler = client.sequence_handler(name)
    if handler is None:
        raise click.ClickException(_unknown(name, client.list_sequences(), target))
    return handler


def handlers_of(client: "MosaicoClient", names: Iterable[str]) -> "list[SequenceHandler]":
    """The handlers of sequences, without those that were deleted in the meantime."""
    with ThreadPoolExecutor(_CALLS) as calls:
        return [handler for handler in calls.map(client.sequence_handler, names) if handler is not None]


def chosen_names(
    client: "MosaicoClient", patterns: Sequence[str], where: str | None, target: Target
) -> list[str]:
    """Names of the sequences that patterns and a condition select, in order.

    Args:
        client: The client.
        patterns: Names, or patterns such as `run-*`; `!PATTERN` excludes. None: all.
        where: A condition as of `mosaico query`.
        target: For messages.

    Raises:
        click.ClickException: A name or pattern selects nothing.
        click.UsageError: The condition cannot be read.
    """
    names = client.list_sequences()
    if patterns:
        patterns = [pattern if pattern.startswith("!") else pattern.strip("/") for pattern in patterns]
        for pattern in patterns:
            if not pattern.startswith("!") and not select_names(names, [pattern]):
                raise click.ClickException(_unknown(pattern, names, target))
        names = list(select_names(names, patterns))
    if where is not None:
        from ._conditions import parse_conditions  # takes long to import

        try:
            query = parse_conditions(where)
        except (ValueError, AttributeError) as error:
            raise click.UsageError(str(error)) from error
        found = {item.sequence.name for item in client.query(query=query)}
        names = [name for name in names if name in found]
    return sorted(names)


def sequence_json(handler: "SequenceHandler") -> dict[str, Any]:
    """The facts that `--json` prints for a sequence."""
    return {
        "name": handler.name,
        "topics": len(handler.topics),
        "bytes": handler.total_size_bytes,
        "timestamp_ns_min": handler.timestamp_ns_min,
        "timestamp_ns_max": handler.timestamp_ns_max,
        "created": handler.created_datetime.isoformat(),
        "locked": handler.is_locked,
        "metadata": handler.user_metadata,
    }


def state_of(locked: bool) -> str:
    """The state of a sequence in words."""
    return "finalized" if locked else "open"


def _unknown(name: str, names: Sequence[str], target: Target) -> str:
    what = "no sequence matches" if any(sign in name for sign in "*?[") else "no sequence"
    hint = did_you_mean(name.strip("*"), sorted(names))
    return f"{what} `{name}` in {target.place}; {hint} (`{target.again('ls')}`)"
