"""A sandbox through the files API of its Mesos agent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from airavata_mesos_plugin.errors import AiravataMesosError, TransferError
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.agent.files_api import Downloads, FilesClient
from airavata_mesos_plugin.sandbox.paths import escape
from airavata_mesos_plugin.sandbox.source import Body, Entry, Transfers
from airavata_mesos_plugin.schedulers.base import SandboxAddress

READ_FACTOR = 40
"""How many times longer a byte takes by read than by download: a real Mesos 1.11 gives 26 MB/s by reads of
64 KiB, and works 2.5 ms for each, where a download fills a network of 1 to 10 Gbit/s."""


class AgentSource:
    """`Source` of the files API. Agents follow links and do not tell (Mesos 1.11)."""

    shows_links = False

    def __init__(self, client: FilesClient, address: SandboxAddress) -> None:
        """``client`` stays the caller's to close."""
        self._client = client
        self._address = address

    def entries(self, directory: str, abort: Abort | None = None) -> list[Entry]:
        return self._client.browse(self._address, directory, abort)

    @contextlib.contextmanager
    def transfers(self, abort: Abort, most: int, *, long: bool = False) -> Iterator[Transfers]:
        with self._client.downloads(self._address, abort, most, long=long) as downloads:
            yield _Downloads(downloads)

    def resumes(self, size: int, offset: int) -> bool:
        """Only for a small rest: a download has no ranges (Mesos 1.11), so it has to come in small pieces."""
        return (size - offset) * READ_FACTOR <= size

    def read(self, name: str, limit: int) -> bytes:
        return self._client.read(self._address, name, 0, limit)


class _Downloads:
    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads

    def each(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Body | AiravataMesosError]]:
        return self._downloads.each(entries)

    def rest(self, entry: Entry, offset: int) -> Body:
        return _Pieces(self._downloads, entry, offset)


class _Pieces:
    """The rest of a file, one read after the other."""

    def __init__(self, downloads: Downloads, entry: Entry, offset: int) -> None:
        self._downloads = downloads
        self._entry = entry
        self._offset = offset
        self.length = entry.size - offset

    def chunks(self) -> Iterator[memoryview]:
        offset, size = self._offset, self._entry.size
        while offset < size:
            piece = self._downloads.read(self._entry.name, offset)
            if not piece:
                raise TransferError(f"{escape(self._entry.name)} became shorter while it was fetched")
            piece = piece[: size - offset]
            offset += len(piece)
            yield memoryview(piece)
