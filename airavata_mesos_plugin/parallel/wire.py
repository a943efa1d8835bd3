"""Messages between the nodes of a job: both sides prove that they know the job's secret, and every message
is signed. What is said is not encrypted.
"""

import hashlib
import hmac
import os
import select
import socket
import struct
import threading
from typing import Optional, Tuple

MAGIC = b"AMP1"
HANDSHAKE_SECONDS = 30.0
LARGEST = 1024 * 1024
"""Bytes of one message; an environment has to fit in."""

_NONCE = 32
_SIGNATURE = 32
_MARK = 16
_HEADER = struct.Struct(">cI")
_COUNTER = struct.Struct(">Q")

# Kinds of messages. From the side that asks:
RUN = b"R"  # start a command; JSON
STDIN = b"0"  # a piece; an empty one is the end
SIGNAL = b"S"  # its number in ASCII
WATCH = b"W"  # I am the first node
PING = b"P"
END = b"E"  # end everything
# From the waiting side:
STDOUT = b"1"
STDERR = b"2"
EXIT = b"X"  # exit code in ASCII, negative for a signal
FAILED = b"F"  # the command could not be started; why
PONG = b"Q"
ENDED = b"e"


class Lost(Exception):
    """The connection broke, or the other side was silent for too long."""


class Forged(Exception):
    """The other side does not know the secret, or a message was changed on its way."""


class Channel:
    """A connection after both sides have proved who they are. Sending is safe from several threads."""

    def __init__(self, connection: socket.socket, key_out: bytes, key_in: bytes) -> None:
        self._connection = connection
        self._key_out = key_out
        self._key_in = key_in
        self._sent = 0
        self._received = 0
        self._lock = threading.Lock()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Raises Lost. ``payload`` has at most `LARGEST` bytes."""
        if len(payload) > LARGEST:
            raise ValueError("the message is too long")
        header = _HEADER.pack(kind, len(payload))
        with self._lock:
            mark = _mark(self._key_out, self._sent, header, payload)
            self._sent += 1
            try:
                self._connection.sendall(header + payload + mark)
            except OSError as error:
                raise Lost(_words(error)) from error

    def receive(self, seconds: Optional[float] = None) -> Tuple[bytes, bytes]:
        """The next message, kind and payload. Raises Lost, also after ``seconds`` of silence; Forged."""
        self._connection.settimeout(seconds)
        header = _read(self._connection, _HEADER.size)
        kind, length = _HEADER.unpack(header)
        if length > LARGEST:
            raise Forged("a message is too long")
        payload = _read(self._connection, length)
        mark = _read(self._connection, _MARK)
        if not hmac.compare_digest(mark, _mark(self._key_in, self._received, header, payload)):
            raise Forged("a message has a wrong signature")
        self._received += 1
        return kind, payload

    def quiet(self) -> bool:
        """Whether nothing has come that `receive` would give now, not even the end of the connection."""
        return not select.select([self._connection], [], [], 0)[0]

    def close(self) -> None:
        """Repeatable; also ends a `receive` of another thread."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already
        self._connection.close()


def greet(connection: socket.socket, secret: bytes, node: int) -> Channel:
    """The side that connects to the node of that index. Raises Lost or Forged."""
    connection.settimeout(HANDSHAKE_SECONDS)
    _prepare(connection)
    theirs = _read(connection, _NONCE)
    ours = os.urandom(_NONCE)
    try:
        connection.sendall(MAGIC + ours + _sign(secret, b"asks", node, theirs, ours))
    except OSError as error:
        raise Lost(_words(error)) from error
    answer = _read(connection, _SIGNATURE)
    if not hmac.compare_digest(answer, _sign(secret, b"waits", node, theirs, ours)):
        raise Forged("the other side is no node of this job")
    return Channel(
        connection,
        _sign(secret, b"to the waiting side", node, theirs, ours),
        _sign(secret, b"from the waiting side", node, theirs, ours),
    )


def welcome(connection: socket.socket, secret: bytes, node: int) -> Channel:
    """The waiting side; ``node`` is its own index. Raises Lost or Forged."""
    connection.settimeout(HANDSHAKE_SECONDS)
    _prepare(connection)
    ours = os.urandom(_NONCE)
    try:
        connection.sendall(ours)
        hello = _read(connection, len(MAGIC) + _NONCE + _SIGNATURE)
        theirs = hello[len(MAGIC) : len(MAGIC) + _NONCE]
        wanted = MAGIC + theirs + _sign(secret, b"asks", node, ours, theirs)
        if not hmac.compare_digest(hello, wanted):
            raise Forged("the other side is no node of this job")
        connection.sendall(_sign(secret, b"waits", node, ours, theirs))
    except OSError as error:
        raise Lost(_words(error)) from error
    return Channel(
        connection,
        _sign(secret, b"from the waiting side", node, ours, theirs),
        _sign(secret, b"to the waiting side", node, ours, theirs),
    )


def _prepare(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _sign(secret: bytes, purpose: bytes, node: int, waits: bytes, asks: bytes) -> bytes:
    text = b"|".join((purpose, str(node).encode("ascii"), waits, asks))
    return hmac.new(secret, text, hashlib.sha256).digest()


def _mark(key: bytes, number: int, header: bytes, payload: bytes) -> bytes:
    maker = hmac.new(key, _COUNTER.pack(number) + header, hashlib.sha256)
    maker.update(payload)
    return maker.digest()[:_MARK]


def _read(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        try:
            piece = connection.recv(min(65536, length - len(data)))
        except socket.timeout as error:
            raise Lost("no sign of life") from error
        except OSError as error:
            raise Lost(_words(error)) from error
        if not piece:
            raise Lost("the connection was closed")
        data += piece
    return bytes(data)


def _words(error: OSError) -> str:
    return error.strerror or str(error)
