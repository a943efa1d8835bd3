"""What has come on an SSH channel and was not taken yet, for readers who know how much they need.

paramiko's own pipe wakes its reader at each packet of some 32 KiB and copies every byte twice. This one
wakes it when a whole answer is there, and hands out the packets as they came.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from paramiko.buffered_pipe import BufferedPipe, PipeTimeout


class PacketPipe(BufferedPipe):  # type: ignore[type-arg] # it takes none when it runs
    """In the place of `paramiko.Channel.in_buffer`. One thread feeds, one reads."""

    def __init__(self) -> None:
        super().__init__()
        self.least = 1
        """The reader sleeps until so many bytes are there, or there will be no more."""
        self._change = threading.Condition()
        self._packets: deque[bytes] = deque()
        self._size = 0
        self._over = False
        self._watcher: threading.Event | None = None

    def set_event(self, event: threading.Event) -> None:
        """Set ``event`` whenever there is something to read."""
        self._watcher = event
        self._tell()

    def feed(self, data: bytes | str) -> None:
        """Add what has come."""
        packet = data.encode() if isinstance(data, str) else data
        with self._change:
            self._packets.append(packet)
            self._size += len(packet)
            if self._size >= self.least:
                self._change.notify()
        self._tell()

    def read_ready(self) -> bool:
        """Whether there is something to read."""
        return self._size > 0

    def read(self, nbytes: int, timeout: float | None = None) -> bytes:
        """At most ``nbytes``; nothing when there will be no more. Raises PipeTimeout."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._change:
            while self._size < min(self.least, nbytes) and not self._over:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise PipeTimeout
                self._change.wait(left)
            if not self._packets:
                return b""
            packet = self._packets.popleft()
            if len(packet) > nbytes:
                self._packets.appendleft(packet[nbytes:])
                packet = packet[:nbytes]
            self._size -= len(packet)
            return packet

    def empty(self) -> bytes:
        """Take everything."""
        with self._change:
            everything = b"".join(self._packets)
            self._packets.clear()
            self._size = 0
            return everything

    def close(self) -> None:
        """Nothing more will come. Repeatable."""
        with self._change:
            self._over = True
            self._change.notify_all()
        self._tell()

    def __len__(self) -> int:
        return self._size

    def _tell(self) -> None:
        if self._watcher is not None and (self._size or self._over):
            self._watcher.set()
