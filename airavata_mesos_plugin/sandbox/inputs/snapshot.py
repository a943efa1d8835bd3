"""The working directory as it is at submission: what is sent to the sandbox, and what counts as new later."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from airavata_mesos_plugin.errors import AiravataMesosError, StagingError
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.paths import Root, escape

_VERSION = 1

SETTLED_SECONDS = 3
"""No input looks younger than this in a sandbox, counted from the snapshot."""


class Outside(NamedTuple):
    """Where the content of a link to a file outside lies; the identity keeps it from being exchanged."""

    path: str
    device: int
    inode: int


class SentFile(NamedTuple):
    """A regular file, or a link to one outside, which is sent as that file's content."""

    name: str
    size: int
    mtime_ns: int
    mode: int
    outside: Outside | None = None


class SentDirectory(NamedTuple):
    name: str
    mode: int


class SentLink(NamedTuple):
    """A link that stays inside; ``target`` is relative to the directory of the link."""

    name: str
    target: str


@dataclass(frozen=True)
class Snapshot:
    """Names are relative to the working directory; directories come before what is in them.

    ``taken_at`` is in seconds since the epoch, read before the first look. ``left_out`` holds names and
    why they are not sent.
    """

    taken_at: float
    files: tuple[SentFile, ...] = ()
    directories: tuple[SentDirectory, ...] = ()
    links: tuple[SentLink, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    def sent_mtime_ns(self, file: SentFile) -> int:
        """The time of change that a file gets in the sandbox: its own, or a little before the snapshot.

        Agents list whole seconds only. A file that changed just now could not be told from one that the
        job changes as its first act, and would have to travel back to be sure.
        """
        return min(file.mtime_ns, int((self.taken_at - SETTLED_SECONDS) * 10**9))

    def to_json(self) -> str:
        """Compact and ASCII only, whatever bytes the names have."""
        return json.dumps(
            {
                "version": _VERSION,
                "taken_at": self.taken_at,
                "files": [item[:4] if item.outside is None else item for item in self.files],
                "directories": self.directories,
                "links": self.links,
                "left_out": self.left_out,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """The reverse of `to_json`. Raises ValueError for a form of another version."""
        document = json.loads(text)
        if document.get("version") != _VERSION:
            raise ValueError(f"unknown form of a snapshot: version {document.get('version')!r}")
        return cls(
            taken_at=float(document["taken_at"]),
            files=tuple(
                SentFile(item[0], item[1], item[2], item[3], Outside(*item[4]) if len(item) > 4 else None)
                for item in document["files"]
            ),
            directories=tuple(SentDirectory(*item) for item in document["directories"]),
            links=tuple(SentLink(*item) for item in document["links"]),
            left_out=tuple((name, reason) for name, reason in document["left_out"]),
        )


def take(root: str | Path, taken_at: float, excluded: Collection[str] = frozenset()) -> Snapshot:
    """List the directory ``root``; ``taken_at`` is the present time in seconds since the epoch.

    ``excluded`` names, and everything below them, are as if they were not there. Content is not read.
    Raises StagingError when the directory cannot be listed.
    """
    try:
        real_root = os.path.realpath(root, strict=True)
        with Root(real_root) as confined:
            return _Walk(confined, real_root, taken_at, frozenset(excluded)).run()
    except OSError as error:
        raise StagingError(
            f"cannot list the working directory {escape(str(root))}: {error.strerror}",
            advice="check that it exists and may be read",
        ) from error


class _Walk:
    def __init__(self, root: Root, real_root: str, taken_at: float, excluded: frozenset[str]) -> None:
        self._root = root
        self._real_root = real_root
        self._taken_at = taken_at
        self._excluded = excluded
        self._files: list[SentFile] = []
        self._directories: list[SentDirectory] = []
        self._links: list[SentLink] = []
        self._left_out: list[tuple[str, str]] = []

    def run(self) -> Snapshot:
        waiting = [""]
        while waiting:
            name = waiting.pop()
            try:
                waiting += self._list(name)
            except (OSError, AiravataMesosError) as error:
                if not name:
                    raise
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self._left_out.append((name, f"the directory cannot be listed: {reason}"))
        return Snapshot(
            self._taken_at,
            tuple(self._files),
            tuple(self._directories),
            tuple(self._links),
            tuple(self._left_out),
        )

    def _list(self, directory: str) -> list[str]:
        """Take up what is in one directory; returns the directories in it."""
        below = []
        prefix = f"{directory}/" if directory else ""
        fd = self._root.open_directory(directory)
        try:
            with os.scandir(fd) as entries:
                for entry in sorted(entries, key=lambda item: item.name):
                    name = prefix + entry.name
                    if name in self._excluded:
                        continue
                    if layout.reserved(name):
                        self._left_out.append((name, "the name is reserved in a sandbox"))
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # removed while we looked: it is not there
                        continue
                    mode = status.st_mode
                    if stat.S_ISREG(mode):
                        self._files.append(SentFile(name, status.st_size, status.st_mtime_ns, mode & 0o777))
                    elif stat.S_ISDIR(mode):
                        self._directories.append(SentDirectory(name, mode & 0o777))
                        below.append(name)
                    elif stat.S_ISLNK(mode):
                        self._take_link(name)
                    else:
                        self._left_out.append((name, "not a regular file, directory or link"))
        finally:
            os.close(fd)
        return below

    def _take_link(self, name: str) -> None:
        path = Path(self._real_root, name)
        try:
            real = os.path.realpath(path, strict=True)
            status = Path(real).stat(follow_symlinks=False)
            # Not Path.readlink: it would tidy up the target.
            target = os.readlink(path)  # noqa: PTH115
        except OSError:
            self._left_out.append((name, "the link leads nowhere"))
            return
        if real == self._real_root or real.startswith(self._real_root.rstrip("/") + "/"):
            self._links.append(SentLink(name, self._inner_target(name, target, real)))
        elif stat.S_ISREG(status.st_mode):
            outside = Outside(real, status.st_dev, status.st_ino)
            self._files.append(
                SentFile(name, status.st_size, status.st_mtime_ns, status.st_mode & 0o777, outside)
            )
        elif stat.S_ISDIR(status.st_mode):
            self._left_out.append((name, "the link leads to a directory outside the working directory"))
        else:
            self._left_out.append((name, "the link does not lead to a regular file"))

    def _inner_target(self, name: str, target: str, real: str) -> str:
        """The target as it must read in a sandbox: as it is, unless it goes over places outside."""
        depth = name.count("/")
        if not target.startswith("/"):
            for part in target.split("/"):
                depth += -1 if part == ".." else part not in ("", ".")
                if depth < 0:
                    break
            else:
                return target
        return os.path.relpath(real, Path(self._real_root, name).parent)
