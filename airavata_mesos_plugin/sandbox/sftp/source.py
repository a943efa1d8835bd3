"""A sandbox through SFTP to its agent's host: names, sizes, times, modes and links are exact, files resume.

The agent's process is not asked for files, and needs no HTTP where `SftpSettings.work_dir` is given. SFTP
version 3 cannot open a file without following links, so each path is compared with what the server
resolves it to after the file was opened. A process that still runs in the sandbox might exchange a file in
between: the SSH account should be one that may read no more than sandboxes.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import SftpSettings
from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    ConfigurationError,
    NotFound,
    ProtocolError,
    Refused,
    SandboxGone,
    TransferError,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.paths import components, escape
from airavata_mesos_plugin.sandbox.sftp.login import Target
from airavata_mesos_plugin.sandbox.sftp.pool import SftpPool
from airavata_mesos_plugin.sandbox.sftp.session import Session
from airavata_mesos_plugin.sandbox.sftp.wire import Attributes
from airavata_mesos_plugin.sandbox.source import Body, Entry, Origin, Transfers

MOST_ENTRIES = 1_000_000
"""More are not listed in one directory."""

MOST_CONTROL_FILES = 1000
WANTED, ARCHIVE, HERE, REFUSED = "inputs.wanted", "inputs.tar", "inputs.here", "inputs.refused"
"""Files between the stage-in and us, in `layout.CONTROL_DIRECTORY` of the sandbox."""

_STARTED = "started"  # the wrapper's
_OPENING = 32  # files that are opened ahead of their turn
_LATEST = "/runs/latest"
_VIRTUAL = "/frameworks/"  # how `SandboxAddress.path` begins when it is made of ids (Mesos 1.5)


class SftpSource:
    """`Source` of one sandbox."""

    shows_links = True

    def __init__(self, pool: SftpPool, target: Target, directory: str) -> None:
        """``directory`` is the sandbox as the server sees it, without links. ``pool`` stays the caller's."""
        self._pool = pool
        self._target = target
        self._directory = directory

    def entries(self, directory: str, abort: Abort | None = None) -> list[Entry]:
        path = self._path(directory)
        with self._pool.session(self._target, abort) as session:
            try:
                if session.real_path(path) != path:
                    raise UnsafePath(f"{escape(directory)} leads to another place")
                found = list(session.entries(path, MOST_ENTRIES))
            except NotFound:
                if directory:
                    raise
                raise SandboxGone(f"{self._target} no longer has the sandbox") from None
            except Refused as error:
                if not directory:
                    raise
                raise UnsafePath(error.message) from error
            links = {
                name: session.ask_link(f"{path}/{name}")
                for name, attributes in found[:MOST_ENTRIES]
                if attributes.kind == "l"
            }
            targets = {name: _answered(session, request) for name, request in links.items()}
        return [_entry(name, attributes, targets.get(name)) for name, attributes in found]

    @contextlib.contextmanager
    def transfers(self, abort: Abort, most: int, *, long: bool = False) -> Iterator[Transfers]:  # noqa: ARG002
        """One connection: all requests that are ahead of their answers go there."""
        with self._pool.session(self._target, abort, long=long) as session:
            yield _Transfers(session, self._directory)

    def resumes(self, size: int, offset: int) -> bool:  # noqa: ARG002 - any offset will do
        return offset > 0

    def read(self, name: str, limit: int) -> bytes:
        return self.piece(name, 0, limit)

    def piece(self, name: str, offset: int, length: int) -> bytes:
        """See `source.ReadsPieces`."""
        with (
            self._pool.session(self._target) as session,
            _opened(session, self._path(name)) as (handle, size),
        ):
            end = min(size, offset + length)
            return b"".join(bytes(part) for part in session.content(handle, name, min(offset, end), end))

    def wanted(self) -> int | None:
        """From which byte on the stage-in waits for the inputs' archive; None when it does not wait."""
        with self._pool.session(self._target) as session:
            control = self._control(session)
            if control is None:
                return None
            there = dict(session.entries(control, MOST_CONTROL_FILES))
            if WANTED not in there or {HERE, REFUSED, _STARTED} & there.keys():
                return None
            return there[ARCHIVE].size if ARCHIVE in there else 0

    def begun(self) -> bool:
        """Whether the wrapper has begun to run the job."""
        with self._pool.session(self._target) as session:
            control = self._control(session)
            names = {name for name, _ in session.entries(control, MOST_CONTROL_FILES)} if control else set()
            return _STARTED in names

    def deliver(self, start: int, archive: Iterator[bytes]) -> None:
        """Write the archive from byte ``start`` on, then tell the stage-in that it is whole.

        Raises what ``archive`` raises, and TransferError; what was written stays for the next try.
        """
        with self._pool.session(self._target, long=True) as session:
            control = self._control(session)
            if control is None:
                raise SandboxGone(f"{self._target} no longer has the sandbox")
            session.put(f"{control}/{ARCHIVE}", start, archive)
            session.put(f"{control}/{HERE}", 0, ())

    def refuse(self, reason: str) -> None:
        """Tell the stage-in that nothing will come."""
        with self._pool.session(self._target) as session:
            control = self._control(session)
            if control is not None:
                session.put(f"{control}/{REFUSED}", 0, [f"stage_in: {reason}\n".encode()])

    def _control(self, session: Session) -> str | None:
        """Our directory in the sandbox; None when it is not there yet."""
        path = self._path(layout.CONTROL_DIRECTORY)
        try:
            if session.real_path(path) == path and session.look(path).kind in ("d", "?"):
                return path
        except NotFound:
            return None
        raise UnsafePath(f"{layout.CONTROL_DIRECTORY} is not ours at {self._target}")

    def _path(self, name: str) -> str:
        if name:
            components(name)
        return f"{self._directory}/{name}" if name else self._directory


