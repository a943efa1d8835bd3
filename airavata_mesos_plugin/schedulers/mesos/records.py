"""How the framework lies in its store: its id, and two texts for each job.

``framework``           the framework's id
``form/<job key>``      what was submitted, written once
``state/<job key>``     everything else, written at every change
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.base import SchedulerStore
from airavata_mesos_plugin.schedulers.mesos.jobform import parse
from airavata_mesos_plugin.schedulers.mesos.tracking import TrackedJob

log = logging.getLogger(__name__)

_FRAMEWORK = "framework"
_FORM, _STATE = "form/", "state/"


class Records:
    """Reads once, and writes what was marked in one go. Not safe to use from several threads."""

    def __init__(self, store: SchedulerStore) -> None:
        self._store = store
        self._changes: dict[str, str | None] = {}
        self._marked: dict[JobKey, TrackedJob] = {}
        self.illegible: list[str] = []
        """Keys of jobs that are kept and could not be read, perhaps since a later release wrote them."""

    def load(self) -> tuple[str | None, list[TrackedJob]]:
        """The framework's id, None if there is none yet, and all jobs. Raises LedgerError."""
        kept = self._store.load()
        jobs = []
        for name, text in kept.items():
            if not name.startswith(_FORM):
                continue
            try:
                form = parse(json.loads(text))
                jobs.append(TrackedJob.restored(form, kept[_STATE + name.removeprefix(_FORM)]))
            except (InvalidRequest, ValueError, KeyError) as error:
                log.error("what was kept of the job %s cannot be read: %s", name, error)
                self.illegible.append(name.removeprefix(_FORM))
        jobs.sort(key=lambda job: job.accepted_at)
        return kept.get(_FRAMEWORK) or None, jobs

    def set_framework(self, framework_id: str | None) -> None:
        """Durable on return."""
        self._changes[_FRAMEWORK] = framework_id
        self.flush()

    def add(self, jobs: Sequence[TrackedJob]) -> None:
        """New jobs; durable on return: all of them or, when it raises, none."""
        texts: dict[str, str | None] = {}
        for job in jobs:
            document = job.form.model_dump(mode="json", exclude_defaults=True)
            texts[f"{_FORM}{job.key}"] = json.dumps(document)
            texts[f"{_STATE}{job.key}"] = job.state()
        self._store.keep(texts)

    def change(self, jobs: Sequence[TrackedJob]) -> None:
        """Changed jobs; durable on return."""
        for job in jobs:
            self.mark(job)
        self.flush()

    def mark(self, job: TrackedJob) -> None:
        """A job has changed; it is written by the next `flush`."""
        self._marked[job.key] = job

    def remove(self, key: JobKey) -> None:
        """A job is forgotten with the next `flush`."""
        self._marked.pop(key, None)
        self._changes.update({f"{_FORM}{key}": None, f"{_STATE}{key}": None})

    def flush(self) -> None:
        """Write what has changed; durable on return. Raises LedgerError, and keeps it to be written."""
        changes = dict(self._changes)
        changes.update({f"{_STATE}{key}": job.state() for key, job in self._marked.items()})
        if changes:
            self._store.keep(changes)
            self._changes.clear()
            self._marked.clear()
