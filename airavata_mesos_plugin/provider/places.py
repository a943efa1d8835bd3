"""Where the files of a job are: in its sandbox, or in its working directory."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator

from airavata_mesos_plugin.errors import Refused, SandboxGone
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.outputs import OutputCollector
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.live.local_source import LocalSource
from airavata_mesos_plugin.sandbox.live.windows import AgentWindow, LocalWindow, SourceWindow, Window
from airavata_mesos_plugin.sandbox.origins import PUSH, SHARED
from airavata_mesos_plugin.sandbox.source import Origin, Source
from airavata_mesos_plugin.sandbox.sources import FILES_API

REMEMBERED = 4096
"""Sandboxes whose addresses are kept."""

ADDRESS_SECONDS = 60.0
"""How long an address is believed while its task is there."""

Run = tuple[int, int]
"""Attempt and run of a job."""


class Places:
    """Opens the places of jobs. Safe to use from several threads."""

    def __init__(self, parts: Parts, collector: OutputCollector) -> None:
        self._parts = parts
        self._collector = collector
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[int, Run], tuple[float, Origin]] = OrderedDict()

    def directory(self, record: JobRecord) -> LocalWindow:
        """The working directory. Raises Refused when its account is not there."""
        request = record.request
        return LocalWindow(self._parts.files_of(request.uid), request.working_directory)

    def origin(self, record: JobRecord) -> Origin:
        """From what files of the present run are read. Raises SandboxGone when it has no sandbox."""
        key = record.id, (record.attempt, record.run)
        now = self._parts.clock.monotonic()
        with self._lock:
            asked_at, known = self._known.get(key, (0.0, None))
        if known is not None and now - asked_at < ADDRESS_SECONDS:
            return known
        found = self._collector.origin(record)
        with self._lock:
            self._known[key] = now, found
            self._known.move_to_end(key)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found

    def forget(self, record: JobRecord) -> None:
        """Ask for the address anew the next time: it did not answer."""
        key = record.id, (record.attempt, record.run)
        with self._lock:
            if key in self._known:
                self._known[key] = float("-inf"), self._known[key][1]

    def earlier(self, record: JobRecord, run: Run) -> Origin:
        """The same of an earlier run, as far as it is remembered. Raises SandboxGone."""
        with self._lock:
            _, known = self._known.get((record.id, run), (0.0, None))
        if known is None:
            raise SandboxGone(
                f"nothing is known any more of the sandbox of an earlier run of job {record.id}"
            )
        return known

    def check(self, record: JobRecord) -> None:
        """Raises SandboxGone when the sandbox of the present run has been collected."""
        with self.sandbox(record, self.origin(record), layout.THERMOS_LOGS) as window:
            window.files("")

    def directory_source(self, record: JobRecord) -> Source:
        """The working directory, to be listed and taken from as a sandbox is."""
        request = record.request
        return LocalSource(self._parts.files_of(request.uid), request.working_directory)

    @contextlib.contextmanager
    def sandbox_source(self, record: JobRecord) -> Iterator[Source]:
        """The sandbox of the present run, to be listed and taken from. Raises SandboxGone and Refused."""
        origin = self.origin(record)
        if origin.method == SHARED:
            yield self.directory_source(record)
        elif origin.method == PUSH:
            raise _unseen(record)
        else:
            with self._parts.sources.open(origin) as source:
                yield source

    @contextlib.contextmanager
    def sandbox(self, record: JobRecord, origin: Origin, name: str) -> Iterator[Window]:
        """The place of ``name`` in a sandbox. Raises Refused where files cannot be seen from here."""
        ours = name.split("/", 1)[0] in (layout.CONTROL_DIRECTORY, layout.THERMOS_LOGS)
        if origin.method == SHARED and not ours:
            yield self.directory(record)
        elif origin.method in (FILES_API, SHARED):
            yield AgentWindow(self._parts.files, origin.address)
        elif origin.method == PUSH:
            raise _unseen(record)
        else:
            with self._parts.sources.open(origin) as source:
                yield SourceWindow(source)


def _unseen(record: JobRecord) -> Refused:
    return Refused(
        f"job {record.id} sends its files when it is over",
        advice="the outputs of its queue are pushed, since its nodes cannot be reached from here",
    )


def has_sandbox(record: JobRecord) -> bool:
    """Whether the present run has one that changes, or has just been left."""
    return record.phase in (JobPhase.RUNNING, JobPhase.FETCHING)
