"""A sandbox through the files API of its Mesos agent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.files_api import Downloads, FilesClient
from airavata_mesos_plugin.sandbox.source import Body, Entry, Transfers
from airavata_mesos_plugin.schedulers.base import SandboxAddress


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
    def transfers(self, abort: Abort, most: int) -> Iterator[Transfers]:
        with self._client.downloads(self._address, abort, most) as downloads:
            yield _Downloads(downloads)

    def resumes(self, size: int, offset: int) -> bool:  # noqa: ARG002 - whatever they are
        """Never: a download has no ranges (Mesos 1.11)."""
        return False

    def read(self, name: str, limit: int) -> bytes:
        return self._client.read(self._address, name, 0, limit)


class _Downloads:
    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads

    def each(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Body | AiravataMesosError]]:
        return self._downloads.each(entries)

    def rest(self, entry: Entry, offset: int) -> Body:
        raise AssertionError(f"{entry.name} cannot be resumed at {offset}")
