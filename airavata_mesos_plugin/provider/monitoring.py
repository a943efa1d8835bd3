"""From the scheduler to the ledger: what tasks do is recorded, cancels are carried out."""

from __future__ import annotations

import logging
from collections import defaultdict, deque

from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord
from airavata_mesos_plugin.provider.gangs import GangDesk
from airavata_mesos_plugin.provider.pacing import Pacing
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.schedulers.base import TaskObservation
from airavata_mesos_plugin.states import may_follow
from airavata_mesos_plugin.store import JobSelection

log = logging.getLogger(__name__)

_WITH_SCHEDULER = frozenset({JobPhase.QUEUED, JobPhase.RUNNING})


class Monitor:
    """Follows the jobs that a scheduler has."""

    def __init__(self, parts: Parts, gangs: GangDesk) -> None:
        self._parts = parts
        self._gangs = gangs
        self._kills = Pacing(parts.clock, first_seconds=15.0, longest_seconds=300.0)
        self._absent_since: dict[int, float] = {}
        self._others: defaultdict[str, deque[JobKey]] = defaultdict(deque)  # of each cluster

    def round(self, cluster: str) -> None:
        """One look at all jobs of ``cluster``. Repeatable.

        When the scheduler cannot be asked, nothing changes but the age of what is known.
        """
        parts = self._parts
        scheduler = parts.schedulers[cluster]
        there = JobSelection(clusters=frozenset({cluster}), phases=_WITH_SCHEDULER)
        records = parts.ledger.jobs(there)[::-1]  # the oldest first
        if not records and not self._others[cluster]:
            return
        try:
            self.end_others(cluster)
            if not records:
                return
            self._send_cancels(cluster, records)
            asked_at = parts.clock.now()
            tasks = scheduler.poll([record.key for record in records])
            parts.answered(cluster)
            waiting = []
            with parts.ledger.together():
                for record in records:
                    task = tasks.get(record.key)
                    if task is None:
                        self._absent(record, asked_at)
                        continue
                    self._absent_since.pop(record.id, None)
                    if self.apply(record, task) is JobPhase.QUEUED:
                        waiting.append(record)
            parts.outputs_due.set()
            self.end_others(cluster)
            if waiting:
                self._explain(cluster, waiting)
        except AiravataMesosError as error:
            if parts.views[cluster].trouble != str(error):
                log.warning("cluster %s: %s", cluster, error)
            parts.failed(cluster, error)

    def refresh_nodes(self, cluster: str) -> None:
        """Look at the capacity of ``cluster``; on failure the last known stays. Repeatable."""
        try:
            self._parts.views[cluster].nodes = self._parts.schedulers[cluster].capacity()
        except AiravataMesosError as error:
            self._parts.failed(cluster, error)

    def apply(self, record: JobRecord, task: TaskObservation) -> JobPhase:
        """Record what the scheduler says about a job; returns the phase that this means for the whole job.

        A late or repeated report changes nothing. To be called within `Ledger.together`, with `end_others`
        after it.
        """
        ledger = self._parts.ledger
        task = self._gangs.seen(record, task)
        source = self._parts.schedulers[record.cluster].kind
        seen: dict[str, object] = {
            "native_state": task.native_state,
            "task_id": task.task_id,
            "host": task.host,
            "agent_id": task.agent_id,
            "started_at": task.started_at,
        }
        if task.task_id != record.task_id and task.queued_at is not None:
            seen["queued_at"] = task.queued_at
        run = run_of(record, task)
        if not task.phase.final:
            same = all(getattr(record, name) == value for name, value in seen.items())
            if same and (record.run, record.phase) == (run, task.phase):
                return task.phase
            moved = None
            if may_follow(record.run, record.phase, run, task.phase):
                # Aurora's messages of the way (health checks) are of no use to a gateway user.
                moved = ledger.advance(
                    record.id, task.phase, run=run, source=source, reason=_rerun(record, task), fields=seen
                )
            if moved is None and not same:
                ledger.annotate(record.id, **seen)
            return task.phase
        outcome, reason = task.phase, task.message
        record = ledger.job(record.id)  # somebody may have asked for its end since it was read
        if record.requeue_requested_at is not None and task.kill_seen and record.cancel_requested_at is None:
            outcome, reason = JobPhase.CANCELLED, _requeue_text(record)
        elif record.cancel_requested_at is not None and task.kill_seen:
            outcome, reason = JobPhase.CANCELLED, f"cancelled by {record.cancel_requested_by}"
        elif outcome is JobPhase.CANCELLED:
            outcome, reason = JobPhase.FAILED, f"killed at the scheduler: {task.message}"
        ended = ledger.advance(
            record.id,
            JobPhase.FETCHING,
            run=run,
            source=source,
            reason=reason,
            fields={**seen, "outcome": outcome, "ended_at": task.changed_at},
        )
        if ended is not None:
            self._kills.forget(record.id)
            self._parts.outputs_due.set()
            if record.request.nodes > 1:
                self._others[record.cluster].append(record.key)
        return task.phase

    def end_others(self, cluster: str) -> None:
        """End the other nodes of jobs whose first node is over, and with it the job.

        They end by themselves, but not all of them at once: one may be cut off, or have been started again.
        Those that cannot be ended now are left to the next call; raises what the scheduler does.
        """
        others = self._others[cluster]
        keys = [others.popleft() for _ in range(len(others))]
        if not keys:
            return
        try:
            results = self._parts.schedulers[cluster].cancel(keys, "the job is over")
        except AiravataMesosError:
            others.extend(keys)
            raise
        for result in results:
            if result.error is None:
                continue
            log.warning("%s is over; its other nodes are not ended yet: %s", result.key, result.error)
            if result.error.transient:
                others.append(result.key)

    def _send_cancels(self, cluster: str, records: list[JobRecord]) -> None:
        parts = self._parts
        due: dict[str, list[JobRecord]] = {}
        for record in records:
            if not self._kills.due(record.id):
                continue
            if record.cancel_requested_at is not None:
                due.setdefault(f"cancelled by {record.cancel_requested_by}", []).append(record)
            elif record.requeue_requested_at is not None:
                due.setdefault(_requeue_text(record), []).append(record)
        for text, doomed in due.items():
            results = parts.schedulers[cluster].cancel([record.key for record in doomed], text)
            for record, result in zip(doomed, results, strict=True):
                if result.error is not None:
                    log.warning("job %d is not killed yet: %s", record.id, result.error)
                    continue
                self._kills.postpone(record.id)
                if record.cancel_sent_at is None:
                    parts.ledger.annotate(record.id, cancel_sent_at=parts.clock.now())

    def _absent(self, record: JobRecord, asked_at: float) -> None:
        """The scheduler was asked and did not name the job. That alone says nothing about its end."""
        parts = self._parts
        record = parts.ledger.job(record.id)  # it may have been killed since it was read
        killed_before = record.cancel_sent_at is not None and record.cancel_sent_at <= asked_at
        if killed_before and record.phase is JobPhase.QUEUED and record.cancel_requested_at is None:
            self._kills.forget(record.id)
            fields = {"outcome": JobPhase.CANCELLED, "ended_at": asked_at}
            parts.ledger.advance(record.id, JobPhase.FETCHING, source="provider", fields=fields)
            parts.outputs_due.set()
            return
        if killed_before and record.phase is JobPhase.QUEUED:
            # Aurora deletes a task that is killed before it has a host; only the ledger knows why.
            parts.ledger.advance(
                record.id,
                JobPhase.CANCELLED,
                source="provider",
                reason=f"cancelled by {record.cancel_requested_by}",
                fields={"ended_at": asked_at},
            )
            self._kills.forget(record.id)
            return
        now = parts.clock.monotonic()
        since = self._absent_since.setdefault(record.id, now)
        if now - since < parts.settings.cluster(record.cluster).absence_seconds:
            return
        del self._absent_since[record.id]
        outcome = JobPhase.LOST if record.cancel_requested_at is None else JobPhase.CANCELLED
        parts.ledger.advance(
            record.id,
            JobPhase.FETCHING,
            source="provider",
            reason=f"the scheduler of {record.cluster} no longer knows {record.key}: "
            "somebody killed it before it started, or its history was removed",
            fields={"outcome": outcome, "ended_at": asked_at},
        )
        parts.outputs_due.set()

    def _explain(self, cluster: str, records: list[JobRecord]) -> None:
        reasons = self._parts.schedulers[cluster].pending_reasons([record.key for record in records])
        ledger = self._parts.ledger
        with ledger.together():
            for record in records:
                reason = self._gangs.waiting_reason(record, reasons.get(record.key, ""))
                if reason != record.pending_reason and ledger.job(record.id).phase is JobPhase.QUEUED:
                    ledger.annotate(record.id, pending_reason=reason)


def _requeue_text(record: JobRecord) -> str:
    by = record.requeue_requested_by
    return f"requeued by {by}" if by else "taken back"


def run_of(record: JobRecord, task: TaskObservation) -> int:
    """Which run of the job a task is.

    The scheduler's own count falls when it prunes the history of earlier runs; the ledger's must not.
    """
    if task.task_id == record.task_id:
        return record.run
    if not record.task_id or task.queued_at is None or record.queued_at is None:
        return task.run
    if task.queued_at > record.queued_at:
        return max(record.run + 1, task.run)
    return record.run - 1  # an earlier task, which has no say any more


def _rerun(record: JobRecord, task: TaskObservation) -> str:
    return task.message if task.run > record.run else ""