@dataclass
class _File:
    """`Body` of an open file."""

    session: Session
    handle: bytes
    name: str
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    def chunks(self) -> Iterator[memoryview]:
        return self.session.content(self.handle, self.name, self.start, self.end)


@dataclass
class _Opening:
    """A file whose opening was asked for; or why it was not."""

    entry: Entry
    path: str = ""
    open: int = 0
    real: int = 0
    error: AiravataMesosError | None = None


class _Transfers:
    """`Transfers` on one session: the files that follow are opened while one is read."""

    def __init__(self, session: Session, directory: str) -> None:
        self._session = session
        self._directory = directory

    def each(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Body | AiravataMesosError]]:
        source = iter(entries)
        ahead: deque[_Opening] = deque()
        try:
            while True:
                while len(ahead) < _OPENING and (entry := next(source, None)) is not None:
                    ahead.append(self._ask(entry))
                if not ahead:
                    return
                yield from self._one(ahead.popleft())
        finally:
            for left in ahead:
                if left.error is None and self._session.connection.alive:
                    self._session.drop(left.real)
                    self._session.drop_open(left.open)

    def rest(self, entry: Entry, offset: int) -> Body:
        opening = self._ask(entry)
        if opening.error is not None:
            raise opening.error
        handle, size = _finish(self._session, opening)
        return _File(self._session, handle, entry.name, min(offset, size), size)

    def _one(self, opening: _Opening) -> Iterator[tuple[Entry, Body | AiravataMesosError]]:
        if opening.error is not None:
            yield opening.entry, opening.error
            return
        try:
            handle, size = _finish(self._session, opening)
        except AiravataMesosError as error:
            yield opening.entry, error
            return
        try:
            yield opening.entry, _File(self._session, handle, opening.entry.name, 0, size)
        finally:
            with contextlib.suppress(TransferError):
                self._session.close(handle)

    def _ask(self, entry: Entry) -> _Opening:
        try:
            components(entry.name)
            path = f"{self._directory}/{entry.name}"
            return _Opening(entry, path, self._session.ask_open(path), self._session.ask_real_path(path))
        except AiravataMesosError as error:
            return _Opening(entry, error=error)


@contextlib.contextmanager
def _opened(session: Session, path: str) -> Iterator[tuple[bytes, int]]:
    opening = _Opening(Entry("", "-", 0, 0, 0, 1), path, session.ask_open(path), session.ask_real_path(path))
    handle, size = _finish(session, opening)
    try:
        yield handle, size
    finally:
        with contextlib.suppress(TransferError):
            session.close(handle)


def _finish(session: Session, opening: _Opening) -> tuple[bytes, int]:
    """Handle and size of the file. Raises UnsafePath when it is none, or lies elsewhere."""
    path = opening.path
    try:
        handle = session.opened(opening.open, path)
    except Refused as error:
        session.drop(opening.real)
        raise UnsafePath(error.message) from error  # one file; the others may well be readable
    except BaseException:
        session.drop(opening.real)
        raise
    try:
        if session.name(opening.real, path) != path:
            raise UnsafePath("a link in its path leads to another place")
        found = session.attributes(session.ask_size(handle), path)
        if found.kind not in ("-", "?"):
            raise UnsafePath("not a regular file")
    except BaseException:
        with contextlib.suppress(TransferError):
            session.close(handle)
        raise
    return handle, found.size


