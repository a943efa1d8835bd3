"""From the ledger to the scheduler: every accepted job is created once."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from airavata_mesos_plugin.errors import AiravataMesosError, AlreadyExists
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.gangs import GangDesk
from airavata_mesos_plugin.provider.input_methods import plan_inputs
from airavata_mesos_plugin.provider.monitoring import Monitor
from airavata_mesos_plugin.provider.pacing import Pacing
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox.origins import PUSH
from airavata_mesos_plugin.sandbox.tickets import Purpose
from airavata_mesos_plugin.schedulers.base import Submission, TaskObservation
from airavata_mesos_plugin.store import JobSelection
from airavata_mesos_plugin.templating import job_context, wrapper_context

log = logging.getLogger(__name__)

BATCH = 50
"""Jobs that are marked as being submitted before the first answer of the scheduler is stored."""


class Submitter:
    """Takes jobs from ACCEPTED to QUEUED."""

    def __init__(self, parts: Parts, monitor: Monitor, gangs: GangDesk) -> None:
        self._parts = parts
        self._monitor = monitor
        self._gangs = gangs
        self._pacing = Pacing(parts.clock, first_seconds=1.0, longest_seconds=60.0)

    def document(self, record: JobRecord) -> Mapping[str, object]:
        """The job configuration as it is sent to the scheduler. Repeatable; sends nothing.

        Raises ConfigurationError or InvalidRequest when template and settings do not make a valid one.
        """
        parts = self._parts
        settings = parts.settings
        queue = settings.queue(record.request.queue)
        ticket = parts.tickets.issue(record.id, record.attempt, parts.expiry(record))
        context = job_context(
            record,
            queue,
            settings.cluster(record.cluster),
            plan_inputs(queue, f"{parts.staging_url()}/inputs/{ticket}"),
            provider=settings.name,
            ledger=parts.ledger.instance,
            push_url=f"{parts.staging_url()}/outputs/{self._push_ticket(record)}"
            if queue.outputs.method == PUSH
            else "",
        )
        # What the wrapper would refuse is said now, and not when the task runs.
        wrapper_context(record, queue, settings, "unused-token")
        scheduler = parts.schedulers[record.cluster]
        template = queue.template if record.request.nodes == 1 else queue.parallel_template
        document = parts.templates.render_job(scheduler.kind, template, context)
        scheduler.validate(document)
        return document

    def _push_ticket(self, record: JobRecord) -> str:
        expiry = self._parts.expiry(record) + record.request.wall_time_seconds
        return self._parts.tickets.issue(record.id, record.attempt, expiry, Purpose.OUTPUTS)

    def step(self, cluster: str) -> None:
        """Submit what waits for ``cluster``. Repeatable: a job whose create call may have arrived is
        looked up in all states before anything is sent again.
        """
        waiting = self._parts.ledger.jobs(JobSelection(clusters=frozenset({cluster}), to_submit=True))
        due = [record for record in reversed(waiting) if self._pacing.due(record.id)]
        if not self._parts.schedulers[cluster].starts_together:
            due = self._gangs.admitted(cluster, due)
        try:
            fresh = self._without_known(cluster, due)
        except AiravataMesosError as error:
            self._parts.failed(cluster, error)
            self._postpone(due, error)
            return
        for start in range(0, len(fresh), BATCH):
            self._create(cluster, fresh[start : start + BATCH])

    def _without_known(self, cluster: str, records: list[JobRecord]) -> list[JobRecord]:
        """Those that the scheduler does not have; the others go on from where the scheduler has them."""
        doubtful = [record for record in records if record.phase is JobPhase.SUBMITTING]
        if not doubtful:
            return records
        scheduler = self._parts.schedulers[cluster]
        known = scheduler.poll([record.key for record in doubtful])
        self._parts.answered(cluster)
        fresh = []
        for record in records:
            task = known.get(record.key) if record.phase is JobPhase.SUBMITTING else None
            if task is None:
                fresh.append(record)
            elif stranger := self._stranger(record, task):
                self._give_up(record, AlreadyExists(stranger))
            else:
                self._pacing.forget(record.id)
                with self._parts.ledger.together():
                    self._monitor.apply(record, task)
                self._monitor.end_others(cluster)
        return fresh

    def _stranger(self, record: JobRecord, task: TaskObservation) -> str:
        """Why the job that has this one's key is another one; empty when nothing speaks against it.

        A template of an administrator may leave the metadata out, so what is missing says nothing.
        """
        said = dict(task.metadata)
        ours = {
            "airavata-mesos.ledger": self._parts.ledger.instance,
            "airavata-mesos.id": str(record.id),
            "airavata-mesos.attempt": str(record.attempt),
        }
        for name, value in ours.items():
            if said.get(name, value) != value:
                return f"the job {record.key} of {record.cluster} is another one: its {name} is {said[name]}"
        return ""

    def _create(self, cluster: str, records: list[JobRecord]) -> None:
        parts = self._parts
        scheduler = parts.schedulers[cluster]
        submissions = []
        jobs = []
        for record in records:
            if record.cancel_requested_at is not None:
                self._drop(cluster, record)
                continue
            try:
                submissions.append(Submission(record.key, self.document(record)))
            except AiravataMesosError as error:
                self._give_up(record, error)
                continue
            parts.ledger.advance(record.id, JobPhase.SUBMITTING, source="provider")
            jobs.append(record)
        for record, result in zip(jobs, scheduler.submit(submissions), strict=True):
            refusal = result.error
            if refusal is None:
                self._pacing.forget(record.id)
                parts.answered(cluster)
                parts.ledger.advance(
                    record.id, JobPhase.QUEUED, source=scheduler.kind, fields={"queued_at": parts.clock.now()}
                )
            elif isinstance(refusal, AlreadyExists) or refusal.transient or refusal.outcome_unknown:
                parts.failed(cluster, refusal)
                self._postpone([record], refusal)
            else:
                self._give_up(record, refusal)

    def _drop(self, cluster: str, record: JobRecord) -> None:
        """End a job that was cancelled before the scheduler had it."""
        if record.phase is JobPhase.SUBMITTING:
            (result,) = self._parts.schedulers[cluster].cancel([record.key], _cancel_text(record))
            if result.error is not None:
                self._postpone([record], result.error)
                return
        self._pacing.forget(record.id)
        self._parts.ledger.advance(
            record.id,
            JobPhase.CANCELLED,
            source="provider",
            reason=_cancel_text(record),
            fields={"ended_at": self._parts.clock.now()},
        )

    def _postpone(self, records: list[JobRecord], error: AiravataMesosError) -> None:
        for record in records:
            self._pacing.postpone(record.id)
            if record.pending_reason != error.message:
                self._parts.ledger.annotate(record.id, pending_reason=error.message)
                log.warning("job %d is not submitted yet: %s", record.id, error)

    def _give_up(self, record: JobRecord, error: AiravataMesosError) -> None:
        self._pacing.forget(record.id)
        log.warning("job %d cannot be submitted: %s", record.id, error)
        self._parts.ledger.advance(
            record.id,
            JobPhase.FAILED,
            source="provider",
            reason=f"not submitted: {error}",
            fields={"ended_at": self._parts.clock.now()},
        )


def _cancel_text(record: JobRecord) -> str:
    return f"cancelled by {record.cancel_requested_by}"
