"""Every exception that mosaicolabs raises by itself.

The class determines how a caller can react; the stable `code` identifies the problem. Most classes have a
second, builtin base, so that `except ConnectionError`, `except ValueError` ... keep working.

Example:
    >>> from mosaicolabs.exceptions import InvalidInputError
    >>> try:
    ...     raise InvalidInputError("speed is 'fast'; give a number")
    ... except ValueError as error:
    ...     print(error.code, "-", error)
    invalid_input - speed is 'fast'; give a number
"""

from typing import Any, ClassVar

__all__ = [
    "AlreadyExistsError",
    "ClosedError",
    "ConnectionFailedError",
    "DataLossError",
    "DeadlineError",
    "FailedPreconditionError",
    "InternalError",
    "InvalidInputError",
    "MosaicoError",
    "NotFoundError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "UnsupportedError",
]


class MosaicoError(Exception):
    """Base of all.

    Attributes:
        message: What happened, with the offending value and what to do next.
        code: Stable machine code; codes are only ever added.
        request_id: ID of the call in the daemon's log, and at the end of `str(error)`; also set if the call
            did not reach the daemon or the daemon died during it. None: no call was made, the call stayed in
            this process, or the daemon is a Mosaico 0.2 server.
    """

    codes: ClassVar[tuple[str, ...]] = ("internal",)
    """The codes that instances of this class can have; the first one is the general one."""

    # Builtin bases such as OSError interpret their arguments; these classes do not.
    def __new__(  # noqa: D102
        cls, message: str, code: str | None = None, request_id: str | None = None
    ) -> "MosaicoError":
        return super().__new__(cls, message)

    def __init__(self, message: str, code: str | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.codes[0]
        self.request_id = request_id

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed if it is repeated later."""
        return self.code in _RETRYABLE

    def __str__(self) -> str:
        return self.message if self.request_id is None else f"{self.message} (request {self.request_id})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.code, self.request_id)


_RETRYABLE = frozenset(
    {
        "unavailable",
        "store_unavailable",
        "rows_on_other_daemon",
        "ownership_lost",
        "shutting_down",
        "timed_out",
    }
)


class NotFoundError(MosaicoError, LookupError):
    """The named sequence, topic or layer does not exist."""

    codes = ("not_found", "sequence_not_found", "topic_not_found", "layer_not_found")


class AlreadyExistsError(MosaicoError):
    """The name is already in use."""

    codes = ("already_exists", "sequence_exists", "topic_exists", "layer_exists")


class InvalidInputError(MosaicoError, ValueError):
    """A name, schema, value or request is malformed."""

    codes = (
        "invalid_input",
        "bad_name",
        "bad_key",
        "bad_ticket",
        "bad_descriptor",
        "bad_schema",
        "bad_query",
        "bad_row",
        "bad_message",
        "unexpected_message",
    )


class PermissionDeniedError(MosaicoError, PermissionError):
    """The key does not authorize writing this resource."""

    codes = ("permission_denied", "wrong_key")


class FailedPreconditionError(MosaicoError, RuntimeError):
    """The resource is not in the state that the call needs, such as a locked sequence to delete."""

    codes = (
        "failed_precondition",
        "sequence_locked",
        "sequence_ended",
        "topic_locked",
        "topic_unlocked",
        "topic_busy",
        "newer_format",
    )


class ConnectionFailedError(MosaicoError, ConnectionError):
    """The daemon cannot be reached, the connection broke, or the daemon ended the call."""

    codes = (
        "unavailable",
        "store_unavailable",
        "rows_on_other_daemon",
        "ownership_lost",
        "shutting_down",
        "cancelled",
        "deleted",
        "stream_replaced",
        "stream_broken",
    )


class DeadlineError(MosaicoError, TimeoutError):
    """The call timed out."""

    codes = ("timed_out",)


class ResourceExhaustedError(MosaicoError):
    """A limit of disk, memory or message size is exceeded."""

    codes = ("resource_exhausted", "store_full", "too_large", "too_many")


class UnsupportedError(MosaicoError, NotImplementedError):
    """The daemon does not support this call."""

    codes = ("unimplemented",)


class ClosedError(MosaicoError, ValueError):
    """The client, writer or streamer was closed before the call."""

    codes = ("closed",)


class DataLossError(MosaicoError, OSError):
    """Stored data is damaged or missing; the message names it, and other data is not affected."""

    codes = ("data_loss", "damaged_chunk")


class InternalError(MosaicoError):
    """A bug, or a damaged store: please report it."""

    codes = ("internal",)
