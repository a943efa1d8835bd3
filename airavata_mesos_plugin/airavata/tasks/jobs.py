"""The jobs of a process: found by their labels, and told in states that Airavata accepts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airavata_mesos_plugin.airavata.tasks.context import ProcessContext
from airavata_mesos_plugin.airavata.tasks.model import JobState, JobStatus
from airavata_mesos_plugin.jobs import JobEvent, JobRecord
from airavata_mesos_plugin.states import AIRAVATA_STATES
from airavata_mesos_plugin.store import JobSelection

PROCESS_LABEL = "airavata.process"
TASK_LABEL = "airavata.task"
EXPERIMENT_LABEL = "airavata.experiment"
GATEWAY_LABEL = "airavata.gateway"

_BEGINNING = (JobState.SUBMITTED, JobState.QUEUED)


def submission_key(task_id: str) -> str:
    """The key under which the job of a submission task is accepted once, whoever asks how often."""
    return f"airavata:{task_id}"


def jobs_of(process: ProcessContext) -> list[JobRecord]:
    """The jobs of this process that belong to its account, newest first."""
    label = frozenset({(PROCESS_LABEL, process.process_id)})
    found = process.provider.jobs(JobSelection(labels=label))
    return [record for record in found if record.request.uid == process.uid]


def task_of(record: JobRecord) -> str:
    """The id of the submission task that a job belongs to; empty when it came another way."""
    return dict(record.request.labels).get(TASK_LABEL, "")


def job_status(record: JobRecord) -> JobStatus:
    """The state that a job has now."""
    reason = record.reason or record.pending_reason
    changed = max(record.changed_at, record.accepted_at)
    return JobStatus(JobState[AIRAVATA_STATES[record.phase]], round(changed * 1000), reason)


def history(events: Iterable[JobEvent]) -> Iterator[JobStatus]:
    """The states of a job in an order that Airavata develop accepts.

    A repeated state says nothing. A job that begins anew goes over NON_CRITICAL_FAIL and QUEUED, for
    Airavata takes no other way back from ACTIVE.
    """
    last: JobState | None = None
    for event in events:
        state = JobState[AIRAVATA_STATES[event.phase]]
        if state is last or (last is JobState.QUEUED and state is JobState.SUBMITTED):
            continue
        time = round(event.time * 1000)
        if last is JobState.ACTIVE and state in _BEGINNING:
            yield JobStatus(JobState.NON_CRITICAL_FAIL, time, event.reason)
            state = JobState.QUEUED
        yield JobStatus(state, time, event.reason)
        last = state


def tell(process: ProcessContext, record: JobRecord) -> None:
    """Give the registry the states of a job that it does not have yet. Repeatable."""
    task_id = task_of(record)
    job_id = str(record.id)
    known = len(process.registry.job_statuses(job_id, task_id))
    for status in list(history(process.provider.events(record.id)))[known:]:
        process.registry.add_job_status(status, task_id, job_id)
