"""Every exception that mosaicolabs raises by itself.

Classes say what a handler can do about it, the stable `code` says what happened. Most have a second,
builtin base, so that `except ConnectionError`, `except ValueError` ... keep working.

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
        message: What happened, with the offending value and the way out.
        code: Stable machine code; codes are only ever added.
        request_id: Name of the call in the daemon's log, and at the end of `str(error)`; also of a call that
            did not reach the daemon, or in which it died. None: no call was made, it was one of this process,
            or the refusal is of a daemon of Mosaico 0.2.
    """

    codes: ClassVar[tuple[str, ...]] = ("internal",)
    """The codes that instances of this class can have; the first says no more than the class."""

    # Builtin bases such as OSError read meaning into their arguments; these classes do not.
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
        """Whether the same call may succeed later without any change by the caller."""
        return self.code in _RETRYABLE

    def __str__(self) -> str:
        return self.message if self.request_id is None else f"{self.message} (request {self.request_id})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.code, self.request_id)


_RETRYABLE = frozenset(
    {"unavailable", "store_unavailable", "rows_elsewhere", "ownership_lost", "shutting_down", "deadline"}
)


class NotFoundError(MosaicoError, LookupError):
    """The named sequence, topic or layer does not exist."""

    codes = ("not_found", "sequence_not_found", "topic_not_found", "layer_not_found")


class AlreadyExistsError(MosaicoError):
    """The name is taken."""

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
    """The key does not open this resource."""

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
    """The daemon cannot be reached, went away, or cut the call short."""

    codes = (
        "unavailable",
        "store_unavailable",
        "rows_elsewhere",
        "ownership_lost",
        "shutting_down",
        "cancelled",
        "deleted",
        "stream_replaced",
        "stream_broken",
    )


class DeadlineError(MosaicoError, TimeoutError):
    """Nothing happened in time."""

    codes = ("deadline",)


class ResourceExhaustedError(MosaicoError):
    """A limit of disk, memory or message size was met."""

    codes = ("resource_exhausted", "store_full", "too_large", "too_many")


class UnsupportedError(MosaicoError, NotImplementedError):
    """The daemon does not know this call."""

    codes = ("unimplemented",)


class ClosedError(MosaicoError, ValueError):
    """The client, writer or streamer was closed before the call."""

    codes = ("closed",)


class InternalError(MosaicoError):
    """A bug or a broken store: worth a report."""

    codes = ("internal",)
