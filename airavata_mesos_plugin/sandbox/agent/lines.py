"""Kept-alive connections to agents, made for very many small downloads and for very large ones.

urllib3 opens the connections (addresses, TLS, socket options); requests and answers are written and read
here, into one buffer per connection: parsing the head of an answer with the standard library costs more
than a small file itself, and reading a body through it copies every byte once more. Only what Mesos
agents send is understood (libprocess in Mesos 0.22 to 1.11): a body with ``Content-Length``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError, SSLError
from urllib3.util import parse_url

from airavata_mesos_plugin.errors import (
    AuthenticationFailed,
    ConfigurationError,
    NotFound,
    ProtocolError,
    Refused,
    TransferError,
    Unreachable,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.agent.access import EVERYBODY, AgentAccess
from airavata_mesos_plugin.sandbox.agent.pace import Pace, TooSlow
from airavata_mesos_plugin.sandbox.agent.room import Room
from airavata_mesos_plugin.schedulers.base import SandboxAddress

BUFFER_BYTES = 256 * 1024
"""Read at once. Larger reads are no faster: the body then no longer fits the processor's cache."""

MOST_IDLE = 32
"""Connections kept for later, to all agents together: each has a buffer."""


class Line:
    """One connection to an agent, for one request at a time. Not for several threads, except `abort`."""

    def __init__(
        self,
        agent_url: str,
        *,
        connect_timeout: float,
        read_timeout: float,
        least_rate: float = 0.0,
        access: AgentAccess = EVERYBODY,
        key: object = None,
    ) -> None:
        """Timeouts in seconds; ``read_timeout`` bounds each silence, not the whole answer.

        ``least_rate`` is in bytes a second: who stays below it for as long as that is as good as silent. The
        ``key`` tells who may use the same connection. Nothing is opened yet. Raises ConfigurationError when
        the URL is none.
        """
        try:
            url = parse_url(agent_url)
        except LocationParseError as error:
            raise ConfigurationError(f"{agent_url!r} is not the address of an agent") from error
        if url.host is None or url.scheme not in ("http", "https"):
            raise ConfigurationError(f"{agent_url!r} is not an http:// or https:// address")
        self.agent_url = agent_url
        self.key = key
        self._access = access
        self._host = url.host.strip("[]")
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._encrypted = url.scheme == "https"
        self._prefix = f"GET {(url.path or '').rstrip('/')}".encode("ascii")
        self._suffix = (
            f" HTTP/1.1\r\nHost: {url.netloc}\r\nAccept-Encoding: identity\r\nAccept: */*\r\n"
        ).encode("ascii")
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._pace = Pace(least_rate, read_timeout)
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # bytes of the body that came with the head
        self._left = 0  # bytes of the body that have not been handed out
        self._target = b""
        self._waiting = False  # a request has been sent and its answer not been read
        self._reused = False  # the present request is not the first on its connection
        self._keep = False
        self._aborted = False
        self.length = 0  # of the body of the present answer

    def get(self, target: bytes) -> int:
        """Ask for ``target`` (path and query, encoded) and read the head; returns the status.

        `chunks` then gives the body of ``length`` bytes. Raises Unreachable, TransferError, ProtocolError.
        """
        self.send(target)
        return self.receive()

    def send(self, target: bytes) -> None:
        """The first half of `get`; several lines can so wait for their answers at the same time."""
        self.finish()
        self._target = target
        if self._socket is None:
            self._connect()
        else:
            self._reused = True
        self._waiting = True
        try:
            self._request()
        except _ClosedEarly:
            self._repeat()

    def receive(self) -> int:
        """The second half of `get`. A connection that the agent closed while it was idle is replaced."""
        try:
            return self._receive()
        except _ClosedEarly:
            self._repeat()
        try:
            return self._receive()
        except _ClosedEarly:
            raise self._closed_early() from None

    def _repeat(self) -> None:
        """Send the request again, on a new connection; only where an old one may have been stale."""
        if not self._reused:
            raise self._closed_early()
        self.close()
        self._connect()
        self._waiting = True
        try:
            self._request()
        except _ClosedEarly:
            raise self._closed_early() from None

    def chunks(self) -> Iterator[memoryview]:
        """The body in pieces; each is valid until the next is asked for.

        Raises TransferError when the connection breaks or is silent before all of it has come.
        """
        if self._left and self._end > self._start:
            ready = min(self._end - self._start, self._left)
            first = self._view[self._start : self._start + ready]
            self._start += ready
            self._left -= ready
            yield first
        assert self._socket is not None
        while self._left:
            try:
                count = self._pace.receive(self._socket, self._view[: min(self._left, BUFFER_BYTES)])
            except OSError as error:
                raise self._broken(error) from error
            if not count:
                missing = self._left
                self.close()
                raise TransferError(
                    f"the agent at {self.agent_url} ended the transfer {missing} of {self.length} bytes early"
                )
            self._left -= count
            yield self._view[:count]

    def body(self, limit: int) -> bytes:
        """The whole body. Raises ProtocolError when it has more than ``limit`` bytes."""
        if self.length > limit:
            length = self.length
            self.close()
            raise ProtocolError(f"the agent at {self.agent_url} answers with {length} bytes")
        return b"".join([bytes(chunk) for chunk in self.chunks()])

    def finish(self) -> None:
        """Make ready for the next request; a connection on which more would come is closed. Repeatable."""
        if self._left <= self._end - self._start:
            self._left = 0  # a short body that nobody wanted, and it is here
        if self._left or self._waiting or not self._keep:
            self.close()

    def abort(self) -> None:
        """End what goes on, from any thread; the line is of no use afterwards. Repeatable."""
        self._aborted = True
        opened = self._socket
        if opened is not None:
            with contextlib.suppress(OSError):
                # Past TLS: its own shutdown would wait for the other side.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next request opens another. Repeatable."""
        connection, self._connection, self._socket = self._connection, None, None
        self._left = 0
        self._keep = self._waiting = self._reused = False
        if connection is not None:
            connection.close()

    def _connect(self) -> None:
        if self._encrypted:
            context = self._access.context()
            self._connection = HTTPSConnection(
                self._host, self._port, timeout=self._connect_timeout, ssl_context=context
            )
        else:
            self._connection = HTTPConnection(self._host, self._port, timeout=self._connect_timeout)
        try:
            self._connection.connect()
        except (OSError, HTTPError) as error:
            self.close()
            advice = "check that the agent runs and that this host may reach it"
            if isinstance(error, (ssl.SSLError, SSLError)):
                advice = "check tls of the cluster, and that certificates of agents name their hosts"
            raise Unreachable(
                f"cannot connect to the agent at {self.agent_url}: {_cause(error)}", advice=advice
            ) from error
        opened = self._connection.sock
        assert opened is not None
        opened.settimeout(self._read_timeout)
        self._socket = opened
        if self._aborted:  # abort() may have come before there was a socket to shut down
            self.close()
            raise TransferError("the transfer was stopped")

    def _request(self) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(self._prefix + self._target + self._suffix + self._signature())
        except (ConnectionResetError, BrokenPipeError) as error:
            raise _ClosedEarly from error
        except OSError as error:
            raise self._broken(error) from error

    def _signature(self) -> bytes:
        """The end of a request's head, with the credentials of now."""
        value = self._access.authorization(self.agent_url)
        return b"\r\n" if value is None else f"Authorization: {value}\r\n\r\n".encode("latin-1")

    def _receive(self) -> int:
        assert self._socket is not None
        self._pace.start()
        try:
            filled = self._pace.receive(self._socket, self._view)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise _ClosedEarly from error
        except OSError as error:
            raise self._broken(error) from error
        if not filled:
            raise _ClosedEarly
        while (end := self._buffer.find(b"\r\n\r\n", 0, filled)) < 0:
            if filled == BUFFER_BYTES:
                raise self._nonsense("a head without end")
            try:
                count = self._pace.receive(self._socket, self._view[filled:])
            except OSError as error:
                raise self._broken(error) from error
            if not count:
                raise self._nonsense("half a head")
            filled += count
        status = self._read_head(bytes(self._view[:end]))
        self._waiting = False
        self._start, self._end = end + 4, filled
        if filled - self._start > self.length:
            raise self._nonsense("more bytes than it announced")
        return status

    def _read_head(self, head: bytes) -> int:
        first, *lines = head.split(b"\r\n")
        words = first.split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise self._nonsense("something that is not HTTP")
        keep = words[0] != b"HTTP/1.0"
        lengths = set()
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"content-length":
                lengths.add(value.strip())
            elif name == b"connection":
                keep = value.strip().lower() != b"close"
            elif name == b"transfer-encoding" or (
                name == b"content-encoding" and value.strip().lower() != b"identity"
            ):
                raise self._nonsense(f"an unusual encoding, {value.strip().decode('latin-1')!r}")
        status = int(words[1])
        if status in (204, 304):
            lengths = {b"0"}
        text = lengths.pop() if len(lengths) == 1 else b""
        if lengths or not text.isdigit() or len(text) > 18:
            raise self._nonsense("no usable Content-Length")
        self.length = self._left = int(text)
        self._keep = keep
        return status

    def _closed_early(self) -> TransferError:
        self.close()
        if self._aborted:
            return TransferError("the transfer was stopped")
        return TransferError(f"the agent at {self.agent_url} closed the connection")

    def _nonsense(self, what: str) -> ProtocolError:
        self.close()
        return ProtocolError(
            f"the agent at {self.agent_url} sends {what}",
            advice="check that a Mesos agent listens there, with nothing between that changes answers",
        )

    def _broken(self, error: OSError) -> TransferError:
        self.close()
        if self._aborted:
            return TransferError("the transfer was stopped")
        if isinstance(error, TooSlow):
            return TransferError(f"the agent at {self.agent_url} sends next to nothing: {error}")
        if isinstance(error, TimeoutError):
            return TransferError(
                f"the agent at {self.agent_url} has been silent for {self._read_timeout:g} s"
            )
        return TransferError(f"the connection to the agent at {self.agent_url} broke: {_cause(error)}")


