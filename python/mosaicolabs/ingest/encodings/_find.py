"""Finds the decoder of a channel."""

from mosaicolabs.ingest.containers import Channel

from ._decoder import ChannelDecoder, EncodingError
from ._json import json_decoder
from ._protobuf import protobuf_decoder


def decoder_of(channel: Channel) -> ChannelDecoder:
    """The decoder of a channel that is not ROS.

    Raises:
        EncodingError: There is none, or the definition is broken.
    """
    if channel.encoding == "json":
        return json_decoder(channel)
    if channel.encoding == "protobuf":
        return protobuf_decoder(channel)
    raise EncodingError(f"its encoding `{channel.encoding}` is unknown")
