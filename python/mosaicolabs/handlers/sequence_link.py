"""Signed links to sequences."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.extension_actions import ExtensionAction
from mosaicolabs.exceptions import InvalidInputError, UnsupportedError

__all__ = ["SequenceLink"]


@dataclass(frozen=True)
class SequenceLink:
    """A link to a sequence, or to a part of it.

    Attributes:
        url: The URL, without login. It is a secret: everybody who has it may read until it expires.
        expires_timestamp_ns: When it expires, ns since the Unix epoch: earlier than requested if the API key
            of its creator does.
    """

    url: str = field(repr=False)
    expires_timestamp_ns: int


def create_link(
    client: _native.Client,
    name: str,
    *,
    expires_in_s: int,
    start_timestamp_ns: int | None,
    end_timestamp_ns: int | None,
    topics: Iterable[str] | None,
) -> SequenceLink:
    """Lets the daemon sign a link.

    Raises:
        InvalidInputError: A time, window or topic that no link can have.
        UnsupportedError: The daemon is a Mosaico 0.2 server.
        MosaicoError: The daemon refuses.
    """
    if client.server() is None:
        raise UnsupportedError("a Mosaico 0.2 server has no links; connect to mosaicod of this package")
    if isinstance(topics, str):
        raise InvalidInputError(f"topics is a list of names, not one text: [{topics!r}]")
    answer = actions.call(
        client,
        ExtensionAction.SEQUENCE_LINK,
        name=name,
        expires_in_s=expires_in_s,
        timestamp_ns_start=start_timestamp_ns,
        timestamp_ns_end=end_timestamp_ns,
        topics=None if topics is None else list(topics),
    )
    facts = answer or {}
    return SequenceLink(url=facts["url"], expires_timestamp_ns=facts["expires_ns"])
