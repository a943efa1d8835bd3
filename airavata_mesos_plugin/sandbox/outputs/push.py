"""Outputs that an agent sends by itself, as one archive: taken into the working directory, then unpacked.

The archive is kept beside the outputs until the job has ended. Nothing of it counts before it is whole; a
crash loses nothing, and the fetch engine unpacks it under the same rules as files from anywhere else.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Mapping

from airavata_mesos_plugin.errors import (
    AiravataMesosError,
    AlreadyExists,
    NotFound,
    NotReady,
    ProtocolError,
    TransferError,
    UnsafePath,
)
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.outputs.tar_index import Member, read_index
from airavata_mesos_plugin.sandbox.paths import Root, escape, remove_at, rename_at
from airavata_mesos_plugin.sandbox.source import Body, Entry, Origin, Transfers

PIECE_BYTES = 1024 * 1024
SAID_BYTES = 64 * 1024
"""How much is read of what the stage-in wrote at its end."""

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_END = bytes(1024)
"""Every archive ends with at least this."""


def receive(directory: str, name: str, chunks: Iterable[bytes]) -> str:
    """Take an archive as the file ``name`` below ``directory``, whole or not at all.

    Returns what the stage-in said last, when the archive has its log; a job that ran sends none. A repeat
    replaces what came before. Raises TransferError when it cannot be written, ProtocolError when it is not
    whole, and what ``chunks`` raises.
    """
    with _opened(directory) as root:
        try:
            with root.parent(name, lambda _: 0o700) as (fd, base):
                part = f"{base}.part"
                remove_at(fd, part)
                descriptor = os.open(part, _CREATE, 0o600, dir_fd=fd)
                try:
                    with contextlib.ExitStack() as stack:
                        stack.callback(os.close, descriptor)
                        _write_all(descriptor, chunks)
                        members = read_index(descriptor)
                        said = _stage_in(descriptor, members)
                        os.fsync(descriptor)
                    rename_at(fd, part, base)
                except BaseException:
                    remove_at(fd, part)
                    raise
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise TransferError(
                f"{'no room for' if full else 'cannot write'} the outputs in {escape(directory)}:"
                f" {error.strerror}",
                advice="they have to fit twice while they are unpacked" if full else "",
            ) from error
    return said


def discard(directory: str, names: Iterable[str]) -> None:
    """Remove files of ours below a working directory. Those that are not there are no error."""
    with _opened(directory) as root:
        for name in names:
            with contextlib.suppress(FileNotFoundError, UnsafePath, AlreadyExists):
                root.remove(name)
        with (
            contextlib.suppress(OSError, UnsafePath, AlreadyExists),
            root.parent(layout.CONTROL_DIRECTORY) as (fd, base),
        ):
            os.rmdir(base, dir_fd=fd)  # unless another job has something there


@contextlib.contextmanager
def _opened(directory: str) -> Iterator[Root]:
    try:
        root = Root(directory)
    except OSError as error:
        raise TransferError(
            f"cannot open the working directory {escape(directory)}: {error.strerror}"
        ) from error
    with root:
        yield root


def _write_all(descriptor: int, chunks: Iterable[bytes]) -> None:
    end = b""
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            view = view[os.write(descriptor, view) :]
        end = (end + chunk)[-len(_END) :]
    if end != _END:
        raise ProtocolError("the archive with the outputs broke off")


def _stage_in(descriptor: int, members: list[Member]) -> str:
    """The log of the last run of the stage-in, in an archive of a job that never ran."""
    logs = [
        member
        for member in members
        if member.kind == "-"
        and member.name.startswith(f"{layout.THERMOS_LOGS}/stage_in/")
        and member.name.endswith("/stderr")
    ]
    if not logs:
        return ""
    last = max(logs, key=lambda member: (len(member.name), member.name))
    size = min(last.size, SAID_BYTES)
    return os.pread(descriptor, size, last.offset + last.size - size).decode(errors="replace")


class PushSource:
    """`Source` of an archive that has come. Safe to use from several threads."""

    shows_links = True

    def __init__(self, descriptor: int) -> None:
        """``descriptor`` of the archive stays the caller's to close. Raises ProtocolError."""
        self._descriptor = descriptor
        self._members: Mapping[str, Member] = {member.name: member for member in read_index(descriptor)}
        self._directories: dict[str, dict[str, Entry]] = {}
        for member in self._members.values():
            self._put(member)

    def entries(self, directory: str, abort: Abort | None = None) -> list[Entry]:  # noqa: ARG002 - at once
        return list(self._directories.get(directory, {}).values())

    @contextlib.contextmanager
    def transfers(
        self,
        abort: Abort,
        most: int,  # noqa: ARG002 - no connections
        *,
        long: bool = False,  # noqa: ARG002 - no connections
    ) -> Iterator[Transfers]:
        yield _Contents(self._descriptor, self._members, abort)

    def resumes(self, size: int, offset: int) -> bool:  # noqa: ARG002 - any offset will do
        return offset > 0

    def read(self, name: str, limit: int) -> bytes:
        member = _regular(self._members, name)
        return os.pread(self._descriptor, min(member.size, limit), member.offset)

    def _put(self, member: Member) -> None:
        directory, _, base = member.name.rpartition("/")
        if member.name in ("", "."):
            return
        parts = member.name.split("/")
        if "" in parts or "." in parts or ".." in parts:
            directory, base = "", member.name  # the engine says what is wrong with such a name
        else:
            self._make(directory)
        kept = self._directories.setdefault(directory, {})
        kept[base] = _entry(member, base)

    def _make(self, directory: str) -> None:
        """Directories that the archive does not mention, above one that it does."""
        while directory and directory not in self._members:
            above, _, base = directory.rpartition("/")
            kept = self._directories.setdefault(above, {})
            kept.setdefault(base, Entry(base, "d", 0, 0, 0o755, 1))
            directory = above


