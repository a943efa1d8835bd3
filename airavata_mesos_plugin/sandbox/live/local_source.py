"""A working directory of this host as a source, with the rights of the account that it belongs to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airavata_mesos_plugin.errors import AiravataMesosError, TransferError
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.live.windows import told
from airavata_mesos_plugin.sandbox.paths import escape
from airavata_mesos_plugin.sandbox.source import Body, Entry, Transfers
from airavata_mesos_plugin.sandbox.user_files import UserFiles

PIECE = 1024 * 1024


class LocalSource:
    """`Source` of a directory."""

    shows_links = True

    def __init__(self, files: UserFiles, directory: str) -> None:
        self._files = files
        self._directory = directory

    def entries(self, directory: str, abort: Abort | None = None) -> list[Entry]:
        if abort is not None:
            abort.check()
        with told(directory):
            return self._files.list_local(self._directory, directory)

    @contextlib.contextmanager
    def transfers(self, abort: Abort, most: int, *, long: bool = False) -> Iterator[Transfers]:  # noqa: ARG002
        yield _Reading(self._files, self._directory, abort)

    def resumes(self, size: int, offset: int) -> bool:  # noqa: ARG002 - whatever they are
        """Always."""
        return True

    def read(self, name: str, limit: int) -> bytes:
        with told(name):
            return self._files.read_local(self._directory, name, 0, limit).data


@dataclass(frozen=True)
class _Reading:
    files: UserFiles
    directory: str
    abort: Abort

    def each(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Body | AiravataMesosError]]:
        for entry in entries:
            yield entry, self.rest(entry, 0)

    def rest(self, entry: Entry, offset: int) -> Body:
        return _Rest(self, entry.name, offset, max(0, entry.size - offset))


@dataclass(frozen=True)
class _Rest:
    reading: _Reading
    name: str
    offset: int
    length: int

    def chunks(self) -> Iterator[memoryview]:
        done = 0
        while done < self.length:
            self.reading.abort.check()
            limit = min(PIECE, self.length - done)
            with told(self.name):
                piece = self.reading.files.read_local(
                    self.reading.directory, self.name, self.offset + done, limit
                )
            if not piece.data:
                raise TransferError(f"{escape(self.name)} became shorter while it was read")
            done += len(piece.data)
            yield memoryview(piece.data)
