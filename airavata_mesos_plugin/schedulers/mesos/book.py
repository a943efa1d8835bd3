"""All jobs of a framework, and where each of them is looked for. Not safe to use from several threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.base import SchedulerStore
from airavata_mesos_plugin.schedulers.mesos.matching import Wanted
from airavata_mesos_plugin.schedulers.mesos.records import Records
from airavata_mesos_plugin.schedulers.mesos.taskinfo import wanted_of
from airavata_mesos_plugin.schedulers.mesos.tracking import Member, TrackedJob


class JobBook:
    """The jobs, read from the store once and written to it by `flush`."""

    def __init__(self, store: SchedulerStore) -> None:
        """Raises LedgerError."""
        self._records = Records(store)
        self.framework_id, jobs = self._records.load()
        self._illegible = tuple(f"{key.replace('/', '.')}." for key in self._records.illegible)
        self.jobs: dict[JobKey, TrackedJob] = {}
        self.launched: dict[JobKey, TrackedJob] = {}
        """Those with tasks that may be running."""
        self.moved = False
        """Whether the jobs that wait are others than when this was set to False."""
        self.grown = False
        """Whether one began to wait since this was set to False."""
        self._wanted: dict[JobKey, Wanted] = {}
        self._tasks: dict[str, JobKey] = {}
        self._order: list[JobKey] | None = None
        self._told: set[JobKey] = set()
        for job in jobs:
            self.jobs[job.key] = job
            self._index(job)

    def set_framework(self, framework_id: str | None) -> None:
        """Durable on return. Raises LedgerError."""
        self._records.set_framework(framework_id)
        self.framework_id = framework_id

    def add(self, jobs: Sequence[TrackedJob]) -> None:
        """New jobs; durable on return. Raises LedgerError, and has taken none."""
        self._records.add(jobs)
        for job in jobs:
            self.jobs[job.key] = job
            self._told.discard(job.key)
            self._index(job)

    def changed(self, job: TrackedJob) -> None:
        """A job has changed; it is written by the next `flush`."""
        self._records.mark(job)
        self._index(job)

    def flush(self) -> None:
        """Write what has changed; durable on return. Raises LedgerError, and keeps it to be written."""
        self._records.flush()

    @property
    def any_waiting(self) -> bool:
        return bool(self._wanted)

    @property
    def waiting(self) -> Iterable[JobKey]:
        return self._wanted

    def wanted(self, key: JobKey) -> Wanted | None:
        """A job that waits, as `matching` sees it; None for others."""
        return self._wanted.get(key)

    def in_order(self, now: float) -> list[Wanted]:
        """The jobs that wait and may be launched, in the order of their right: priority, then age."""
        if self._order is None:
            jobs = [self.jobs[key] for key in self._wanted]
            jobs.sort(key=lambda job: (-job.form.priority, job.accepted_at, str(job.key)))
            self._order = [job.key for job in jobs]
        return [self._wanted[key] for key in self._order if self.jobs[key].not_before <= now]

    def of_task(self, task_id: str) -> tuple[TrackedJob, Member] | None:
        """The job of a task of its present launch, and the task; None for others."""
        key = self._tasks.get(task_id)
        job = self.jobs.get(key) if key is not None else None
        member = next((one for one in job.members if one.task_id == task_id), None) if job else None
        return (job, member) if job is not None and member is not None else None

    def illegible(self, task_id: str) -> bool:
        """Whether a task is of a job that is kept but could not be read: it is not ours to judge."""
        return task_id.startswith(self._illegible) if self._illegible else False

    def told(self, job: TrackedJob) -> None:
        """Somebody knows of the job's end: it may be forgotten in time."""
        self._told.add(job.key)

    def forget(self, before: float) -> None:
        """Drop jobs that ended before, in seconds since the epoch, and whose end somebody knows."""
        for key in [key for key in self._told if self.jobs[key].changed_at < before]:
            job = self.jobs.pop(key)
            self._told.discard(key)
            self._records.remove(key)
            for member in job.members:
                self._tasks.pop(member.task_id, None)

    def _index(self, job: TrackedJob) -> None:
        if job.waiting:
            self._wanted[job.key] = wanted_of(job)
            self._order = None
            self.moved = self.grown = True
        elif self._wanted.pop(job.key, None) is not None:
            self._order = None
            self.moved = True
        if job.members and job.ended is None:
            self.launched[job.key] = job
        else:
            self.launched.pop(job.key, None)
        for member in job.members:
            self._tasks[member.task_id] = job.key