class _Content:
    """`Body` of a part of the archive."""

    def __init__(self, descriptor: int, start: int, length: int, abort: Abort) -> None:
        self._descriptor = descriptor
        self._start = start
        self._abort = abort
        self.length = length

    def chunks(self) -> Iterator[memoryview]:
        position, left = self._start, self.length
        while left:
            self._abort.check()
            data = os.pread(self._descriptor, min(left, PIECE_BYTES), position)
            if not data:
                raise TransferError("the archive with the outputs was cut while it was unpacked")
            position += len(data)
            left -= len(data)
            yield memoryview(data)


class _Contents:
    """`Transfers` out of the archive."""

    def __init__(self, descriptor: int, members: Mapping[str, Member], abort: Abort) -> None:
        self._descriptor = descriptor
        self._members = members
        self._abort = abort

    def each(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Body | AiravataMesosError]]:
        for entry in entries:
            try:
                yield entry, self.rest(entry, 0)
            except AiravataMesosError as error:
                yield entry, error

    def rest(self, entry: Entry, offset: int) -> Body:
        member = _regular(self._members, entry.name)
        offset = min(offset, member.size)
        return _Content(self._descriptor, member.offset + offset, member.size - offset, self._abort)


def _regular(members: Mapping[str, Member], name: str) -> Member:
    member = members.get(name)
    if member is None:
        raise NotFound(f"{escape(name)} is not among what the agent sent")
    if member.kind != "-":
        raise UnsafePath(f"{escape(name)} is not a regular file")
    return member


def _entry(member: Member, base: str) -> Entry:
    return Entry(
        name=base,
        kind=member.kind,
        size=member.size,
        mtime=member.mtime,
        mode=member.mode,
        nlink=1,
        target=member.target if member.kind == "l" else None,
    )


@contextlib.contextmanager
def open_pushed(origin: Origin) -> Iterator[PushSource]:
    """The archive of a job. Raises NotReady when it has not come."""
    told = dict(origin.details)
    with _opened(told["directory"]) as root:
        try:
            descriptor = root.open_file(told["archive"])
        except (FileNotFoundError, UnsafePath, AlreadyExists):
            raise NotReady(
                "the agent has not sent them",
                advice="check that agents reach the address in staging.advertise",
            ) from None
        try:
            yield PushSource(descriptor)
        finally:
            os.close(descriptor)
