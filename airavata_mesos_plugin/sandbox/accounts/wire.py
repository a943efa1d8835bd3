"""Frames between the daemon and the processes that work as other accounts. Neither side trusts lengths.

A frame is two lengths (4 bytes each, most significant first), a head (a JSON object in ASCII) and a body
of raw bytes. Nothing that could run code is ever unpacked from it.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from airavata_mesos_plugin.errors import ProtocolError

HEAD_LIMIT = 256 * 1024
BODY_LIMIT = 256 * 1024 * 1024
"""Bytes of a body: a snapshot of about four million files."""

_T = TypeVar("_T")
_LENGTHS = struct.Struct(">II")


class Malformed(ProtocolError):
    """What came is no message of ours; the stream is of no use any more."""


class PeerGone(ConnectionError):
    """The other side closed the stream, or ended."""


@dataclass(frozen=True)
class Frame:
    """One message."""

    head: Mapping[str, object]
    body: bytes = b""

    @property
    def kind(self) -> str:
        return self.text("kind")

    def text(self, name: str) -> str:
        """A text of the head. Raises Malformed when it is none."""
        return self._typed(name, str)

    def number(self, name: str) -> int:
        """A whole number of the head. Raises Malformed when it is none."""
        value = self._typed(name, int)
        if isinstance(value, bool):
            raise Malformed(f"the member {name} of a message is no number")
        return value

    def flag(self, name: str) -> bool:
        """A truth value of the head. Raises Malformed when it is none."""
        return self._typed(name, bool)

    def _typed(self, name: str, kind: type[_T]) -> _T:
        value = self.head.get(name)
        if not isinstance(value, kind):
            raise Malformed(f"the member {name} of a message is not of the type {kind.__name__}")
        return value


def send(connection: socket.socket, head: Mapping[str, object], body: Sequence[bytes] = ()) -> None:
    """Send one frame. Raises OSError, PeerGone, or Malformed when it is too large."""
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    size = sum(len(part) for part in body)
    if len(text) > HEAD_LIMIT or size > BODY_LIMIT:
        raise Malformed(f"a message of {len(text)} and {size} bytes is too large")
    try:
        connection.sendall(_LENGTHS.pack(len(text), size) + text)
        for part in body:
            connection.sendall(part)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise PeerGone("the other side has closed the stream") from error


class Receiver:
    """Reads frames; what came before a time-out of the socket is kept for the next call."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._wanted = _LENGTHS.size
        self._have = 0
        self._buffer = bytearray(_LENGTHS.size)
        self._sizes: tuple[int, int] | None = None

    def receive(self, body_limit: int = BODY_LIMIT) -> Frame:
        """The next frame. Raises TimeoutError, PeerGone, and Malformed for what is no frame."""
        if self._sizes is None:
            self._fill()
            head, body = _LENGTHS.unpack(self._buffer)
            if head > HEAD_LIMIT or body > body_limit:
                raise Malformed(f"a message announces {head} and {body} bytes")
            self._sizes = head, body
            self._begin(head + body)
        self._fill()
        size = self._sizes[0]
        view = memoryview(self._buffer)
        head_text, content = bytes(view[:size]), bytes(view[size:])
        view.release()
        self._sizes = None
        self._begin(_LENGTHS.size)
        try:
            document = json.loads(head_text)
        except (ValueError, RecursionError) as error:
            raise Malformed("a message has a head that is no JSON") from error
        if not isinstance(document, dict):
            raise Malformed("a message has a head that is no object")
        return Frame(document, content)

    def _begin(self, wanted: int) -> None:
        self._buffer = bytearray(wanted)
        self._wanted, self._have = wanted, 0

    def _fill(self) -> None:
        with memoryview(self._buffer) as view:
            while self._have < self._wanted:
                try:
                    count = self._connection.recv_into(view[self._have :])
                except ConnectionResetError as error:
                    raise PeerGone("the other side has closed the stream") from error
                if not count:
                    raise PeerGone("the other side has closed the stream")
                self._have += count
