"""What lies in a directory of this host, in the form in which sandboxes are listed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence

from airavata_mesos_plugin.sandbox.paths import Root
from airavata_mesos_plugin.sandbox.source import Entry


def entries(root: str, name: str) -> list[Entry]:
    """The entries of the directory ``name`` below ``root``, in the order of their names; the empty name is
    the root itself. What vanishes meanwhile is left out.

    Raises OSError, and UnsafePath when a link is on the way.
    """
    found = []
    with Root(root) as confined:
        directory = confined.open_directory(name)
        try:
            for base in os.listdir(directory):  # noqa: PTH208 - a descriptor
                try:
                    found.append(_entry(directory, base))
                except FileNotFoundError:
                    continue
        finally:
            os.close(directory)
    return sorted(found, key=lambda entry: os.fsencode(entry.name))


def to_json(found: Sequence[Entry]) -> bytes:
    """ASCII, whatever bytes the names have."""
    rows = [(e.name, e.kind, e.size, e.mtime, e.mode, e.nlink, e.target) for e in found]
    return json.dumps(rows, separators=(",", ":")).encode("ascii")


def from_json(text: bytes) -> list[Entry]:
    """The reverse. Raises ValueError or TypeError for what `to_json` does not make."""
    found = []
    for name, kind, size, mtime, mode, nlink, target in json.loads(text):
        shown = None if target is None else str(target)
        found.append(Entry(str(name), str(kind), int(size), int(mtime), int(mode), int(nlink), shown))
    return found


def _entry(directory: int, base: str) -> Entry:
    status = os.lstat(base, dir_fd=directory)
    kind = stat.filemode(status.st_mode)[0]
    return Entry(
        name=base,
        kind=kind,
        size=status.st_size,
        mtime=int(status.st_mtime),
        mode=status.st_mode & 0o777,
        nlink=status.st_nlink,
        target=os.readlink(base, dir_fd=directory) if kind == "l" else None,
    )
