"""A TCP proxy whose traffic can be stopped or cut."""

import contextlib
import socket
import struct
import threading
from pathlib import Path

CHUNK_BYTES = 64 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to a port of this machine, or to a socket in a folder, until `stall` or `cut`."""

    def __init__(self, target: int | Path) -> None:
        self._target: int | Path = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._answering = threading.Event()
        self._answering.set()
        self._refusing = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Reads nothing more from either side; connections stay open."""
        self._flowing.clear()

    def stall_answers(self) -> None:
        """Sends nothing more back; what comes is forwarded."""
        self._answering.clear()

    def resume(self) -> None:
        self._flowing.set()
        self._answering.set()

    def move(self, target_port: int) -> None:
        """Forwards new connections to another port, and resets the present ones."""
        self._target = target_port
        self.drop()

    def drop(self) -> None:
        """Resets every connection; new ones are accepted."""
        with self._lock:
            for end in self._sockets:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                _shut(end)
            self._sockets.clear()
        self.resume()

    def refuse(self) -> None:
        """Resets every connection, also new ones, as a load balancer without a daemon."""
        self._refusing = True
        self.drop()

    def cut(self) -> None:
        """Resets every connection and accepts no more."""
        with self._lock:
            _shut(self._listener)
        self.drop()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target))
        far = socket.socket(socket.AF_UNIX)
        far.connect(str(self._target))
        return far

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._refusing:
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                    near.close()
                    continue
                try:
                    far = self._connect()
                except OSError:
                    _shut(near)
                    continue
                with self._lock:
                    self._sockets += [near, far]
                for ends in ((near, far, self._flowing), (far, near, self._answering)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, open_way: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                self._flowing.wait()
                open_way.wait()
                sink.sendall(data)
        for end in (source, sink):
            _shut(end)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()
