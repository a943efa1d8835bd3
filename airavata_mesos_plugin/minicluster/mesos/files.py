"""Virtual paths and what may be read below them (files endpoints of Mesos 1.6 to 1.11)."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import Any

_DIGITS = re.compile(r"-?[0-9]+")
READ_LIMIT = 16 * 4096
"""Bytes per read: sixteen memory pages."""


class FilesError(Exception):
    """HTTP status and text of a refused request; an unknown path has no text."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text


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
        trimmed = virtual.rstrip("/") or "/"
        prefix = trimmed
        while prefix not in self._real:
            prefix, separator, _ = prefix.rpartition("/")
            if not separator:
                raise FilesError(404)
        root = self._real[prefix]
        try:
            real = os.path.realpath(f"{root}{trimmed[len(prefix) :]}", strict=True)
        except (OSError, ValueError):
            raise FilesError(404) from None
        if real != root and not real.startswith(f"{root}/"):
            raise FilesError(400, f"Resolved path '{real}' is inaccessible.\n")
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


def browse(real: str, virtual: str) -> list[dict[str, Any]]:
    """Entries of a directory, sorted by path; none for a regular file. Links are followed, dangling ones
    left out."""
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
                info = entry.stat()
            except OSError:
                continue
            found.append(
                {
                    "path": f"{prefix}/{entry.name}",
                    "size": info.st_size,
                    "nlink": info.st_nlink,
                    "mtime": int(info.st_mtime),
                    "mode": stat.filemode(info.st_mode),
                    "uid": _user(info.st_uid),
                    "gid": _group(info.st_gid),
                }
            )
    found.sort(key=lambda item: str(item["path"]))
    return found


def open_regular(real: str, verb: str) -> tuple[int, os.stat_result]:
    """A file descriptor to read from, and its state.  Raises FilesError: 400 for what is no regular file."""
    try:
        # Without NONBLOCK a named pipe would hold up the whole server.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise FilesError(404) from None
    except OSError as error:
        if os.path.exists(real) and not os.path.isfile(real):  # noqa: PTH110, PTH113 - text paths throughout
            raise FilesError(400, f"Cannot {verb} '{real}': not a regular file.\n") from None
        raise FilesError(500, f"Failed to open file at '{real}': {error.strerror}\n") from None
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        kind = "a directory" if stat.S_ISDIR(info.st_mode) else "not a regular file"
        raise FilesError(400, f"Cannot {verb} '{real}': {kind}.\n")
    return descriptor, info


def _number(name: str, text: str | None) -> int:
    if text is None:
        return -1
    try:
        number = int(text) if _DIGITS.fullmatch(text) else None
    except ValueError:  # more digits than Python converts
        number = None
    if number is None:
        raise FilesError(400, f"Failed to parse {name}: '{text}' is not a number.\n")
    if number < -1:
        raise FilesError(400, f"Negative {name} provided: {number}.\n")
    return number


def read_json(real: str, offset_text: str | None, length_text: str | None) -> bytes:
    """The JSON answer of a read.  Bytes that are not UTF-8 go into it as they are, so it may not decode."""
    offset = _number("offset", offset_text)
    length = _number("length", length_text)
    descriptor, info = open_regular(real, "read")
    try:
        if offset == -1:
            return _chunk(b"", info.st_size)
        wanted = READ_LIMIT if length == -1 else min(length, READ_LIMIT)
        # An offset beyond what the system knows is beyond the end of the file as well.
        data = b"" if offset >= info.st_size else os.pread(descriptor, wanted, offset)
        return _chunk(data, offset)
    finally:
        os.close(descriptor)


def _chunk(data: bytes, offset: int) -> bytes:
    text = json.dumps(data.decode("latin-1"), ensure_ascii=False)
    return b'{"data":' + text.encode("latin-1") + b',"offset":' + str(offset).encode() + b"}"
