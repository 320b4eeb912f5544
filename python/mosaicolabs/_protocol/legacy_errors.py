"""Errors of Mosaico 0.2 servers: their status is always the same, so the text decides the class."""

from collections.abc import Iterator
from contextlib import contextmanager

from mosaicolabs import _native
from mosaicolabs.exceptions import (
    AlreadyExistsError,
    FailedPreconditionError,
    InternalError,
    InvalidInputError,
    MosaicoError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedError,
)

# The first phrase that the text contains decides.
_CLASSES: tuple[tuple[str, type[MosaicoError], str], ...] = (
    ("sequence is locked", FailedPreconditionError, "sequence_locked"),
    ("sequence locked", FailedPreconditionError, "sequence_locked"),
    ("topic unlocked", FailedPreconditionError, "topic_unlocked"),
    ("topic locked", FailedPreconditionError, "topic_locked"),
    ("bad key", PermissionDeniedError, "wrong_key"),
    ("unauthorized", PermissionDeniedError, "permission_denied"),
    ("malformed key", InvalidInputError, "bad_key"),
    ("has unsupported operation", UnsupportedError, "unimplemented"),
    ("no available action", UnsupportedError, "unimplemented"),
    ("deserialization error", InvalidInputError, "invalid_input"),
    ("at least one row", NotFoundError, "not_found"),
    ("not found", NotFoundError, "not_found"),
)
_EXISTING = {"sequence `": "sequence_exists", "topic `": "topic_exists"}


@contextmanager
def translated_errors(client: _native.Client) -> Iterator[None]:
    """Gives errors of a 0.2 server the class that a caller can act on; those of mosaicod already have it."""
    try:
        yield
    except InternalError as error:
        if client.server() is not None:
            raise
        raise _classified(error) from error


def _classified(error: InternalError) -> MosaicoError:
    if "already exists" in error.message:
        code = next((code for start, code in _EXISTING.items() if start in error.message), "already_exists")
        return AlreadyExistsError(error.message, code)
    for part, kind, code in _CLASSES:
        if part in error.message:
            return kind(error.message, code)
    return error
