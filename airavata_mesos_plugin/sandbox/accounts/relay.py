"""A source in one process that another one uses, over sockets.

SSH keys are the daemon's alone, while outputs are written by processes that work as the accounts they
belong to. So the daemon keeps the connection, confines every name to the job's sandbox, and the account's
process sees entries and bytes only. Frames are those of `wire`; each socket carries one
request after the other.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from itertools import islice

from airavata_mesos_plugin import errors
from airavata_mesos_plugin.errors import AiravataMesosError, ProtocolError, TransferError
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.accounts import wire
from airavata_mesos_plugin.sandbox.source import Body, Entry, Origin, Source, Transfers

SOCKETS = 4
"""Requests that may be under way at the same time."""

SOCKET_DETAIL = "relay"
"""Under which name an `Origin` has the descriptors of the sockets, in the process that uses them."""

_AHEAD = 32  # files that are asked for at once
_WAIT_SECONDS = 0.1  # how often an abort is looked for while all sockets are in use


@contextlib.contextmanager
def served(source: Source) -> Iterator[list[socket.socket]]:
    """Ends of sockets for the other process, on which ``source`` answers for the length of the block."""
    with contextlib.ExitStack() as stack:
        theirs = []
        for number in range(SOCKETS):
            ours, other = socket.socketpair()
            thread = threading.Thread(target=_serve, args=(source, ours), name=f"relay-{number}", daemon=True)
            stack.callback(thread.join)
            stack.callback(_shut, ours)
            theirs.append(stack.enter_context(other))
            thread.start()
        yield theirs


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _serve(source: Source, connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError, wire.Malformed):
        receiver = wire.Receiver(connection)
        while True:
            request = receiver.receive()
            try:
                _answer(source, request, receiver, connection)
            except AiravataMesosError as error:
                _send_error(connection, error)


def _answer(source: Source, request: wire.Frame, receiver: wire.Receiver, connection: socket.socket) -> None:
    if request.kind == "entries":
        listed = source.entries(request.text("directory"))
        wire.send(connection, {"kind": "done"}, (_dump(listed),))
    elif request.kind == "read":
        content = source.read(request.text("name"), request.number("limit"))
        wire.send(connection, {"kind": "done"}, (content,))
    elif request.kind == "transfers":
        with source.transfers(Abort(), 1, long=request.flag("long")) as transfers:
            wire.send(connection, {"kind": "done"})
            while (wanted := receiver.receive()).kind != "end":
                _transfer(transfers, wanted, connection)
        wire.send(connection, {"kind": "done"})
    else:
        raise wire.Malformed("a request of an unknown kind")


def _transfer(transfers: Transfers, wanted: wire.Frame, connection: socket.socket) -> None:
    entries = _load(wanted.body)
    if wanted.kind == "rest":
        (entry,) = entries
        try:
            _send_body(connection, transfers.rest(entry, wanted.number("offset")))
        except AiravataMesosError as error:
            _send_error(connection, error)
    else:
        for _, body in transfers.each(entries):
            if isinstance(body, AiravataMesosError):
                _send_error(connection, body)
                continue
            try:
                _send_body(connection, body)
            except AiravataMesosError as error:
                _send_error(connection, error)


def _send_body(connection: socket.socket, body: Body) -> None:
    wire.send(connection, {"kind": "file", "length": body.length})
    for piece in body.chunks():
        wire.send(connection, {"kind": "data"}, (bytes(piece),))
    wire.send(connection, {"kind": "done"})


def _send_error(connection: socket.socket, error: AiravataMesosError) -> None:
    name = type(error).__name__
    head = {"kind": "error", "name": name, "message": error.message, "advice": error.advice}
    wire.send(connection, head)


class _Line:
    """One socket, on the side that asks."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._receiver = wire.Receiver(connection)

    def ask(self, head: dict[str, object], body: bytes = b"") -> None:
        with _gone():
            wire.send(self._connection, head, (body,) if body else ())

    def answer(self) -> wire.Frame:
        """Raises the error that the other side met."""
        with _gone():
            frame = self._receiver.receive()
        if frame.kind == "error":
            raise _error(frame)
        return frame

    def abort(self) -> None:
        """End what goes on, from any thread; the socket is of no use afterwards. Repeatable."""
        _shut(self._connection)

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransferError("the provider has ended the transfer") from error


