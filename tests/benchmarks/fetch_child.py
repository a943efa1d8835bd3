"""One fetch in a process of its own, so that its CPU time and memory are those of the fetch.

Prints one line of JSON; seconds, MiB and bytes.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import FetchSettings
from airavata_mesos_plugin.errors import AiravataMesosError, TransferError
from airavata_mesos_plugin.sandbox.abort import Abort
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.sandbox.agent.source import AgentSource
from airavata_mesos_plugin.sandbox.inputs.snapshot import Snapshot, take
from airavata_mesos_plugin.sandbox.outputs.fetch import Fetcher
from airavata_mesos_plugin.sandbox.source import Body, Entry, Origin, Source, Transfers
from airavata_mesos_plugin.sandbox.sources import FILES_API
from airavata_mesos_plugin.schedulers.base import SandboxAddress


def _peak_mib() -> float:
    """Most memory of this process so far; getrusage would count the parent's, from before the exec, too."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("/proc/self/status has no VmHWM")
    return int(found[1]) / 1024


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class _Breaking:
    """The agent's files, of which so many bytes come and no more."""

    def __init__(self, source: Source, size: int) -> None:
        self._source = source
        self._left = size
        self.shows_links = source.shows_links
        self.entries, self.resumes, self.read = source.entries, source.resumes, source.read

    @contextmanager
    def transfers(self, abort: Abort, most: int, *, long: bool = False) -> Iterator[Transfers]:
        with self._source.transfers(abort, most, long=long) as self._transfers:
            yield self

    def each(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Body | AiravataMesosError]]:
        for entry, body in self._transfers.each(entries):
            yield entry, body if isinstance(body, AiravataMesosError) else _BreakingBody(body, self)

    def rest(self, entry: Entry, offset: int) -> Body:
        return self._transfers.rest(entry, offset)

    def take(self, size: int) -> int:
        taken = min(size, self._left)
        self._left -= taken
        return taken


class _BreakingBody:
    def __init__(self, body: Body, source: _Breaking) -> None:
        self._body = body
        self._source = source
        self.length = body.length

    def chunks(self) -> Iterator[memoryview]:
        for chunk in self._body.chunks():
            taken = self._source.take(len(chunk))
            yield chunk[:taken]
            if taken < len(chunk):
                raise TransferError("enough")


def _break_off(address: SandboxAddress, directory: str, size: int, snapshot: Snapshot) -> None:
    client = FilesClient(FetchSettings())

    @contextmanager
    def opener(origin: Origin) -> Iterator[Source]:
        yield _Breaking(AgentSource(client, origin.address), size)

    fetcher = Fetcher(FetchSettings(), SystemClock(), client, {FILES_API: opener})
    with suppress(TransferError):
        fetcher.fetch(address, Path(directory), snapshot, job_id=1)
    client.close()


def main(agent_url: str, path: str, directory: str, size: str = "") -> None:
    """Fetch a whole sandbox into an empty directory; with ``size`` after another try that ended there."""
    clock = SystemClock()
    address = SandboxAddress(agent_url, path)
    snapshot = take(directory, clock.now())
    if size:
        _break_off(address, directory, int(size), snapshot)
    fetcher = Fetcher(FetchSettings(), clock)
    before = _peak_mib()
    cpu, begin = _cpu_seconds(), time.perf_counter()
    report = fetcher.fetch(address, Path(directory), snapshot, job_id=1)
    seconds, cpu = time.perf_counter() - begin, _cpu_seconds() - cpu
    fetcher.close()
    figures = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "files": report.files,
        "bytes": report.bytes,
        "peak_mib": _peak_mib(),
        "peak_mib_before": before,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
