"""What the refusals of a Mosaico 0.2 server mean: its status is always the same, only the text tells."""

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

# The first part that the text contains decides.
_MEANINGS: tuple[tuple[str, type[MosaicoError], str], ...] = (
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
_TAKEN = {"sequence `": "sequence_exists", "topic `": "topic_exists"}


@contextmanager
def translated_errors(client: _native.Client) -> Iterator[None]:
    """Gives refusals of a 0.2 server the class that says what can be done; ours come with it."""
    try:
        yield
    except InternalError as error:
        if client.server() is not None:
            raise
        raise _meaning(error) from error


def _meaning(error: InternalError) -> MosaicoError:
    if "already exists" in error.message:
        code = next((code for start, code in _TAKEN.items() if start in error.message), "already_exists")
        return AlreadyExistsError(error.message, code)
    for part, kind, code in _MEANINGS:
        if part in error.message:
            return kind(error.message, code)
    return error
