"""A source of files that shows a local directory with its links, and can break off where a test wants."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from airavata_mesos_plugin.errors import AiravataMesosError, NotFound, SandboxGone, TransferError
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.source import Body, Entry, Origin, Source, Transfers
from airavata_mesos_plugin.schedulers.base import SandboxAddress

TREE = Origin("tree", SandboxAddress("http://nowhere", "/tree"))
PIECE = 64 * 1024


class TreeSource:
    """`Source` of a directory, and the opener of itself. ``breaks`` maps a name to how many bytes come."""

    shows_links = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.breaks: dict[str, int] = {}
        self.resumable = True
        self.digests: dict[str, str] = {}
        self.extra: list[Entry] = []  # entries of the sandbox itself that are not there
        self.asked: Counter[tuple[str, int]] = Counter()  # names and offsets

    @contextlib.contextmanager
    def open(self, _origin: Origin) -> Iterator[Source]:
        yield self

    def entries(self, directory: str, _abort: Abort | None = None) -> list[Entry]:
        try:
            found = sorted((self.root / directory).iterdir())
        except FileNotFoundError:
            raise SandboxGone("the tree is gone") from None
        listed = [self._entry(path) for path in found]
        return listed + self.extra if not directory else listed

    def _entry(self, path: Path) -> Entry:
        found = path.lstat()
        kind = stat.filemode(found.st_mode)[0]
        return Entry(
            name=path.name,
            kind=kind,
            size=found.st_size,
            mtime=int(found.st_mtime),
            mode=found.st_mode & 0o777,
            nlink=found.st_nlink,
            target=os.readlink(path) if kind == "l" else None,  # noqa: PTH115 - as it is
            sha256=self.digests.get(str(path.relative_to(self.root)), ""),
        )

    @contextlib.contextmanager
    def transfers(self, abort: Abort, _most: int, *, long: bool = False) -> Iterator[Transfers]:  # noqa: ARG002
        abort.check()
        yield self

    def each(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Body | AiravataMesosError]]:
        for entry in entries:
            yield entry, self.rest(entry, 0)

    def rest(self, entry: Entry, offset: int) -> Body:
        self.asked[entry.name, offset] += 1
        return _File(self.root / entry.name, offset, self.breaks.get(entry.name))

    def resumes(self, _size: int, _offset: int) -> bool:
        return self.resumable

    def read(self, name: str, limit: int) -> bytes:
        try:
            return (self.root / name).read_bytes()[:limit]
        except FileNotFoundError as error:
            raise NotFound(f"{name} is not there") from error


class _File:
    def __init__(self, path: Path, offset: int, breaks: int | None) -> None:
        self._path = path
        self._offset = offset
        self._breaks = breaks
        self.length = path.stat().st_size - offset

    def chunks(self) -> Iterator[memoryview]:
        position = self._offset
        with self._path.open("rb") as file:
            file.seek(position)
            while piece := file.read(PIECE):
                if self._breaks is not None and position + len(piece) > self._breaks:
                    yield memoryview(piece)[: self._breaks - position]
                    raise TransferError("the connection broke")
                position += len(piece)
                yield memoryview(piece)


def sha256(path: Path) -> str:
    """The digest of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