class RelayedSource:
    """`Source` that asks the one behind the sockets, which become its own."""

    shows_links = True

    def __init__(self, connections: Sequence[socket.socket]) -> None:
        self._lines = [_Line(connection) for connection in connections]
        self._idle: queue.SimpleQueue[_Line] = queue.SimpleQueue()
        for line in self._lines:
            self._idle.put(line)

    def close(self) -> None:
        """Close the sockets. Repeatable."""
        for line in self._lines:
            line.close()

    def entries(self, directory: str, abort: Abort | None = None) -> list[Entry]:
        with self._line(abort) as line:
            line.ask({"kind": "entries", "directory": directory})
            return _load(line.answer().body)

    @contextlib.contextmanager
    def transfers(self, abort: Abort, most: int, *, long: bool = False) -> Iterator[Transfers]:  # noqa: ARG002
        with self._line(abort) as line:
            line.ask({"kind": "transfers", "long": long})
            line.answer()
            transfers = _Transfers(line)
            yield transfers
            transfers.finish()

    def resumes(self, size: int, offset: int) -> bool:  # noqa: ARG002 - any offset will do
        return offset > 0

    def read(self, name: str, limit: int) -> bytes:
        with self._line(None) as line:
            line.ask({"kind": "read", "name": name, "limit": limit})
            return line.answer().body

    @contextlib.contextmanager
    def _line(self, abort: Abort | None) -> Iterator[_Line]:
        while True:
            with contextlib.suppress(queue.Empty):
                line = self._idle.get(timeout=_WAIT_SECONDS)
                break
            if abort is not None:
                abort.check()
        try:
            with contextlib.ExitStack() as watched:
                if abort is not None:
                    watched.enter_context(abort.watch(line))
                yield line
        except (TransferError, ProtocolError):
            line.abort()  # nobody knows where in a conversation it stands
            raise
        finally:
            self._idle.put(line)


class _Transfers:
    """`Transfers` of one socket: the daemon is asked for some files at a time, which it gives one by one."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._owed = 0  # answers that are still to come
        self._body: _Body | None = None

    def each(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Body | AiravataMesosError]]:
        source = iter(entries)
        while batch := list(islice(source, _AHEAD)):
            self._line.ask({"kind": "each"}, _dump(batch))
            self._owed = len(batch)
            for entry in batch:
                try:
                    yield entry, self._next()
                except AiravataMesosError as error:
                    yield entry, error
                self._drain()

    def rest(self, entry: Entry, offset: int) -> Body:
        self._line.ask({"kind": "rest", "offset": offset}, _dump([entry]))
        self._owed = 1
        return self._next()

    def finish(self) -> None:
        """Take what is still on its way, so that the socket is ready for the next request."""
        self._drain()
        while self._owed:
            with contextlib.suppress(AiravataMesosError):
                self._next()
            self._drain()
        self._line.ask({"kind": "end"})
        self._line.answer()

    def _next(self) -> Body:
        self._drain()
        self._owed -= 1
        self._body = _Body(self._line, self._line.answer().number("length"))
        return self._body

    def _drain(self) -> None:
        body, self._body = self._body, None
        if body is not None and not body.over:
            with contextlib.suppress(AiravataMesosError):
                for _ in body.chunks():
                    pass


class _Body:
    def __init__(self, line: _Line, length: int) -> None:
        self._line = line
        self.length = length
        self.over = False

    def chunks(self) -> Iterator[memoryview]:
        while not self.over:
            try:
                frame = self._line.answer()
            except AiravataMesosError:
                self.over = True
                raise
            if frame.kind == "data":
                yield memoryview(frame.body)
            else:
                self.over = True


@contextlib.contextmanager
def open_relayed(origin: Origin) -> Iterator[Source]:
    """The source behind the sockets whose descriptors are in the details; they are closed at the end."""
    text = dict(origin.details)[SOCKET_DETAIL]
    source = RelayedSource([socket.socket(fileno=int(number)) for number in text.split(",")])
    try:
        yield source
    finally:
        source.close()


def _dump(entries: Sequence[Entry]) -> bytes:
    return json.dumps([astuple(entry) for entry in entries]).encode("ascii")


def _load(text: bytes) -> list[Entry]:
    try:
        return [
            Entry(str(name), str(kind), int(size), int(mtime), int(mode), int(nlink), target, str(sha256))
            for name, kind, size, mtime, mode, nlink, target, sha256 in json.loads(text)
        ]
    except (ValueError, TypeError) as error:
        raise wire.Malformed("a list of files in an unknown form") from error


def _error(frame: wire.Frame) -> AiravataMesosError:
    kind = getattr(errors, frame.text("name"), None)
    if not isinstance(kind, type) or not issubclass(kind, AiravataMesosError):
        kind = TransferError
    return kind(frame.text("message"), advice=frame.text("advice"))
