"""Following, ending and concluding the jobs of a process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import ClassVar

from airavata_mesos_plugin.airavata.tasks.context import ProcessContext, TaskContext
from airavata_mesos_plugin.airavata.tasks.jobs import jobs_of, tell
from airavata_mesos_plugin.airavata.tasks.model import ProcessState, ProcessStatus, TaskTypes
from airavata_mesos_plugin.airavata.tasks.spi import Task, TaskException, TryAgain, check_not_cancelled
from airavata_mesos_plugin.errors import NotFound
from airavata_mesos_plugin.jobs import JobPhase, JobRecord


class MonitoringTask(Task):
    """Waits until the newest job of the process is over, and tells each of its states.

    FAILED when the job did not complete, as in Airavata master; develop stages what there is all the same.
    """

    task_type = TaskTypes.MONITORING
    defaults: ClassVar[Mapping[str, float]] = {"poll_interval_seconds": 5.0}

    def _run(self, context: TaskContext) -> str:
        process = context.process
        while True:
            record = newest_job(process)
            tell(process, record)
            if record.phase is JobPhase.COMPLETED:
                return f"job {record.id} is complete"
            if record.phase.final:
                raise TaskException(f"job {record.id} ended as {record.phase.value}: {record.reason}")
            check_not_cancelled(process)
            process.clock.wait(process.cancelled, self._properties["poll_interval_seconds"])


class RemoteJobCancellationTask(Task):
    """Asks for the end of all jobs of the process, and waits for it.

    What is told in the end is what happened: a job that was complete before the kill reached it is
    COMPLETE. Airavata's own task says CANCELED without a look. When a job is not over in time the task
    fails in a way that may be repeated.
    """

    task_type = None
    defaults: ClassVar[Mapping[str, float]] = {"poll_interval_seconds": 1.0, "wait_seconds": 300.0}

    def _run(self, context: TaskContext) -> str:
        process = context.process
        process.cancelled.set()
        end = process.clock.monotonic() + self._properties["wait_seconds"]
        never = threading.Event()  # `cancelled` is set already, so it is no use for waiting
        for record in jobs_of(process):
            if not record.phase.final:
                process.provider.request_cancel(record.id, process.user, process.uid)
        while True:
            records = jobs_of(process)
            for record in records:
                tell(process, record)
            running = [str(record.id) for record in records if not record.phase.final]
            if not running:
                return "; ".join(f"job {record.id} ended as {record.phase.value}" for record in records)
            if process.clock.monotonic() >= end:
                raise TryAgain(f"not over yet: {', '.join(running)}", advice="the kill goes on; look again")
            process.clock.wait(never, self._properties["poll_interval_seconds"])


class CompletingTask(Task):
    """The last step: the process is COMPLETED, or CANCELED when it was asked to end."""

    task_type = None

    def _run(self, context: TaskContext) -> str:
        process = context.process
        over(jobs_of(process))
        state = ProcessState.CANCELED if process.cancelled.is_set() else ProcessState.COMPLETED
        process.registry.add_process_status(ProcessStatus(state, process.now()), process.process_id)
        return f"the process is {state.name}"


def newest_job(process: ProcessContext) -> JobRecord:
    """Raises NotFound when the process has no job."""
    records = jobs_of(process)
    if not records:
        raise NotFound(f"process {process.process_id} has no job", advice="run its submission task first")
    return records[0]


def over(records: Sequence[JobRecord]) -> None:
    """Raises TryAgain when one of the jobs is not over: its outputs are not all there."""
    running = [str(record.id) for record in records if not record.phase.final]
    if running:
        raise TryAgain(f"not over yet: {', '.join(running)}", advice="run the monitoring task first")
