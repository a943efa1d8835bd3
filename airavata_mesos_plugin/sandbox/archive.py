"""The inputs as one POSIX pax archive, made while it is sent: memory does not grow with the files."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airavata_mesos_plugin.errors import StagingError, UnsafePath
from airavata_mesos_plugin.sandbox.paths import Root, components, escape
from airavata_mesos_plugin.sandbox.snapshot import SentFile, Snapshot

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)


@dataclass(frozen=True)
class Member:
    """A file of ours that goes into the archive beside the user's."""

    name: str
    content: bytes
    mode: int = 0o644


def stream(
    root: str | Path, snapshot: Snapshot, extra: Sequence[Member] = (), chunk: int = 1024 * 1024
) -> Iterator[bytes]:
    """The archive in pieces of about ``chunk`` bytes: ``extra`` first, then what ``snapshot`` lists.

    Repeatable: each call starts anew and gives the same bytes. Raises StagingError that names the file
    when one has changed or vanished since the snapshot; the archive then ends in the middle, and whoever
    sends it must break the transfer off.
    """
    try:
        with Root(root) as confined:
            yield from _gather(_pieces(confined, snapshot, extra, chunk), chunk)
    except OSError as error:
        # Errors of single files are handled where the name is known; this one is the root's.
        raise StagingError(
            f"cannot read the working directory {escape(str(root))}: {error.strerror}"
        ) from error


def _gather(pieces: Iterator[bytes], chunk: int) -> Iterator[bytes]:
    """The same bytes with small pieces put together: each costs the server about as much as a large one."""
    held = bytearray()
    for piece in pieces:
        if not held and len(piece) >= chunk:
            yield piece
            continue
        held += piece
        if len(held) >= chunk:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _pieces(root: Root, snapshot: Snapshot, extra: Sequence[Member], chunk: int) -> Iterator[bytes]:
    taken_at_ns = int(snapshot.taken_at) * 10**9
    for member in extra:
        components(member.name)
        yield _header(member.name, tarfile.REGTYPE, member.mode, taken_at_ns, len(member.content))
        yield member.content
        yield _padding(len(member.content))
    for directory in snapshot.directories:
        # Without these bits what belongs into the directory could not be unpacked.
        yield _header(directory.name, tarfile.DIRTYPE, directory.mode | 0o700, taken_at_ns)
    for file in snapshot.files:
        yield _header(file.name, tarfile.REGTYPE, file.mode, snapshot.sent_mtime_ns(file), file.size)
        yield from _content(root, file, chunk)
        yield _padding(file.size)
    for link in snapshot.links:
        yield _header(link.name, tarfile.SYMTYPE, 0o777, taken_at_ns, target=link.target)
    yield _END


def _header(name: str, kind: bytes, mode: int, mtime_ns: int, size: int = 0, target: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = mode
    info.size = size
    info.linkname = target
    info.mtime = max(mtime_ns // 10**9, 0)
    if mtime_ns % 10**9 or mtime_ns < 0:
        # As text: a float would lose the last digits.
        sign, amount = ("-", -mtime_ns) if mtime_ns < 0 else ("", mtime_ns)
        info.pax_headers = {"mtime": f"{sign}{amount // 10**9}.{amount % 10**9:09d}"}
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _content(root: Root, file: SentFile, chunk: int) -> Iterator[bytes]:
    try:
        fd = _open(root, file)
    except (OSError, UnsafePath) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StagingError(
            f"the input {escape(file.name)} can no longer be read: {reason}",
            advice="leave the inputs in place until the job has started, then submit it again",
        ) from error
    try:
        left = file.size
        _check_unchanged(fd, file)
        while left:
            data = os.read(fd, min(left, chunk))
            if not data:
                break
            left -= len(data)
            if not left:
                _check_unchanged(fd, file)  # before the last piece, so that a mixture is never whole
            yield data
        if left:
            raise _changed(file)
    except OSError as error:
        raise StagingError(f"cannot read the input {escape(file.name)}: {error.strerror}") from error
    finally:
        os.close(fd)


def _open(root: Root, file: SentFile) -> int:
    if file.outside is None:
        return root.open_file(file.name)
    return os.open(file.outside.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _check_unchanged(fd: int, file: SentFile) -> None:
    status = os.fstat(fd)
    same = stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == file[1:3]
    if file.outside is not None:
        same = same and (status.st_dev, status.st_ino) == file.outside[1:]
    if not same:
        raise _changed(file)


def _changed(file: SentFile) -> StagingError:
    return StagingError(
        f"the input {escape(file.name)} was changed after the job was submitted",
        advice="leave the inputs alone until the job has started, then submit it again",
    )
