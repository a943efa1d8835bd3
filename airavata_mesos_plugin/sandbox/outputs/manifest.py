"""What a fetch has brought so far, written down so that another try goes on where it was.

The manifest lies in the working directory while the fetch goes on, and is removed with its end: there it
has the rights and the life of the files that it tells of. It is a text file with one JSON value in each
line; what was not written to its end is not believed.

Files are not synchronised to disk one by one, so nothing of it is believed after a restart of the host.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import threading
from itertools import islice
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import NamedTuple

from airavata_mesos_plugin.errors import AlreadyExists, TransferError, UnsafePath
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.paths import Root, create_at, remove_at
from airavata_mesos_plugin.sandbox.source import Entry, Origin

_VERSION = 1
_LIMIT = 512 * 1024 * 1024  # bytes that are read back; about four million files
_MOST_LINES = 4_000_000
_ARRIVED = re.compile(rb'\["file",".*",([0-9]{1,18}),-?[0-9]+,[0-9]+,"[0-9a-f]*"\]\n')
_UNWRITTEN = 256  # lines that a crash may lose
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Noted(NamedTuple):
    """A file of the working directory, or its part file, and what it was copied from."""

    size: int  # in the sandbox
    mtime: int  # in the sandbox, in seconds
    inode: int  # of the local file
    sha256: str = ""

    def of(self, entry: Entry) -> bool:
        """Whether it was copied from this very content, as far as a listing tells."""
        return (self.size, self.mtime, self.sha256) == (entry.size, entry.mtime, entry.sha256)


class Manifest:
    """The manifest of one fetch, which no other one of the same job can have at the same time.

    `note_arrived` and `note_part` may be called from several threads. OSErrors of the working directory
    pass through.
    """

    def __init__(self, root: Root, job_id: int, origin: Origin) -> None:
        """Take up that of an earlier try from the same sandbox; any other one is thrown away.

        Raises TransferError while another fetch of the job goes on.
        """
        self.arrived: dict[str, Noted] = {}
        self.parts: dict[str, Noted] = {}
        self.earlier = False  # there was one, so there may be part files
        self._root = root
        self._name = layout.manifest_name(job_id)
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._empty = True
        head = _line({"version": _VERSION, "origin": _identity(origin), "boot": _boot()})
        good = self._take_up(head)
        with root.parent(self._name) as (fd, base):
            if good:
                self._empty = False
                self._fd = os.open(base, _APPEND, dir_fd=fd)
                os.truncate(self._fd, good)
            else:
                remove_at(fd, base)
                self._fd = create_at(fd, base)
                _write(self._fd, head)
        _hold(self._fd)

    def note_arrived(self, entry: Entry, inode: int) -> None:
        """The file is there, whole, under its name."""
        self._note("file", entry, inode, at_once=False)

    def note_part(self, entry: Entry, inode: int) -> None:
        """A part file is being written that another try may go on with."""
        self._note("part", entry, inode, at_once=True)

    def _note(self, kind: str, entry: Entry, inode: int, *, at_once: bool) -> None:
        # Put together here: this is done for each of very many small files.
        name = encode_basestring_ascii(entry.name)
        line = f'["{kind}",{name},{entry.size},{entry.mtime},{inode},"{entry.sha256}"]\n'
        with self._lock:
            self._empty = False
            self._lines.append(line)
            if at_once or len(self._lines) >= _UNWRITTEN:
                self._flush()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        _write(self._fd, "".join(lines))

    def close(self) -> None:
        """Write what is to be kept for another try; with nothing to keep, the file is removed."""
        with self._lock:
            try:
                self._flush()
            finally:
                os.close(self._fd)
        if self._empty:
            self.remove()

    def remove(self) -> None:
        """There is nothing to go on with any more."""
        self._root.remove(self._name)

    def _take_up(self, head: str) -> int:
        """Read what is there; returns how many bytes of it are good: none when it is not from ``head``."""
        try:
            opened = self._root.open_file(self._name)
        except FileNotFoundError:
            return 0
        except UnsafePath:  # not ours; it is replaced
            self.earlier = True
            return 0
        self.earlier = True
        with os.fdopen(opened, "rb") as file:
            _hold(opened)
            lines = iter(file.readline, b"")
            if next(lines, b"") != head.encode("ascii"):
                return 0
            good = len(head)
            for line in lines:
                good += len(line)
                if good > _LIMIT or not line.endswith(b"\n") or not self._believe(line):
                    return good - len(line)
        return good

    def _believe(self, line: bytes) -> bool:
        try:
            kind, name, size, mtime, inode, sha256 = json.loads(line)
            noted = Noted(int(size), int(mtime), int(inode), str(sha256))
            {"file": self.arrived, "part": self.parts}[kind][str(name)] = noted
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return False
        return True


def read_counts(root: Root, job_id: int) -> tuple[int, int]:
    """Files and bytes that have arrived as the manifest of a job tells; none when there is no manifest."""
    files = size = 0
    with contextlib.suppress(OSError, UnsafePath, AlreadyExists):
        opened = root.open_file(layout.manifest_name(job_id))
        with os.fdopen(opened, "rb") as file:
            for line in islice(file, _MOST_LINES):
                match = _ARRIVED.fullmatch(line)
                if match:
                    files += 1
                    size += int(match[1])
    return files, size


def _hold(fd: int) -> None:
    """Keep others away as long as the descriptor is open, on file systems that can do that."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TransferError("another fetch of the same job goes on") from error
    except OSError:
        return


def _identity(origin: Origin) -> list[object]:
    """Which sandbox it is; by what way its files come does not matter where it has an address."""
    address = origin.address
    return [address.agent_url, address.path] if address.path else [origin.method, *origin.details]


def _boot() -> str:
    """A name for the time since this host was started."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def _write(fd: int, text: str) -> None:
    data = memoryview(text.encode("ascii"))
    while data:
        data = data[os.write(fd, data) :]
