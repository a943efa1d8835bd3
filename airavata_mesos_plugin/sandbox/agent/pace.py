"""Whether the other side of a connection sends at all, or only a byte now and then to keep it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


class TooSlow(TimeoutError):
    """Less has come than was asked for."""


class Pace:
    """Counts the time that is spent on waiting for bytes, and no other: whoever writes them may be slow."""

    def __init__(
        self, least_rate: float, seconds: float, now: Callable[[], float] = time.perf_counter
    ) -> None:
        """Whenever ``seconds`` have been waited, ``least_rate`` bytes for each must have come; 0 asks for
        nothing."""
        self._least = least_rate * seconds
        self._seconds = seconds
        self._now = now
        self._waited = 0.0
        self._came = 0

    def start(self) -> None:
        """Another answer begins."""
        self._waited, self._came = 0.0, 0

    def receive(self, connection: socket.socket, into: memoryview) -> int:
        """``recv_into``, which also raises TooSlow."""
        began = self._now()
        count = connection.recv_into(into)
        self._waited += self._now() - began
        self._came += count
        if self._waited >= self._seconds:
            if count and self._came < self._least:
                raise TooSlow(f"{self._came} bytes in {self._waited:.0f} s")
            self.start()
        return count
