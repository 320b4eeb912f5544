"""Completion of names of sequences and topics in shells."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from mosaicolabs._terminal.options import target_of

if TYPE_CHECKING:
    from mosaicolabs.comm import MosaicoClient

_PAUSE_S = 2
"""How long a shell waits for an unreachable daemon."""


def sequence_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of the sequences of the place that the command line names."""
    return [name for name in _ask(context, _sequences) if name.startswith(incomplete)]


def topic_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Names of the topics of the sequence on the command line."""
    named = context.params.get("name")
    found = _ask(context, lambda client: _topics(client, named)) if isinstance(named, str) else []
    return [name for name in found if name.startswith(incomplete) or name[1:].startswith(incomplete)]


def _sequences(client: "MosaicoClient") -> list[str]:
    return sorted(client.list_sequences())


def _topics(client: "MosaicoClient", sequence: str) -> list[str]:
    handler = client.sequence_handler(sequence)
    return [] if handler is None else sorted(handler.topics)


def _ask(context: click.Context, call: "Callable[[MosaicoClient], list[str]]") -> list[str]:
    # A completion that fails completes nothing: a message would be in the middle of the line that is typed.
    try:
        with _quiet(), replace(target_of(context), timeout_s=_PAUSE_S).open() as client:
            return call(client)
    except Exception:
        return []


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
