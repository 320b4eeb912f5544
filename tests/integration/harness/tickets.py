"""Tickets of Mosaico 0.2: a locator and a window, as bytes."""

UNBOUNDED = (-(2**63), 2**63 - 1)
MARKERS = {0xFB: 2, 0xFC: 4, 0xFD: 8}


class TruncatedError(Exception):
    """A ticket is too short."""

    def __init__(self, additional: int) -> None:
        super().__init__(additional)
        self.additional = additional


def encode_ticket(locator: str, window: tuple[int | None, int | None]) -> bytes:
    """A bound that is not given is sent as the outermost one, unless neither is."""
    name = locator.encode()
    text = _varint(len(name)) + name
    if window == (None, None):
        return text + b"\0\0"
    bounds = (none if bound is None else bound for bound, none in zip(window, UNBOUNDED, strict=True))
    return text + b"".join(b"\1" + _varint(_zigzag(bound)) for bound in bounds)


def decode_ticket(ticket: bytes) -> tuple[str, tuple[int, int]]:
    size, rest = _read_varint(ticket)
    name, rest = _take(rest, size)
    bounds = []
    for none in UNBOUNDED:
        flag, rest = _take(rest, 1)
        number, rest = _read_varint(rest) if flag[0] else (_zigzag(none), rest)
        bounds.append((number >> 1) ^ -(number & 1))
    return name.decode(), (bounds[0], bounds[1])


def _zigzag(number: int) -> int:
    return (number << 1) ^ (number >> 63)


def _varint(number: int) -> bytes:
    if number < 251:
        return bytes([number])
    marker = next(marker for marker, size in MARKERS.items() if number < 1 << (8 * size))
    return bytes([marker]) + number.to_bytes(MARKERS[marker], "little")


def _read_varint(data: bytes) -> tuple[int, bytes]:
    first, rest = _take(data, 1)
    if first[0] not in MARKERS:
        return first[0], rest
    number, rest = _take(rest, MARKERS[first[0]])
    return int.from_bytes(number, "little"), rest


def _take(data: bytes, size: int) -> tuple[bytes, bytes]:
    if len(data) < size:
        raise TruncatedError(size - len(data))
    return data[:size], data[size:]