def _answered(session: Session, request: int) -> str | None:
    """Where a link leads; None when it is gone by now."""
    try:
        return session.name(request, "a link")
    except (NotFound, UnsafePath):
        return None


def _entry(name: str, attributes: Attributes, target: str | None) -> Entry:
    return Entry(
        name=name,
        kind=attributes.kind,
        size=attributes.size,
        mtime=attributes.mtime,
        mode=attributes.mode,
        nlink=1,  # SFTP version 3 does not tell
        target=target,
    )


class SftpSources:
    """Opens the sandboxes of all clusters that have SFTP. Safe to use from several threads."""

    def __init__(
        self,
        clusters: Mapping[str, SftpSettings],
        clock: Clock,
        client: FilesClient,
        silence_seconds: float,
    ) -> None:
        """``client`` asks agents where their sandboxes are, and stays the caller's to close."""
        self._clusters = clusters
        self._pools = {name: SftpPool(clusters[name], clock, silence_seconds) for name in clusters}
        self._client = client

    def close(self) -> None:
        """Close what is idle. Repeatable."""
        for pool in self._pools.values():
            pool.close()

    @contextlib.contextmanager
    def open(self, origin: Origin) -> Iterator[SftpSource]:
        """Raises SandboxGone when the host has no such sandbox, and what `ssh.connect` raises."""
        told = dict(origin.details)
        pool = self._pools.get(told["cluster"])
        if pool is None:
            raise ConfigurationError(f"the cluster {told['cluster']} has no settings for sftp")
        target = pool.target(urlsplit(origin.address.agent_url).hostname or "", told["role"])
        directory = self.directory(origin)
        with pool.session(target) as session:
            try:
                real = _find(session, directory)
            except NotFound:
                raise SandboxGone(f"{target} no longer has the sandbox") from None
        yield SftpSource(pool, target, real)

    def directory(self, origin: Origin) -> str:
        """Absolute path of the sandbox on its host. Raises SandboxGone when the agent no longer knows it."""
        path = origin.address.path
        told = dict(origin.details)
        if not path.startswith(_VIRTUAL):
            return path  # an older way: the path on the disk itself
        work_dir = self._clusters[told["cluster"]].work_dir
        if work_dir is not None:
            components(told["agent_id"])
            return f"{work_dir.rstrip('/')}/slaves/{told['agent_id']}{path}"
        _, _, framework, _, executor, _, _, *below = path.split("/")
        run = _run_directory(self._client.state(origin.address), framework, executor)
        if run is None:
            raise SandboxGone(
                f"the agent at {origin.address.agent_url} no longer knows the executor of the job",
                advice="set sftp.work_dir of the cluster, then the agent is not asked",
            )
        return posixpath.join(run, *below)


def _find(session: Session, directory: str) -> str:
    """The directory without links. Raises NotFound."""
    try:
        real = session.real_path(directory)
        if session.look(real).kind in ("d", "?"):
            return real
    except NotFound:
        if _LATEST not in directory:
            raise
    # Under a ChrootDirectory the agent's absolute link leads nowhere.
    runs, _, below = directory.partition(_LATEST)
    found = [
        (one.mtime, name) for name, one in session.entries(f"{runs}/runs", MOST_ENTRIES) if one.kind == "d"
    ]
    if not found:
        raise NotFound("there is no run")
    real = session.real_path(f"{runs}/runs/{max(found)[1]}{below}")
    session.look(real)
    return real


def _run_directory(state: object, framework: str, executor: str) -> str | None:
    """``directory`` of an executor in an agent's state (Mesos 1.11), live or completed; the latest."""
    found = None
    for one in _members(state, "completed_frameworks", "frameworks"):
        if one.get("id") != framework:
            continue
        for run in _members(one, "completed_executors", "executors"):
            directory = run.get("directory")
            if run.get("id") == executor and isinstance(directory, str) and directory.startswith("/"):
                found = directory
    return found


def _members(document: object, *names: str) -> list[dict[str, object]]:
    if not isinstance(document, dict):
        raise ProtocolError("an agent's state is not of the form that Mesos gives it")
    items = [item for name in names for item in (document.get(name) or [])]
    if not all(isinstance(item, dict) for item in items):
        raise ProtocolError("an agent's state is not of the form that Mesos gives it")
    return items
