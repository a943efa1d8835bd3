"""The inputs as one POSIX pax archive, made while it is sent: memory does not grow with the files.

Its last member holds the SHA-256 of all bytes before that member. Whoever receives it as a stream knows how
many bytes that are when the end has come: all but the last `ENDING_BYTES`.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from airavata_mesos_plugin.errors import StagingError, UnsafePath
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.inputs.snapshot import SentFile, Snapshot
from airavata_mesos_plugin.sandbox.paths import Root, components, escape

_BLOCK = tarfile.BLOCKSIZE

ENDING_BYTES = 4 * _BLOCK
"""Header and content of the last member, and the two empty blocks that end an archive."""


@dataclass(frozen=True)
class Member:
    """A file of ours that goes into the archive beside the user's."""

    name: str
    content: bytes
    mode: int = 0o644


def stream(
    root: str | Path,
    snapshot: Snapshot,
    extra: Sequence[Member] = (),
    chunk: int = 1024 * 1024,
    *,
    start: int = 0,
) -> Iterator[bytes]:
    """The archive from byte ``start`` on, in pieces of about ``chunk`` bytes, up to its `ending`: ``extra``
    first, then what ``snapshot`` lists. What lies before ``start`` is not read.

    Repeatable: each call gives the same bytes. Raises StagingError that names the file when one has changed
    or vanished since the snapshot; the archive then stops in the middle, and whoever sends it must break the
    transfer off.
    """
    try:
        with Root(root) as confined:
            yield from _gather(_pieces(confined, snapshot, extra, chunk, start), chunk)
    except OSError as error:
        # Errors of single files are handled where the name is known; this one is the root's.
        raise StagingError(
            f"cannot read the working directory {escape(str(root))}: {error.strerror}"
        ) from error


def ending(digest: str) -> bytes:
    """What comes after the last piece: the member with the SHA-256 of all pieces, and the end."""
    content = f"{digest}\n".encode("ascii")
    header = _header(layout.DIGEST_FILE, tarfile.REGTYPE, 0o600, 0, len(content))
    return (header + content).ljust(ENDING_BYTES, b"\0")


def idle() -> bytes:
    """A comment that every reader passes over, to be sent before the archive by one who is not ready yet."""
    info = tarfile.TarInfo()
    return info.create_pax_global_header({"comment": "please wait"})


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


def _pieces(
    root: Root, snapshot: Snapshot, extra: Sequence[Member], chunk: int, start: int
) -> Iterator[bytes]:
    """The pieces from ``start`` on; those before it are left out without a look at any file."""
    skip = start
    for before, file in _members(snapshot, extra):
        yield before[skip:]
        skip = max(0, skip - len(before))
        if file is None:
            continue
        if skip < file.size:
            yield from _content(root, file, chunk, skip)
        elif not file.size and not skip:
            yield from _content(root, file, chunk, 0)
        skip = max(0, skip - file.size)


def _members(snapshot: Snapshot, extra: Sequence[Member]) -> Iterator[tuple[bytes, SentFile | None]]:
    """Bytes of the archive, and the file whose content follows them."""
    taken_at_ns = int(snapshot.taken_at) * 10**9
    for member in extra:
        components(member.name)
        header = _header(member.name, tarfile.REGTYPE, member.mode, taken_at_ns, len(member.content))
        yield header + member.content + _padding(len(member.content)), None
    for directory in snapshot.directories:
        # Without these bits what belongs into the directory could not be unpacked.
        yield _header(directory.name, tarfile.DIRTYPE, directory.mode | 0o700, taken_at_ns), None
    for file in snapshot.files:
        yield _header(file.name, tarfile.REGTYPE, file.mode, snapshot.sent_mtime_ns(file), file.size), file
        yield _padding(file.size), None
    for link in snapshot.links:
        yield _header(link.name, tarfile.SYMTYPE, 0o777, taken_at_ns, target=link.target), None


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


def _content(root: Root, file: SentFile, chunk: int, start: int) -> Iterator[bytes]:
    try:
        fd = _open(root, file)
    except (OSError, UnsafePath) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StagingError(
            f"the input {escape(file.name)} can no longer be read: {reason}",
            advice="leave the inputs in place until the job has started, then submit it again",
        ) from error
    try:
        left = file.size - start
        _check_unchanged(fd, file)
        os.lseek(fd, start, os.SEEK_SET)
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
