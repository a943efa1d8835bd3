"""Outputs that come while their job runs: named files, each whole as it is now, again and again.

Airavata looks for intermediate outputs in the working directory of a running job, as it does for the
others when the job is over. So the files that a queue's settings or a job's script name are brought there.
When the job is over all its outputs come once more.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.files import SANDBOX, JobFiles
from airavata_mesos_plugin.provider.output_rules import live_patterns
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.provider.places import Places
from airavata_mesos_plugin.sandbox.origins import PUSH, SHARED
from airavata_mesos_plugin.sandbox.outputs.rules import OutputRules
from airavata_mesos_plugin.store import JobSelection

log = logging.getLogger(__name__)

OWNER = 10**13
"""Added to a job's id in the names of part files, which so are none of the fetch at its end."""

RUNNING = JobSelection(phases=frozenset({JobPhase.RUNNING}))

Looks = frozenset[tuple[str, int, int]]
"""Names, sizes and times of files."""


@dataclass
class _Job:
    """What is remembered of a running job."""

    run: tuple[int, int]
    patterns: tuple[str, ...]
    seconds: float  # between two looks
    due_at: float
    given_out: bool = False
    brought: Looks = frozenset()
    trouble: str = ""
    cancel: threading.Event = field(default_factory=threading.Event)
    idle: threading.Event = field(default_factory=threading.Event)  # set: nobody brings its files now


class LiveOutputs:
    """Brings them. Safe to use from several threads. Times are injected through the parts' clock."""

    def __init__(self, parts: Parts, places: Places, files: JobFiles) -> None:
        self._parts = parts
        self._places = places
        self._files = files
        self._lock = threading.Lock()
        self._jobs: dict[int, _Job] = {}

    def take_due(self) -> list[int]:
        """Jobs whose files should be brought now; each is given out once, to a caller who calls `bring`."""
        records = {record.id: record for record in self._parts.ledger.jobs(RUNNING)}
        now = self._parts.clock.monotonic()
        due = []
        with self._lock:
            for job_id in self._jobs.keys() - records.keys():
                if not self._jobs[job_id].given_out:
                    del self._jobs[job_id]
            for record in records.values():
                job = self._jobs.get(record.id)
                if job is None or job.run != (record.attempt, record.run):
                    if job is not None and job.given_out:
                        continue
                    job = self._jobs[record.id] = self._begin(record, now)
                if job.patterns and now >= job.due_at and not job.given_out and not job.cancel.is_set():
                    job.given_out = True
                    due.append(record.id)
        return due

    def bring(self, job_id: int) -> None:
        """Bring the files of one job, if any of them has changed. What goes wrong is tried again."""
        with self._lock:
            job = self._jobs[job_id]
            if job.cancel.is_set():
                job.given_out = False
                return
            job.idle.clear()
        try:
            record = self._parts.ledger.job(job_id)
            if record.phase is JobPhase.RUNNING:
                self._bring(record, job)
            job.trouble = ""
        except AiravataMesosError as error:
            if not job.cancel.is_set() and str(error) != job.trouble:
                job.trouble = str(error)
                log.warning("job %d: its live outputs have to wait: %s", job_id, error)
        finally:
            job.due_at = self._parts.clock.monotonic() + job.seconds
            job.given_out = False
            job.idle.set()

    def leave(self, job_id: int) -> None:
        """The job is over: nothing is brought any more when this returns, so that no earlier state of a file
        takes the place of the last one. Repeatable.
        """
        with self._lock:
            job = self._jobs.get(job_id)
            if job is not None:
                job.cancel.set()
        if job is not None:
            job.idle.wait()

    def under_way(self) -> list[int]:
        """Jobs that were given out."""
        with self._lock:
            return [job_id for job_id, job in self._jobs.items() if job.given_out]

    def _begin(self, record: JobRecord, now: float) -> _Job:
        queue = self._parts.settings.queue(record.request.queue)
        patterns: tuple[str, ...] = ()
        try:
            if queue.outputs.method not in (SHARED, PUSH):  # nothing to bring, or nowhere to get it from
                patterns = live_patterns(self._parts.ledger.script(record.id), queue)
        except AiravataMesosError as error:  # it was accepted under other settings
            log.warning("job %d has no live outputs: %s", record.id, error)
        seconds = queue.outputs.live_interval_seconds
        job = _Job((record.attempt, record.run), patterns, seconds, now + seconds)
        job.idle.set()
        return job

    def _bring(self, record: JobRecord, job: _Job) -> None:
        chosen = self._files.choose(record, job.patterns, new_only=True)
        looks = frozenset((entry.name, entry.size, entry.mtime) for entry in chosen.files)
        if chosen.place != SANDBOX or looks == job.brought or not chosen.files:
            return
        request = record.request
        self._parts.files_of(request.uid).fetch(
            self._places.origin(record),
            request.working_directory,
            self._parts.ledger.snapshot(record.id),
            job_id=OWNER + record.id,
            rules=OutputRules(include=(job.patterns,)),
            cancel=job.cancel,
        )
        job.brought = looks
