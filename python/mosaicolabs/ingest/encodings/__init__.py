"""Messages of channels that are not ROS: their columns, and functions that decode them."""

from ._decoder import ChannelDecoder, EncodingError, column_name
from ._find import decoder_of

__all__ = ["ChannelDecoder", "EncodingError", "column_name", "decoder_of"]
