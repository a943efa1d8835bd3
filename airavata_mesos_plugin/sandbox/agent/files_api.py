"""The files endpoints of a Mesos agent: browse, read and download (Mesos 0.22 to 1.11)."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AuthenticationFailed,
    NotFound,
    ProtocolError,
    Refused,
    SandboxGone,
    TransferError,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.agent.access import AgentAccess
from airavata_mesos_plugin.sandbox.agent.known_files import KnownFiles
from airavata_mesos_plugin.sandbox.agent.lines import Line, Lines
from airavata_mesos_plugin.sandbox.paths import escape
from airavata_mesos_plugin.sandbox.source import Entry
from airavata_mesos_plugin.schedulers.base import SandboxAddress

READ_LIMIT = 65536
"""Most bytes of one read: 16 memory pages of 4 KiB; longer requests are shortened by the agent."""

CONNECT_TIMEOUT_SECONDS = 5.0
LISTING_LIMIT = 256 * 1024 * 1024  # bytes of one answer to browse; about a million entries
_ANSWER_LIMIT = 1024 * 1024  # bytes of an answer to read: 64 KiB, each byte six characters at most
_MODE = re.compile(r"([-a-z?])([-r][-w][-xsS])([-r][-w][-xsS])([-r][-w][-xtT])[.+@]?")


class FilesClient:
    """Client of every agent's files endpoints. Safe to use from several threads.

    Only what is listed as a regular file is asked for; those who use `downloads` see to that themselves.
    Proxies of the environment are not used and redirects not followed. All calls are repeatable and raise

    NotFound       there is no such file (SandboxGone when the working directory itself is asked for)
    UnsafePath     the agent refuses the path: it leads out of the sandbox, or is of the wrong kind
    Refused        the agent does not let us
    Unreachable    no connection
    TransferError  the agent failed, was silent for too long or ended early
    ProtocolError  what answers is no Mesos agent
    """

    def __init__(
        self,
        settings: FetchSettings,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
        access: Mapping[str, AgentAccess] | None = None,
    ) -> None:
        """``access``: credentials and certificates by the name of a cluster, see `SandboxAddress.access`."""
        self._files = KnownFiles()
        self._lines = Lines(
            per_agent=settings.connections,
            connect_timeout=connect_timeout_seconds,
            read_timeout=settings.read_timeout_seconds,
            least_rate=settings.least_bytes_per_second,
            access=access,
        )

    def close(self) -> None:
        """Give up the idle connections. Repeatable."""
        self._lines.close()

    def browse(self, address: SandboxAddress, relative: str = "", abort: Abort | None = None) -> list[Entry]:
        """The entries of a directory; the empty name is the working directory itself.

        A regular file gives an empty list, as an empty directory does.
        """
        with self._get(address, "browse", relative, "", abort) as line:
            body = line.body(LISTING_LIMIT)
        prefix = _virtual(address, relative) + "/"
        document = _parse(body, address)
        if not isinstance(document, list):
            raise ProtocolError(f"the agent at {address.agent_url} sends a listing that is no list")
        return [_entry(item, prefix, address) for item in document]

    def size(self, address: SandboxAddress, relative: str, abort: Abort | None = None) -> int:
        """Present size of a file in bytes."""
        self._check_kind(address, relative, abort)
        return self._read(address, relative, "&offset=-1", abort)[1]

    def read(
        self,
        address: SandboxAddress,
        relative: str,
        offset: int,
        length: int = READ_LIMIT,
        abort: Abort | None = None,
    ) -> bytes:
        """At most ``length`` bytes from ``offset`` on, never more than `READ_LIMIT`; empty at the end."""
        if offset < 0 or length < 0:
            raise ValueError("offset and length are counted from 0")
        self._check_kind(address, relative, abort)
        query = f"&offset={offset}&length={min(length, READ_LIMIT)}"
        return self._read(address, relative, query, abort)[0]

    def _check_kind(self, address: SandboxAddress, relative: str, abort: Abort | None) -> None:
        """Raises UnsafePath for what is listed as anything but a regular file.

        An agent that is to read a named pipe answers no request for files, of anybody, until somebody writes
        into the pipe; one that is to send it loses a thread (Mesos 1.11).
        """
        if self._files.has(address, relative):
            return
        directory, _, base = relative.rpartition("/")
        try:
            entries = self.browse(address, directory, abort)
        except (NotFound, UnsafePath):
            return  # the call itself says what is wrong with the name
        for entry in entries:
            if entry.name == base and not entry.is_file:
                raise UnsafePath(f"{escape(relative)} is no regular file")
        self._files.add(address, relative)

    def _read(
        self, address: SandboxAddress, relative: str, query: str, abort: Abort | None
    ) -> tuple[bytes, int]:
        with self._get(address, "read", relative, query, abort) as line:
            return _piece(line, address)

    def state(self, agent: SandboxAddress | str, abort: Abort | None = None) -> Any:
        """What the agent, of which a URL says that it asks for nothing, says of itself: ``/state``, with
        frameworks and executors."""
        url, access = (agent, "") if isinstance(agent, str) else (agent.agent_url, agent.access)
        address = SandboxAddress(url, "", access)
        with self._lines.borrow(address, abort) as (line,):
            line.send(b"/state")
            _receive(line, address, "/state")
            return _parse(line.body(LISTING_LIMIT), address)

    @contextlib.contextmanager
    def download(self, address: SandboxAddress, relative: str, abort: Abort | None = None) -> Iterator[Line]:
        """A whole file as it is when the agent opens it.

        The result's ``length`` is its size in bytes, and its ``chunks()`` gives the content: views that
        are valid until the next one is asked for. Either all bytes come or TransferError is raised.
        """
        self._check_kind(address, relative, abort)
        with self._get(address, "download", relative, "", abort) as line:
            yield line

    @contextlib.contextmanager
    def downloads(
        self,
        address: SandboxAddress,
        abort: Abort | None = None,
        connections: int = 1,
        *,
        long: bool = False,
    ) -> Iterator[Downloads]:
        """The same for many files, on as many connections as are free now, at least one.

        Others wait for these connections, so give them back from time to time. ``long`` is for large files.
        """
        with self._lines.borrow(address, abort, connections, long=long) as lines:
            yield Downloads(address, lines)

    @contextlib.contextmanager
    def _get(
        self, address: SandboxAddress, call: str, relative: str, query: str, abort: Abort | None
    ) -> Iterator[Line]:
        with self._lines.borrow(address, abort) as (line,):
            line.send(_target(address, call, relative, query))
            _receive(line, address, relative)
            yield line


class Downloads:
    """Downloads from one agent by one thread, with a request under way on each connection.

    The agent so works on the next files while the thread writes the last one. Threads would do the same,
    but for small files they spend more time on handing the interpreter to each other than on the files.
    """

    def __init__(self, address: SandboxAddress, lines: list[Line]) -> None:
        self._address = address
        self._lines = lines

    def read(self, relative: str, offset: int) -> bytes:
        """At most `READ_LIMIT` bytes, as `FilesClient.read` gives them. Not while `each` is under way."""
        line = self._lines[0]
        line.send(_target(self._address, "read", relative, f"&offset={offset}&length={READ_LIMIT}"))
        _receive(line, self._address, relative)
        return _piece(line, self._address)[0]

    def each(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Line | AiravataMesosError]]:
        """Each file in turn, as `FilesClient.download` gives it, or the error that it ended with.

        The content is to be read before the next one is asked for; what is not read is dropped.
        """
        source = iter(entries)
        idle = list(self._lines)
        under_way: deque[tuple[Entry, Line]] = deque()
        while True:
            while idle and (entry := next(source, None)) is not None:
                line = idle.pop()
                try:
                    line.send(_target(self._address, "download", entry.name, ""))
                except AiravataMesosError as error:
                    yield entry, error
                    idle.append(line)
                else:
                    under_way.append((entry, line))
            if not under_way:
                return
            entry, line = under_way.popleft()
            try:
                _receive(line, self._address, entry.name)
            except AiravataMesosError as error:
                yield entry, error
            else:
                yield entry, line
            idle.append(line)


def _target(address: SandboxAddress, call: str, relative: str, query: str) -> bytes:
    path = quote(os.fsencode(_virtual(address, relative)), safe="/")
    return f"/files/{call}?path={path}{query}".encode("ascii")


def _receive(line: Line, address: SandboxAddress, relative: str) -> None:
    status = line.receive()
    if status != 200:
        raise _status_error(status, address, relative)


def _virtual(address: SandboxAddress, relative: str) -> str:
    path = address.path.rstrip("/")
    return f"{path}/{relative}" if relative else path


def _parse(body: bytes, address: SandboxAddress) -> Any:
    """JSON in which the agent has put bytes that are not UTF-8 as they are.

    Decoding them to surrogates keeps each byte apart from the characters around it, so the text encoded
    back gives the very bytes, whether the server escapes characters in JSON or not.
    """
    try:
        return json.loads(body.decode("utf-8", "surrogateescape"), strict=False)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the agent at {address.agent_url} sends text that is no JSON") from error


def _piece(line: Line, address: SandboxAddress) -> tuple[bytes, int]:
    """The bytes of an answer to read, and their offset."""
    document = _parse(line.body(_ANSWER_LIMIT), address)
    try:
        return document["data"].encode("utf-8", "surrogateescape"), int(document["offset"])
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ProtocolError(f"the agent at {address.agent_url} answers a read in an unknown form") from error


def _entry(item: Any, prefix: str, address: SandboxAddress) -> Entry:
    try:
        path, mode = item["path"], item["mode"]
        name = path[len(prefix) :] if path.startswith(prefix) else path
        match = _MODE.fullmatch(mode)
        if match is None:
            raise ValueError(mode)
        return Entry(
            name=name,
            kind=match[1],
            size=int(item["size"]),
            mtime=int(item["mtime"]),
            mode=_permissions(match[2] + match[3] + match[4]),
            nlink=int(item.get("nlink", 1)),
        )
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError) as error:
        raise ProtocolError(f"the agent at {address.agent_url} lists files in an unknown form") from error


def _permissions(letters: str) -> int:
    bits = 0
    for letter in letters:
        bits = bits << 1 | (letter in "rwxst")
    return bits


def _status_error(status: int, address: SandboxAddress, relative: str) -> AiravataMesosError:
    # Bodies are not passed on: that of a 400 shows paths of the agent's host.
    agent = address.agent_url
    name = escape(relative)
    if status == 404:
        if not relative:
            return SandboxGone(f"the agent at {agent} no longer has the sandbox")
        return NotFound(f"{name} is not in the sandbox at {agent}")
    if status == 400:
        return UnsafePath(f"the agent at {agent} refuses the path {name or 'of the sandbox'}")
    if status == 401:
        return AuthenticationFailed(
            f"the agent at {agent} does not take our credentials, or wants some",
            advice="check mesos_authentication of the cluster",
        )
    if status == 403:
        return Refused(
            f"the agent at {agent} does not let us read the sandbox",
            advice="allow it in the agent's ACLs (access_sandboxes)",
        )
    if status >= 500:
        return TransferError(f"the agent at {agent} failed with HTTP {status} on {name or 'the sandbox'}")
    if 300 <= status < 400:
        return ProtocolError(f"the agent at {agent} redirects to another place, which is not followed")
    return ProtocolError(f"the agent at {agent} answers with HTTP {status}")
