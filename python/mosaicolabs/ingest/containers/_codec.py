"""Decompression of parts of files; of a damaged part, everything before the damage."""

import bz2

import pyarrow as pa

LARGEST_BLOCK = 4 << 30
"""Chunks that claim to be larger are damaged: recorders write megabytes."""

_STEP = 1 << 16


class CodecError(ValueError):
    """A block cannot be decompressed.

    Attributes:
        readable: What can be read before the damage.
    """

    def __init__(self, reason: str, readable: bytes = b"") -> None:
        super().__init__(reason)
        self.readable = readable


def decompress(data: bytes, codec: str, size: int) -> bytes:
    """The `size` bytes that `data` contains.

    Args:
        data: One compressed block; bytes behind `size` decompressed ones are ignored.
        codec: `` or `none`, `lz4` (frames), `zstd`, `bz2`.
        size: What the file says about the size.

    Raises:
        CodecError: The data is damaged, the size differs, or the codec is unknown.
    """
    if size > LARGEST_BLOCK:
        raise CodecError(f"it claims to contain {size} bytes")
    if codec in ("", "none"):
        whole = data
    elif codec == "bz2":
        whole = _bz2(data, size)
    elif codec in ("lz4", "zstd"):
        whole = _stream(data, codec, size)
    else:
        raise CodecError(f"its compression `{codec}` is unknown; known are lz4, zstd and bz2")
    if len(whole) != size:
        raise CodecError(f"it contains {len(whole)} bytes instead of {size}", whole[:size])
    return whole


def _stream(data: bytes, codec: str, size: int) -> bytes:
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), codec) as stream:
            return bytes(stream.read(size))
    except (OSError, pa.ArrowException) as error:
        raise CodecError(str(error), _before_damage(data, codec)) from error


def _before_damage(data: bytes, codec: str) -> bytes:
    read = bytearray()
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), codec) as stream:
            while step := stream.read(_STEP):
                read += step
    except (OSError, pa.ArrowException):
        pass
    return bytes(read)


def _bz2(data: bytes, size: int) -> bytes:
    decompressor = bz2.BZ2Decompressor()
    try:
        return decompressor.decompress(data, size + 1)
    except (OSError, ValueError) as error:
        raise CodecError(str(error)) from error
