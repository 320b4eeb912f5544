"""HTTP/2 by hand: a peer that no library is rude enough for."""

import contextlib
import select
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FLIGHT = "/arrow.flight.protocol.FlightService/"
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
MAX_FRAME = 16384


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def message(body: bytes, announced: int | None = None) -> bytes:
    """A message of gRPC; it may announce more bytes than it has."""
    return b"\0" + struct.pack(">I", len(body) if announced is None else announced) + body


class RawPeer:
    """A connection that sends exactly the given bytes."""

    def __init__(self, port: int, settings: dict[int, int] | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        payload = b"".join(struct.pack(">HI", *entry) for entry in (settings or {}).items())
        self.socket.sendall(PREFACE + _frame(SETTINGS, 0, 0, payload))
        self._received = b""
        self._initial = 65535
        self._windows = {0: 65535}
        self.frames: list[tuple[int, int, int]] = []  # kind, flags, stream

    def call(self, stream: int, method: str, more: dict[str, str] | None = None) -> None:
        """Begins a call; its request stays open."""
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": FLIGHT + method,
            ":authority": "test",
            "content-type": "application/grpc",
            "te": "trailers",
            **(more or {}),
        }
        block = b"".join(
            b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
            for name, value in headers.items()
        )
        self._windows[stream] = self._initial
        self.socket.sendall(_frame(HEADERS, END_HEADERS, stream, block))

    def send(self, stream: int, payload: bytes, *, last: bool = False, seconds: float = 5) -> int:
        """Sends as much as the server's windows allow within some seconds; returns the number of bytes."""
        sent, end = 0, time.monotonic() + seconds
        while sent < len(payload) and time.monotonic() < end:
            room = min(self._windows[0], self._windows[stream], MAX_FRAME, len(payload) - sent)
            if room <= 0:
                if not self.pump(0.05):
                    break
                continue
            flags = END_STREAM if last and sent + room == len(payload) else 0
            self.socket.sendall(_frame(DATA, flags, stream, payload[sent : sent + room]))
            self._windows[0] -= room
            self._windows[stream] -= room
            sent += room
            self.pump(0)
        return sent

    def pump(self, seconds: float) -> bool:
        """Reads what arrives in that time, answers pings; returns whether the connection is open."""
        end = time.monotonic() + seconds
        while True:
            readable, _, _ = select.select([self.socket], [], [], max(0.0, end - time.monotonic()))
            if not readable:
                return True
            try:
                received = self.socket.recv(1 << 16)
            except OSError:
                return False
            if not received:
                return False
            self._received += received
            self._take_frames()

    def _take_frames(self) -> None:
        while len(self._received) >= 9:
            length = int.from_bytes(self._received[:3], "big")
            if len(self._received) < 9 + length:
                return
            kind, flags = self._received[3], self._received[4]
            stream = int.from_bytes(self._received[5:9], "big") & 0x7FFFFFFF
            payload, self._received = self._received[9 : 9 + length], self._received[9 + length :]
            self.frames.append((kind, flags, stream))
            with contextlib.suppress(OSError):
                self._answer(kind, flags, stream, payload)

    def _answer(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at : at + 6])
                if name == 4:
                    self._initial = value
            self.socket.sendall(_frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.socket.sendall(_frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            window = self._windows.get(stream, self._initial)
            self._windows[stream] = window + int.from_bytes(payload, "big")

    def close(self) -> None:
        self.socket.close()