class Lines:
    """The connections to all agents, bounded per agent, reused. Safe to use from several threads."""

    def __init__(
        self,
        *,
        per_agent: int,
        connect_timeout: float,
        read_timeout: float,
        least_rate: float = 0.0,
        access: Mapping[str, AgentAccess] | None = None,
    ) -> None:
        """``access`` is by `SandboxAddress.access`."""
        self._per_agent = per_agent
        self._least_rate = least_rate
        self._access = {"": EVERYBODY, **(access or {})}
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._lock = threading.Lock()
        self._idle: list[Line] = []  # of all agents; the one used last is at the end
        self._rooms: dict[str, Room] = {}
        self._closed = False

    @contextlib.contextmanager
    def borrow(
        self, address: SandboxAddress, abort: Abort | None = None, most: int = 1, *, long: bool = False
    ) -> Iterator[list[Line]]:
        """Lines to the agent: one, for which this waits while all are in use, and more if they are idle.

        Those with the same ``abort`` share what they get. ``long`` is for transfers that may take any time.
        A connection never serves two sandboxes: a file's name stands in the head of a download as it is, so
        with line feeds in it a job could forge answers on the connection (Mesos 1.11).
        """
        with self._lock:
            room = self._rooms.setdefault(address.agent_url, Room(self._per_agent))
        with room.places(abort, most, long=long, abort=abort) as held:
            yield from self._lent([self._take(address) for _ in range(held)], abort)

    def _lent(self, lines: list[Line], abort: Abort | None) -> Iterator[list[Line]]:
        try:
            with contextlib.ExitStack() as watched:
                if abort is not None:
                    for line in lines:
                        watched.enter_context(abort.watch(line))
                yield lines
        except (NotFound, Refused, UnsafePath):  # an answer like others
            self._give_back(lines)
            raise
        except BaseException:
            for line in lines:
                line.close()
            raise
        else:
            self._give_back(lines)

    def _take(self, address: SandboxAddress) -> Line:
        with self._lock:
            for position in reversed(range(len(self._idle))):  # the least likely to have been closed
                if self._idle[position].key == address:
                    return self._idle.pop(position)
        access = self._access.get(address.access)
        if access is None:
            raise AuthenticationFailed(
                f"there are no credentials here for the agents of the cluster {address.access}"
            )
        return Line(
            address.agent_url,
            connect_timeout=self._connect_timeout,
            read_timeout=self._read_timeout,
            least_rate=self._least_rate,
            access=access,
            key=address,
        )

    def _give_back(self, lines: list[Line]) -> None:
        for line in lines:
            line.finish()
        with self._lock:
            self._idle += lines
            keep = 0 if self._closed else MOST_IDLE
            surplus = self._idle[: max(len(self._idle) - keep, 0)]
            del self._idle[: len(surplus)]
        for line in surplus:
            line.close()

    def close(self) -> None:
        """Close the idle connections; those in use close when they come back. Repeatable."""
        with self._lock:
            self._closed = True
        self._give_back([])


class _ClosedEarly(Exception):
    """The connection ended before the first byte of an answer."""


def _cause(error: BaseException) -> str:
    """The innermost reason in one line, without the class names and addresses that urllib3 adds."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
