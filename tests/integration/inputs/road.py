"""The road between an agent and the daemon, with holes: a relay that breaks, changes or delays answers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Hole:
    """What becomes of the answer on one connection. Offsets count from its first byte, with the headers."""

    cut_at: int | None = None
    flip_at: int | None = None  # one bit of this byte arrives changed
    piece: int | None = None  # it arrives in pieces of this size, each as a packet of its own


class Road:
    """Relays to ``target``; each connection falls into the next hole, later ones pass."""

    def __init__(self, target: str) -> None:
        place = urlsplit(target)
        self._target = (place.hostname or "", place.port or 0)
        self.holes: deque[Hole] = deque()
        self._open: list[socket.socket] = []
        self.requests: list[str] = []
        self.cuts: list[float] = []  # when an answer was cut, as `time.monotonic` tells it
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """End everything."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:  # the daemon keeps them for other requests
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                agent, _ = self._listener.accept()
            except OSError:
                return
            hole = self.holes.popleft() if self.holes else Hole()
            thread = threading.Thread(target=self._carry, args=(agent, hole))
            thread.start()
            self._threads.append(thread)

    def _carry(self, agent: socket.socket, hole: Hole) -> None:
        with agent, socket.create_connection(self._target) as daemon, contextlib.suppress(OSError):
            self._open.append(daemon)
            request = b""
            while b"\r\n\r\n" not in request:
                piece = agent.recv(65536)
                if not piece:
                    return
                request += piece
            self.requests.append(request.split(b"\r\n", 1)[0].decode())
            daemon.sendall(request)
            position = 0
            while data := bytearray(daemon.recv(hole.piece or 65536)):
                if hole.cut_at is not None and position + len(data) > hole.cut_at:
                    agent.sendall(data[: hole.cut_at - position])
                    self.cuts.append(time.monotonic())
                    return
                if hole.flip_at is not None and position <= hole.flip_at < position + len(data):
                    data[hole.flip_at - position] ^= 1
                agent.sendall(data)
                position += len(data)
