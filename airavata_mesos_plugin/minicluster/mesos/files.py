"""Virtual paths and what may be read below them (files endpoints, checked against Mesos 1.11)."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import Any

_NUMBER = re.compile(r"[+-]?(?:[0-9]+|0[xX][0-9a-fA-F]+)")
_MOST = 2**63
_NONE_THERE = (errno.ENOENT, errno.ENOTDIR)
_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_SHORT = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_ESCAPES = {code: f"\\u{code:04X}" for code in range(32)} | _SHORT
READ_LIMIT = 16 * 4096
"""Bytes per read: sixteen memory pages."""


class FilesError(Exception):
    """HTTP status and text of a refused request; an unknown path has no text."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class IsFifo(Exception):
    """A named pipe without a writer is to be opened, which takes until there is one."""

    def __init__(self, real: str) -> None:
        super().__init__(real)
        self.real = real


class Attached:
    """The directories that are offered, by virtual path."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def attach(self, virtual: str, directory: Path) -> None:
        self._real[virtual] = os.path.realpath(directory)

    def detach(self, virtual: str) -> None:
        self._real.pop(virtual, None)

    def listing(self) -> dict[str, str]:
        return dict(self._real)

    def resolve(self, virtual: str) -> str:
        """The real path. Raises FilesError: 404 for what is not attached or not there, 400 for what leads
        outside."""
        if not virtual:
            raise FilesError(400, "Expecting 'path=value' in query.\n")
        # The system calls below Mesos take a path up to the first NUL.
        trimmed = virtual.partition("\0")[0].rstrip("/") or "/"
        prefix = trimmed
        while prefix not in self._real:
            prefix, separator, _ = prefix.rpartition("/")
            if not separator:
                raise FilesError(404)
        root = self._real[prefix]
        named = f"{root}{trimmed[len(prefix) :]}"
        try:
            real = os.path.realpath(named, strict=True)
        except OSError as error:
            if error.errno in _NONE_THERE:
                raise FilesError(404) from None
            text = f"Failed to determine canonical path of '{named}': {error.strerror}.\n"
            raise FilesError(400, text) from None
        if real != root and not real.startswith(f"{root}/"):
            raise FilesError(400, f"'{named}' is inaccessible.\n")
        return real


@lru_cache(maxsize=256)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache(maxsize=256)
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def listing(real: str, virtual: str) -> list[tuple[str, os.stat_result]]:
    """Path and state of the entries of a directory, sorted; none for anything else. Links are followed,
    dangling ones left out."""
    prefix = virtual.rstrip("/")
    found = []
    try:
        entries = os.scandir(real)
    except NotADirectoryError:
        return []
    except PermissionError as error:
        raise FilesError(500, f"Failed to list '{real}': {error.strerror}\n") from None
    except OSError:
        raise FilesError(404) from None
    with entries:
        for entry in entries:
            try:
                found.append((f"{prefix}/{entry.name}", entry.stat()))
            except OSError:
                continue
    found.sort(key=lambda item: item[0])
    return found


def browse(real: str, virtual: str) -> list[dict[str, Any]]:
    """The answer of browse. The set-uid, set-gid and sticky bits are not shown."""
    return [
        {
            "gid": _group(info.st_gid),
            "mode": stat.filemode(info.st_mode & ~_SPECIAL_BITS),
            "mtime": float(int(info.st_mtime)),
            "nlink": info.st_nlink,
            "path": path,
            "size": info.st_size,
            "uid": _user(info.st_uid),
        }
        for path, info in listing(real, virtual)
    ]


def file_infos(real: str, virtual: str) -> list[dict[str, Any]]:
    """The same in the form of LIST_FILES."""
    return [
        {
            "path": path,
            "nlink": info.st_nlink,
            "size": info.st_size,
            "mtime": {"nanoseconds": int(info.st_mtime) * 10**9},
            "mode": info.st_mode,
            "uid": _user(info.st_uid),
            "gid": _group(info.st_gid),
        }
        for path, info in listing(real, virtual)
    ]


def open_file(real: str, verb: str) -> tuple[int, os.stat_result]:
    """A file descriptor to read from, and its state.

    Raises FilesError: 400 for a directory, 500 for what cannot be opened; and IsFifo.
    """
    try:
        # Without NONBLOCK a named pipe would hold up the whole program.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise FilesError(404) from None
    except OSError as error:
        text = f"Failed to open file at '{real}': {error.strerror}.\n"
        raise FilesError(500, "500 Internal Server Error." if verb == "download" else text) from None
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        if stat.S_ISDIR(info.st_mode):
            raise FilesError(400, f"Cannot {verb} a directory.\n")
        if stat.S_ISFIFO(info.st_mode):
            raise IsFifo(real)
        raise FilesError(500, f"Failed to open file at '{real}': Illegal seek.\n")
    return descriptor, info


def _number(name: str, text: str | None) -> int:
    """As C's strtoll reads it: decimal or hexadecimal, 64 bits."""
    if text is None:
        return -1
    number = _MOST
    if _NUMBER.fullmatch(text) and len(text) < 32:
        number = int(text, 16 if "x" in text.lower() else 10)
    if not -_MOST <= number < _MOST:
        raise FilesError(400, f"Failed to parse {name}: Failed to convert '{text}' to number.\n")
    if number < -1:
        raise FilesError(400, f"Negative {name} provided: {number}.\n")
    return number


def read(real: str, offset: int, length: int | None) -> tuple[int, bytes]:
    """Size of a file and at most `READ_LIMIT` bytes of it; none from before its start or behind its end."""
    descriptor, info = open_file(real, "read")
    try:
        wanted = READ_LIMIT if length is None or length < 0 else min(length, READ_LIMIT)
        inside = 0 <= offset < info.st_size
        return info.st_size, os.pread(descriptor, wanted, offset) if inside else b""
    finally:
        os.close(descriptor)


def read_json(real: str, offset_text: str | None, length_text: str | None) -> bytes:
    """The JSON answer of a read.  Bytes that are not UTF-8 go into it as they are, so it may not decode."""
    offset = _number("offset", offset_text)
    length = _number("length", length_text)
    size, data = read(real, offset, length)
    text = data.decode("latin-1").translate(_ESCAPES).encode("latin-1")
    return b'{"data":"' + text + b'","offset":' + str(size if offset == -1 else offset).encode() + b"}"
