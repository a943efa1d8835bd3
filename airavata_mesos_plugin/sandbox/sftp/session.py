"""One SFTP session on a channel: requests are sent ahead of their answers, which are given in any order."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import paramiko

from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    NotFound,
    ProtocolError,
    Refused,
    TransferError,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox.paths import escape
from airavata_mesos_plugin.sandbox.sftp import wire
from airavata_mesos_plugin.sandbox.sftp.pipe import PacketPipe
from airavata_mesos_plugin.sandbox.sftp.ssh import WINDOW_BYTES, SshConnection
from airavata_mesos_plugin.sandbox.sftp.wire import Attributes, Kind, Reader, Status

PIECE_BYTES = 255 * 1024
"""Asked for at once: the most that OpenSSH gives (9.x). Others give less, which is noticed."""

AHEAD_BYTES = 8 * 1024 * 1024
"""Asked for before the first of it has come. It is also the most that is held in memory."""

WRITE_BYTES = 128 * 1024
"""Sent in one request; every server takes 32 KiB, OpenSSH 255 KiB."""

_RECEIVE_BYTES = 512 * 1024
_NAMES_LIMIT = 64 * 1024 * 1024  # bytes of all names in one directory


@dataclass
class _Piece:
    """A read that was asked for."""

    request: int
    offset: int
    size: int


class Session:
    """Speaks SFTP with one server. For one thread; paths are text as `os.fsdecode` makes it.

    Calls raise NotFound, Refused (not permitted), UnsafePath (of the wrong kind), TransferError (the server
    failed, was silent for too long, or the connection was aborted) and ProtocolError. After one of the last
    two the session is of no use any more.
    """

    def __init__(self, connection: SshConnection) -> None:
        """Shake hands. ``connection`` stays the caller's to close."""
        self.connection = connection
        self._channel: paramiko.Channel = connection.channel
        self._where = str(connection.target)
        self._buffer = bytearray()
        self._unsent = bytearray()
        self._last = 0
        self._early: dict[int, bytes] = {}  # answers that nobody has asked for yet
        self._awaited: set[int] = set()
        self._dropped: set[int] = set()
        self._piece = PIECE_BYTES
        self._send(bytes([Kind.INIT]) + wire.word(wire.VERSION))
        self.flush()
        packet = self._packet()
        if packet[0] != Kind.VERSION or Reader(packet, 1).word() < wire.VERSION:
            raise ProtocolError(f"{self._where} does not speak SFTP version 3")

    # Requests that are sent ahead; each gives a number to ask for the answer with.

    def ask_open(self, path: str) -> int:
        """Open a file for reading; answered by `opened`."""
        return self._ask(Kind.OPEN, _path(path), wire.word(wire.READ), wire.word(0))

    def ask_real_path(self, path: str) -> int:
        """Answered by `name`."""
        return self._ask(Kind.REALPATH, _path(path))

    def ask_link(self, path: str) -> int:
        """Where a link leads; answered by `name`."""
        return self._ask(Kind.READLINK, _path(path))

    def ask_size(self, handle: bytes) -> int:
        """Answered by `attributes`."""
        return self._ask(Kind.FSTAT, wire.text(handle))

    def drop(self, request: int) -> None:
        """The answer is not wanted any more. Repeatable."""
        if request in self._awaited:
            self._awaited.discard(request)
            if self._early.pop(request, None) is None:
                self._dropped.add(request)

    def drop_open(self, request: int) -> None:
        """The file is not wanted any more: it is closed when its handle comes."""
        with contextlib.suppress(NotFound, Refused, UnsafePath, TransferError):
            self.close(self.opened(request, ""))

    # Answers

    def opened(self, request: int, path: str) -> bytes:
        """The handle of a file or directory."""
        return Reader(self._answer(request, Kind.HANDLE, path), 5).text()

    def name(self, request: int, path: str) -> str:
        """The one name of an answer."""
        reader = Reader(self._answer(request, Kind.NAME, path), 5)
        if reader.word() != 1:
            raise ProtocolError(f"{self._where} answers with several names for one")
        return os.fsdecode(reader.text())

    def attributes(self, request: int, path: str) -> Attributes:
        return Reader(self._answer(request, Kind.ATTRS, path), 5).attributes()

    # Whole conversations

    def real_path(self, path: str) -> str:
        """The path without links, as the server sees it."""
        return self.name(self.ask_real_path(path), path)

    def look(self, path: str) -> Attributes:
        """What is at a path; a link is not followed."""
        return self.attributes(self._ask(Kind.LSTAT, _path(path)), path)

    def close(self, handle: bytes) -> None:
        """Give up a file or directory, without waiting for the answer."""
        self.drop(self._ask(Kind.CLOSE, wire.text(handle)))

    def entries(self, path: str, most: int) -> Iterator[tuple[str, Attributes]]:
        """What is in a directory, without ``.`` and ``..``. Raises ProtocolError for more than ``most``."""
        handle = self.opened(self._ask(Kind.OPENDIR, _path(path)), path)
        number = length = 0
        while True:
            packet = self._any(self._ask(Kind.READDIR, wire.text(handle)))
            if _status(packet) == Status.EOF:
                break
            reader = Reader(self._checked(packet, Kind.NAME, path), 5)
            count = reader.word()
            if not count:
                raise ProtocolError(f"{self._where} sends a listing without end")
            for _ in range(count):
                name = reader.text()
                reader.text()  # for people
                attributes = reader.attributes()
                number += 1
                length += len(name)
                if number > most + 2 or length > _NAMES_LIMIT:
                    raise ProtocolError(f"{self._where} lists more than {most} files in one directory")
                if name not in (b".", b".."):
                    yield os.fsdecode(name), attributes
        self.close(handle)

    def content(self, handle: bytes, path: str, start: int, end: int) -> Iterator[memoryview]:
        """The bytes from ``start`` to ``end`` of an open file, in pieces that are valid until the next is
        asked for. Raises TransferError when the file ends sooner.
        """
        pieces: deque[_Piece] = deque()
        asked = start
        try:
            while pieces or asked < end:
                while asked < end and (not pieces or asked - pieces[0].offset < AHEAD_BYTES):
                    pieces.append(self._ask_piece(handle, asked, min(self._piece, end - asked)))
                    asked += pieces[-1].size
                piece = pieces.popleft()
                packet = self._any(piece.request)
                status = _status(packet)
                if status == Status.EOF:
                    raise TransferError(
                        f"{escape(path)} at {self._where} ends {end - piece.offset} bytes early"
                    )
                if status not in (None, Status.OK):
                    raise TransferError(f"{self._where} cannot read on in {escape(path)} (code {status})")
                data = memoryview(self._checked(packet, Kind.DATA, path))[5:]
                size = int.from_bytes(data[:4], "big")
                data = data[4 : 4 + size]
                if not 0 < size <= piece.size or len(data) != size:
                    raise ProtocolError(f"{self._where} answers a read of {piece.size} bytes with {size}")
                if size < piece.size:  # the server has a limit of its own
                    self._piece = max(size, 4096)
                    rest = self._ask_piece(handle, piece.offset + size, piece.size - size)
                    pieces.appendleft(rest)
                yield data
        finally:
            for piece in pieces:
                self.drop(piece.request)

    def put(self, path: str, start: int, chunks: Iterable[bytes], permissions: int = 0o600) -> None:
        """Write a new file, or go on with a file from byte ``start`` on. A link in its place is not followed.

        Raises UnsafePath when something else is there, and TransferError when the server cannot write all.
        """
        flags = wire.WRITE
        try:
            if self.look(path).kind not in ("-", "?"):
                raise UnsafePath(f"{escape(path)} at {self._where} is not a regular file")
        except NotFound:
            flags |= wire.CREATE | wire.EXCLUSIVE
        handle = self.opened(
            self._ask(Kind.OPEN, _path(path), wire.word(flags), wire.mode(permissions)), path
        )
        if self.real_path(path) != path:
            raise UnsafePath(f"{escape(path)} at {self._where} leads to another place")
        under_way: deque[int] = deque()
        position = start
        for chunk in chunks:
            for begin in range(0, len(chunk), WRITE_BYTES):
                piece = chunk[begin : begin + WRITE_BYTES]
                fields = (wire.text(handle), wire.long(position), wire.text(piece))
                under_way.append(self._ask(Kind.WRITE, *fields))
                position += len(piece)
                if len(under_way) * WRITE_BYTES > AHEAD_BYTES:
                    self._written(under_way.popleft(), path)
        while under_way:
            self._written(under_way.popleft(), path)
        self._written(self._ask(Kind.CLOSE, wire.text(handle)), path)

    def _written(self, request: int, path: str) -> None:
        status = _status(self._any(request))
        if status != Status.OK:
            raise TransferError(f"{escape(path)} cannot be written at {self._where} (code {status})")

    def _ask_piece(self, handle: bytes, offset: int, size: int) -> _Piece:
        request = self._ask(Kind.READ, wire.text(handle), wire.long(offset), wire.word(size))
        return _Piece(request, offset, size)

    # Packets

    def _ask(self, kind: Kind, *fields: bytes) -> int:
        self._last = (self._last + 1) & 0xFFFFFFFF
        self._awaited.add(self._last)
        self._send(bytes([kind]) + wire.word(self._last) + b"".join(fields))
        return self._last

    def _send(self, packet: bytes) -> None:
        """Small requests wait for others, and go together when somebody waits for an answer."""
        self._unsent += wire.word(len(packet)) + packet
        if len(self._unsent) >= WRITE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what waits to be sent. Repeatable."""
        if not self._unsent:
            return
        unsent, self._unsent = bytes(self._unsent), bytearray()
        try:
            self._channel.sendall(unsent)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._broken(error) from error

    def _answer(self, request: int, kind: Kind, path: str) -> bytes:
        return self._checked(self._any(request), kind, path)

    def _checked(self, packet: bytes, kind: Kind, path: str) -> bytes:
        if packet[0] == kind:
            return packet
        status = _status(packet)
        if status is None or status == Status.OK:
            raise ProtocolError(
                f"{self._where} answers with the packet {packet[0]} where {kind} was asked for"
            )
        raise _failure(status, self._where, path)

    def _any(self, request: int) -> bytes:
        """The answer to a request, whatever it is."""
        self._awaited.discard(request)
        self.flush()
        while request not in self._early:
            packet = self._packet()
            if len(packet) < 5:
                raise ProtocolError(f"{self._where} sends a packet without a number")
            number = int.from_bytes(packet[1:5], "big")
            if number in self._dropped:
                self._dropped.discard(number)
            elif number in self._awaited or number == request:
                if number in self._early:
                    raise ProtocolError(f"{self._where} answers a request twice")
                self._early[number] = packet
            else:
                raise ProtocolError(f"{self._where} answers what was not asked for")
        return self._early.pop(request)

    def _packet(self) -> bytes:
        self._fill(4)
        size = int.from_bytes(self._buffer[:4], "big")
        if not 0 < size <= wire.PACKET_LIMIT:
            raise ProtocolError(f"{self._where} sends a packet of {size} bytes")
        self._fill(4 + size)
        with memoryview(self._buffer) as view:
            packet = bytes(view[4 : 4 + size])
        del self._buffer[: 4 + size]
        return packet

    def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            if isinstance(self._channel.in_buffer, PacketPipe):
                self._channel.in_buffer.least = count - len(self._buffer)
            try:
                data = self._channel.recv(_RECEIVE_BYTES)
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._broken(error) from error
            if not data:
                raise self._broken(EOFError())
            if len(self._channel.in_buffer) > 2 * WINDOW_BYTES:
                self.connection.close()
                raise ProtocolError(f"{self._where} sends more than was agreed on")
            self._buffer += data

    def _broken(self, error: BaseException) -> AiravataMesosError:
        silent = isinstance(error, TimeoutError)
        self.connection.close()
        if silent:
            return TransferError(
                f"the SFTP server of {self._where} has been silent for {self._channel.gettimeout():g} s"
            )
        return TransferError(f"the SFTP connection to {self._where} ended: {error or 'it was closed'}")


def _path(path: str) -> bytes:
    return wire.text(os.fsencode(path))


def _status(packet: bytes) -> int | None:
    return Reader(packet, 5).word() if packet[0] == Kind.STATUS else None


def _failure(status: int, where: str, path: str) -> AiravataMesosError:
    # The server's own words are not passed on: they may say anything.
    shown = escape(path)
    if status == Status.NO_SUCH_FILE:
        return NotFound(f"{shown} is not there at {where}")
    if status == Status.PERMISSION_DENIED:
        return Refused(f"{shown} may not be read by {where}", advice="let the SSH account read the sandboxes")
    if status == Status.FAILURE:
        return UnsafePath(f"{shown} cannot be read at {where}")
    return TransferError(f"the SFTP server of {where} failed with the code {status} on {shown}")
