"""Confinement: every access below a directory goes by directory descriptors and never through a link.

A name is walked component by component with O_NOFOLLOW, so neither a link that was there before nor
one that is swapped in between can lead out. Names are relative, with ``/`` between components, and may
hold any other byte; bytes that are not UTF-8 are surrogates, as everywhere in Python (PEP 383).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from airavata_mesos_plugin.errors import AlreadyExists, UnsafePath

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO that stands where a file is expected must not block the open.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def escape(name: str) -> str:
    """``name`` for people: control characters, undecodable bytes and backslashes are escaped."""
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(_escape(character) for character in name)


def _escape(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def components(name: str) -> list[str]:
    """The parts of a relative name. Raises UnsafePath for a name that could lead anywhere else."""
    if not name:
        raise UnsafePath("the name is empty")
    if "\0" in name:
        raise UnsafePath(f"{escape(name)}: the name holds a NUL byte")
    if name.startswith("/"):
        raise UnsafePath(f"{escape(name)}: the name is absolute")
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise UnsafePath(f"{escape(name)}: no file can have this name") from error
    parts = name.split("/")
    if ".." in parts:
        raise UnsafePath(f"{escape(name)}: the name climbs out with '..'")
    if "" in parts or "." in parts:
        raise UnsafePath(f"{escape(name)}: the name has an empty or '.' component")
    return parts


class Root:
    """A directory that nothing done through this object leaves.

    The path of the directory itself may lead over links: it is the caller's own. Safe to use from
    several threads. OSErrors that mean neither a link nor something in the way pass through.
    """

    def __init__(self, path: str | Path, *, dir_fd: int | None = None) -> None:
        """Open the directory. Raises OSError when it is not there or is no directory."""
        self._fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)

    def __enter__(self) -> Root:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the descriptor. Repeatable."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @contextlib.contextmanager
    def parent(self, name: str, make_mode: Callable[[str], int] | None = None) -> Iterator[tuple[int, str]]:
        """Descriptor of the directory that holds ``name`` and the last component.

        With ``make_mode`` missing directories on the way are made; it is asked for the mode of each by
        its relative name. Raises UnsafePath when a link is on the way, AlreadyExists when a file is,
        FileNotFoundError when a directory is missing.
        """
        parts = components(name)
        if len(parts) == 1:
            yield self._fd, name
            return
        fd = self._walk(parts[:-1], make_mode)
        try:
            yield fd, parts[-1]
        finally:
            os.close(fd)

    def _walk(self, parts: list[str], make_mode: Callable[[str], int] | None) -> int:
        """A new descriptor of the directory ``parts``; not empty."""
        held = self._fd
        for position, part in enumerate(parts):
            try:
                try:
                    fd = os.open(part, _STEP, dir_fd=held)
                except FileNotFoundError:
                    if make_mode is None:
                        raise
                    _make(held, part, make_mode("/".join(parts[: position + 1])))
                    fd = os.open(part, _STEP, dir_fd=held)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise _in_the_way(held, part, "/".join(parts[: position + 1])) from error
                raise
            finally:
                if held != self._fd:
                    os.close(held)
            held = fd
        return held

    def make_directory(self, name: str, make_mode: Callable[[str], int]) -> None:
        """Make the directory and those above it. One that is there already is left as it is."""
        os.close(self._walk(components(name), make_mode))

    def below(self, name: str, make_mode: Callable[[str], int] | None = None) -> Root:
        """The directory ``name`` as a root of its own, which is to be closed too. Makes directories, and
        raises, as `parent` does.
        """
        fd = self._walk(components(name), make_mode)
        try:
            return Root(".", dir_fd=fd)
        finally:
            os.close(fd)

    @property
    def mode(self) -> int:
        """The permission bits of the directory."""
        return os.fstat(self._fd).st_mode & 0o777

    def prune(self, name: str) -> None:
        """Remove the directory ``name`` and those above it, as far as they are empty. Repeatable."""
        parts = components(name)
        with contextlib.suppress(OSError, UnsafePath, AlreadyExists):
            while parts:
                with self.parent("/".join(parts)) as (fd, base):
                    os.rmdir(base, dir_fd=fd)
                parts.pop()

    def open_directory(self, name: str = "") -> int:
        """A descriptor for listing; the empty name is the root itself. The caller closes it."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        if not name:
            return os.open(".", flags, dir_fd=self._fd)
        with self.parent(name) as (fd, base):
            try:
                return os.open(base, flags, dir_fd=fd)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise _in_the_way(fd, base, name) from error
                raise

    def open_file(self, name: str) -> int:
        """A descriptor for reading a regular file. The caller closes it.

        Raises UnsafePath for a link and for anything that is no regular file.
        """
        with self.parent(name) as (fd, base):
            try:
                opened = os.open(base, _READ, dir_fd=fd)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise UnsafePath(f"{escape(name)} is a symbolic link") from error
                if error.errno == errno.ENXIO:  # a socket
                    raise UnsafePath(f"{escape(name)} is not a regular file") from error
                raise
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise UnsafePath(f"{escape(name)} is not a regular file")
        return opened

    def remove(self, name: str) -> None:
        """Remove a file or link. One that is not there is no error."""
        with self.parent(name) as (fd, base):
            remove_at(fd, base)


def create_at(fd: int, base: str, mode: int = 0o600) -> int:
    """A descriptor of a new file; the umask limits its mode. Raises FileExistsError."""
    return os.open(base, _CREATE, mode, dir_fd=fd)


def rename_at(fd: int, source: str, target: str) -> None:
    """Put ``source`` in the place of ``target``, both in one directory; a link there is replaced.

    Raises AlreadyExists when ``target`` is a directory.
    """
    try:
        os.rename(source, target, src_dir_fd=fd, dst_dir_fd=fd)
    except (IsADirectoryError, FileExistsError) as error:
        raise AlreadyExists(f"a directory named {escape(target)} is in the way") from error


def remove_at(fd: int, base: str) -> None:
    """Remove a file or link. One that is not there is no error."""
    try:
        os.unlink(base, dir_fd=fd)
    except FileNotFoundError:
        return


def _make(fd: int, base: str, mode: int) -> None:
    try:
        os.mkdir(base, mode, dir_fd=fd)
    except FileExistsError:  # another thread was faster; the open that follows tells what it is
        return


def _in_the_way(fd: int, base: str, name: str) -> UnsafePath | AlreadyExists:
    try:
        link = stat.S_ISLNK(os.lstat(base, dir_fd=fd).st_mode)
    except FileNotFoundError:
        link = True  # it was swapped while we looked
    if link:
        return UnsafePath(f"the symbolic link {escape(name)} is in the way")
    return AlreadyExists(f"{escape(name)} is in the way and is not a directory")
