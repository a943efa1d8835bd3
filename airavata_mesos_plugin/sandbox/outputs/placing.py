"""Puts what a fetch brings into the working directory: beside its name first, then renamed.

A reader sees a file whole or not at all. Everything goes through `paths.Root`, so nothing leaves the
working directory, whatever a source says.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airavata_mesos_plugin.errors import AiravataMesosError, AlreadyExists, TransferError, UnsafePath
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.outputs.links import InnerLink
from airavata_mesos_plugin.sandbox.outputs.manifest import Manifest, Noted
from airavata_mesos_plugin.sandbox.paths import Root, create_at, escape, remove_at, rename_at
from airavata_mesos_plugin.sandbox.source import Body, Entry

RESUMABLE_BYTES = 1024 * 1024
"""Smaller files are fetched many at a time, and anew when they broke off."""

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_APPEND = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass
class Tally:
    """What one thread has brought; each has its own, so that counting needs no lock."""

    files: int = 0
    bytes: int = 0


class Place:
    """The working directory of one fetch. Safe to use from several threads."""

    def __init__(self, root: Root, job_id: int, manifest: Manifest) -> None:
        self._root = root
        self._job_id = job_id
        self._manifest = manifest
        self._modes: dict[str, int] = {}  # of directories, by name

    def make_directories(self, listed: Iterable[Entry], wanted: Iterable[Entry]) -> list[tuple[str, str]]:
        """Make the ``wanted`` ones; returns names and reasons of those that cannot be made.

        ``listed`` are all that may have to be made on the way to a file.
        """
        # We have to write into them, now and when the fetch is repeated.
        self._modes.update((entry.name, entry.mode | 0o700) for entry in listed)
        left_out = []
        for entry in wanted:
            try:
                self._root.make_directory(entry.name, self._mode)
            except (UnsafePath, AlreadyExists) as error:
                left_out.append((entry.name, error.message))
            except OSError as error:
                failure = local_error(error, entry.name)
                if not isinstance(failure, UnsafePath):
                    raise failure from error
                left_out.append((entry.name, failure.message))
        return left_out

    def _mode(self, name: str) -> int:
        return self._modes.get(name, 0o700)

    def store(self, entry: Entry, body: Body, tally: Tally, offset: int = 0) -> None:
        """Take a file in. With ``offset`` the body is what follows after that many bytes of its part file.

        Raises UnsafePath or AlreadyExists when the file cannot have its name, TransferError for all else;
        a part file that another try can go on with is kept then.
        """
        try:
            with self._root.parent(entry.name, self._mode) as (fd, base):
                part = layout.part_name(base, self._job_id)
                # The owner can read what he asked for, whatever the job did.
                mode = entry.mode | 0o400
                opened = os.open(part, _APPEND, dir_fd=fd) if offset else _create(fd, part, mode)
                try:
                    with _closing(opened):
                        self._write(entry, body, tally, opened, offset)
                        os.utime(opened, (entry.mtime, entry.mtime))
                        status = os.fstat(opened)
                        if status.st_mode & 0o7777 != mode:
                            os.fchmod(opened, mode)
                    rename_at(fd, part, base)
                except BaseException as error:
                    broken = isinstance(error, TransferError) and not isinstance(error, WrongContent)
                    if not broken or entry.size < RESUMABLE_BYTES:
                        remove_at(fd, part)
                    raise
            self._manifest.note_arrived(entry, status.st_ino)
        except OSError as error:
            raise local_error(error, entry.name) from error
        tally.files += 1

    def _write(self, entry: Entry, body: Body, tally: Tally, opened: int, offset: int) -> None:
        if offset and os.fstat(opened).st_size != offset:
            raise WrongContent(f"somebody else changes the part file of {escape(entry.name)}")
        if entry.size >= RESUMABLE_BYTES and not offset:
            self._manifest.note_part(entry, os.fstat(opened).st_ino)
        digest = hashlib.sha256() if entry.sha256 else None
        if digest is not None:
            for position in range(0, offset, RESUMABLE_BYTES):
                digest.update(os.pread(opened, min(RESUMABLE_BYTES, offset - position), position))
        for view in body.chunks():
            write_all(opened, view)
            if digest is not None:
                digest.update(view)
            tally.bytes += len(view)
        if digest is not None and digest.hexdigest() != entry.sha256:
            raise WrongContent(f"{escape(entry.name)} did not arrive as it was sent: its digest differs")

    def make_link(self, link: InnerLink) -> None:
        """Make the link; where the same one is already, nothing is done. Raises as `store`."""
        for name, target in link.way:
            self._check_way(name, target)
        entry = link.entry
        try:
            with self._root.parent(entry.name, self._mode) as (fd, base):
                if _link_at(fd, base) == link.target:
                    return
                part = layout.part_name(base, self._job_id)
                remove_at(fd, part)
                os.symlink(link.target, part, dir_fd=fd)
                try:
                    rename_at(fd, part, base)
                except BaseException:
                    remove_at(fd, part)
                    raise
        except OSError as error:
            raise local_error(error, entry.name) from error

    def _check_way(self, name: str, target: str | None) -> None:
        """Raises UnsafePath when another link than in the sandbox has the name here, or is on the way."""
        try:
            with self._root.parent(name) as (fd, base):
                found = _link_at(fd, base)
        except (FileNotFoundError, AlreadyExists):
            return  # leads nowhere
        except OSError as error:
            raise local_error(error, name) from error
        if found is not None and found != target:
            raise UnsafePath(f"the symbolic link {escape(name)} is on the way")

    def has(self, entry: Entry) -> bool:
        """Whether an earlier try has brought the file as it is now listed, and it is still there."""
        noted = self._manifest.arrived.get(entry.name)
        found = self._status(entry.name, noted, entry)
        return found is not None and (found.st_size, found.st_mtime_ns) == (entry.size, entry.mtime * 10**9)

    def begun(self, entry: Entry) -> int:
        """How many bytes of the file an earlier try has left in a part file; 0 for none."""
        base = entry.name.rsplit("/", 1)[-1]
        part = entry.name[: len(entry.name) - len(base)] + layout.part_name(base, self._job_id)
        found = self._status(part, self._manifest.parts.get(entry.name), entry)
        return found.st_size if found is not None and 0 < found.st_size < entry.size else 0

    def _status(self, name: str, noted: Noted | None, entry: Entry) -> os.stat_result | None:
        if noted is None or not noted.of(entry):
            return None
        try:
            with self._root.parent(name) as (fd, base):
                found = os.stat(base, dir_fd=fd, follow_symlinks=False)
        except (OSError, UnsafePath, AlreadyExists):
            return None
        return found if stat.S_ISREG(found.st_mode) and found.st_ino == noted.inode else None

    def free_bytes(self) -> int:
        """How much the account may still write, as far as the file system tells; quotas are not known."""
        fd = self._root.open_directory()
        try:
            found = os.statvfs(fd)
        except OSError as error:
            raise local_error(error, ".") from error
        finally:
            os.close(fd)
        return found.f_bavail * found.f_frsize

    def remove_parts(self, keep: frozenset[str]) -> None:
        """Remove what earlier tries of this job left behind, but for the part files of the files ``keep``."""
        if self._manifest.earlier:
            remove_parts(self._root, self._job_id, keep)


class WrongContent(TransferError):
    """What came is not what was sent; there is nothing to go on with."""


def remove_parts(root: Root, job_id: int, keep: frozenset[str] = frozenset()) -> None:
    """Remove what tries of this job left behind; other jobs may be writing theirs.

    ``keep`` names files whose part files stay. Raises TransferError.
    """
    kept = {(name.rpartition("/")[0], layout.part_name(name.rpartition("/")[2], job_id)) for name in keep}
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        prefix = f"{directory}/" if directory else ""
        try:
            fd = root.open_directory(directory)
        except (OSError, UnsafePath, AlreadyExists):
            continue  # not one that an earlier try could write into
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if layout.part_owner(entry.name) == job_id:
                        if (directory, entry.name) not in kept:
                            remove_at(fd, entry.name)
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(prefix + entry.name)
        except OSError as error:
            raise local_error(error, directory or ".") from error
        finally:
            os.close(fd)


def _create(fd: int, part: str, mode: int) -> int:
    try:
        return create_at(fd, part, mode)
    except FileExistsError:  # of a try that left no manifest
        remove_at(fd, part)
        return create_at(fd, part, mode)


def _link_at(fd: int, base: str) -> str | None:
    """The text of a link; None for anything else."""
    try:
        return os.readlink(base, dir_fd=fd)
    except OSError:
        return None


@contextlib.contextmanager
def _closing(fd: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(fd)


def write_all(fd: int, view: memoryview) -> None:
    """Write all of it."""
    written = os.write(fd, view)
    while written < len(view):
        written += os.write(fd, view[written:])


def local_error(error: OSError, name: str) -> AiravataMesosError:
    """What an error of the working directory's file system means for the output ``name``."""
    shown = escape(name)
    if error.errno in _NO_SPACE:
        return TransferError(
            f"no room for the output {shown}: {error.strerror}",
            advice="free space in the working directory's file system; the fetch is then tried again",
        )
    if error.errno == errno.ENAMETOOLONG:
        return UnsafePath("the name is too long for the working directory's file system")
    return TransferError(
        f"cannot write the output {shown}: {error.strerror}",
        advice="check that the working directory is there and writable",
    )
