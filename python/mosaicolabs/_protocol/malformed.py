"""Answers that do not follow the protocol."""

from collections.abc import Iterator
from contextlib import contextmanager

from mosaicolabs._protocol.manifests import TopicParsingError
from mosaicolabs.exceptions import InternalError, MosaicoError

__all__ = ["well_formed"]

_CAUSES = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TopicParsingError,
    TypeError,
    ValueError,
)


@contextmanager
def well_formed(what: str) -> Iterator[None]:
    """Gives everything that reading a malformed answer raises one class.

    Args:
        what: What the daemon answered.

    Raises:
        InternalError: The answer is malformed.
    """
    try:
        yield
    except MosaicoError:
        raise
    except _CAUSES as error:
        raise InternalError(f"the daemon sent malformed {what}: {type(error).__name__}: {error}") from error
