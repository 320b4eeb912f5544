"""Signed links to sequences."""

from dataclasses import dataclass, field

from mosaicolabs import _native
from mosaicolabs._protocol import actions
from mosaicolabs._protocol.extension_actions import ExtensionAction
from mosaicolabs._streams.open import Window
from mosaicolabs.exceptions import UnsupportedError

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
    window: Window,
    topics: list[str] | None,
) -> SequenceLink:
    """Lets the daemon sign a link.

    Raises:
        InvalidInputError: A time, window or topic that no link can have.
        UnsupportedError: The daemon is a Mosaico 0.2 server.
        MosaicoError: The daemon refuses.
    """
    if client.server() is None:
        raise UnsupportedError("a Mosaico 0.2 server has no links; connect to mosaicod of this package")
    answer = actions.call(
        client,
        ExtensionAction.SEQUENCE_LINK,
        name=name,
        expires_in_s=expires_in_s,
        timestamp_ns_start=window[0],
        timestamp_ns_end=window[1],
        topics=topics,
    )
    facts = answer or {}
    return SequenceLink(url=facts["url"], expires_timestamp_ns=facts["expires_ns"])
