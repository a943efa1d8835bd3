"""From the sandbox to the working directory, and the last word about a job."""

from __future__ import annotations

import logging
import threading

from airavata_mesos_plugin.errors import AiravataMesosError, FilesUnavailable, InvalidRequest, SandboxGone
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.control import MOST_LOSSES, Control
from airavata_mesos_plugin.provider.pacing import Pacing
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox import layout, origins
from airavata_mesos_plugin.sandbox.fetch import FetchReport
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.schedulers.base import SandboxAddress, TaskObservation
from airavata_mesos_plugin.states import settle
from airavata_mesos_plugin.store import JobSelection

log = logging.getLogger(__name__)

STAGE_IN = "stage_in"
"""Name of the Thermos process that brings the inputs, in all job templates."""

RUN = "run"
"""Name of the process that runs the wrapper."""

STAGE_IN_LINES = 3
"""How much of what it said is told when it failed."""


class OutputCollector:
    """Takes jobs from FETCHING to their end."""

    def __init__(self, parts: Parts, control: Control, stop: threading.Event | None = None) -> None:
        self._parts = parts
        self._control = control
        self._stop = stop or threading.Event()
        self._pacing = Pacing(
            parts.clock, first_seconds=parts.settings.fetch.retry_seconds, longest_seconds=300.0
        )
        self._lock = threading.Lock()
        self._at_work: set[int] = set()

    def take_due(self) -> list[int]:
        """Jobs whose outputs should be fetched now, oldest first; each is given out to one caller only,
        who must call `collect` with it.
        """
        fetching = self._parts.ledger.jobs(JobSelection(phases=frozenset({JobPhase.FETCHING})))
        with self._lock:
            due = [r.id for r in reversed(fetching) if r.id not in self._at_work and self._pacing.due(r.id)]
            self._at_work.update(due)
        return due

    def collect(self, job_id: int) -> None:
        """Fetch the outputs of one job and end it. Repeatable: files that came before come again."""
        try:
            self._collect(self._parts.ledger.job(job_id))
        finally:
            with self._lock:
                self._at_work.discard(job_id)

    def address(self, record: JobRecord) -> SandboxAddress:
        """Where the job's files are. Raises SandboxGone when the task never had a host, or its agent is
        not known any more.
        """
        task = TaskObservation(
            key=record.key,
            task_id=record.task_id,
            native_state=record.native_state,
            phase=record.phase,
            run=record.run,
            changed_at=record.changed_at,
            host=record.host,
            agent_id=record.agent_id,
        )
        addresses = self._parts.schedulers[record.cluster].sandboxes([task]) if record.task_id else {}
        try:
            return addresses[record.key]
        except KeyError:
            raise SandboxGone(f"job {record.id} has no sandbox on {record.cluster}") from None

    def origin(self, record: JobRecord) -> Origin:
        """From what the outputs of a job are fetched. Raises SandboxGone as `address` does."""
        method = self._parts.settings.queue(record.request.queue).outputs.method
        more: tuple[tuple[str, str], ...] = ()
        if method == origins.SHARED:
            more = origins.shared_details(record.request.working_directory, record.id, record.attempt)
        elif method == origins.SFTP:
            more = origins.sftp_details(record.cluster, record.agent_id, record.key.role)
        return Origin(method, self.address(record), more)

    def _collect(self, record: JobRecord) -> None:
        if record.phase is not JobPhase.FETCHING:
            return
        try:
            report = self._parts.files_of(record.request.uid).fetch(
                self.origin(record),
                record.request.working_directory,
                self._parts.ledger.snapshot(record.id),
                job_id=record.id,
                cancel=self._stop,
            )
        except FilesUnavailable as error:  # that says nothing about this job, so it may last
            self._pacing.postpone(record.id)
            log.warning("job %d: its outputs have to wait: %s", record.id, error)
        except AiravataMesosError as error:
            if self._stop.is_set():
                return
            failures = self._pacing.postpone(record.id)
            log.warning("job %d: fetch of the outputs failed (%d): %s", record.id, failures, error)
            if failures < self._parts.settings.fetch.attempts and _may_work_later(record, error):
                self._parts.ledger.note(record.id, source="fetch", reason=f"trying again: {error}")
            else:
                self._end(record, None, f"outputs could not be fetched: {error}")
        else:
            self._end(record, report, "")

    def _end(self, record: JobRecord, report: FetchReport | None, trouble: str) -> None:
        outcome = record.outcome
        if outcome is None:  # written together with FETCHING
            raise AssertionError(f"job {record.id} is fetching without an outcome")
        result = report.result if report else None
        phase = settle(
            outcome,
            exit_code=result.exit_code if result else None,
            timed_out=bool(result and result.timed_out),
            killed_by_us=outcome is JobPhase.CANCELLED,
        )
        if trouble and phase is JobPhase.COMPLETED:
            phase = JobPhase.FAILED  # without its outputs a job is of no use, whatever the task did
        reason = record.reason
        if phase is JobPhase.TIMEOUT:
            reason = f"wall time limit of {record.request.wall_time_seconds} s reached"
        elif phase is JobPhase.COMPLETED:
            reason = ""
        elif phase is JobPhase.FAILED and result is not None:
            reason = result.reason or f"exit code {result.exit_code}"
        elif phase is JobPhase.FAILED and report is not None:
            reason = self._why_not_started(record)
        if trouble:
            reason = f"{reason}; {trouble}" if reason else trouble
        fields: dict[str, object] = {}
        if result is not None:
            fields = {"exit_code": result.exit_code, "signal": result.signal}
        if report is not None:
            for name, why in report.left_out:
                self._parts.ledger.note(record.id, source="fetch", reason=f"left out {name}: {why}")
            if report.left_out:
                reason = f"{reason}; {len(report.left_out)} files left out".removeprefix("; ")
        self._pacing.forget(record.id)
        if fields:
            self._parts.ledger.annotate(record.id, **fields)
        record = self._parts.ledger.job(record.id)  # somebody may have asked for something meanwhile
        if record.cancel_requested_at is None:
            try:
                if self._begins_again(record, phase):
                    return
            except InvalidRequest as error:
                reason = f"{reason}; cannot be started again: {error}".removeprefix("; ")
                phase = JobPhase.FAILED
        self._parts.ledger.advance(record.id, phase, source="fetch", reason=reason)
        if self._parts.ledger.any_kept_back():
            for view in self._parts.views.values():  # perhaps one was waiting for this
                view.wake.set()

    def _begins_again(self, record: JobRecord, phase: JobPhase) -> bool:
        if record.requeue_requested_at is not None:
            by = record.requeue_requested_by
            # One that was only taken back to be held leaves no record, as with SLURM.
            reason = f"requeued by {by}" if by else "taken back from the scheduler to be held"
            self._control.begin_again(record, "REQUEUED" if by else "", "provider", reason, held=record.held)
            return True
        if phase is JobPhase.LOST and record.request.requeue and record.attempt <= MOST_LOSSES:
            self._control.begin_again(
                record, "NODE_FAIL", "provider", "started again after its node was lost"
            )
            return True
        return False

    def _why_not_started(self, record: JobRecord) -> str:
        """The wrapper left no result: what the stage-in said last, unless something else ended the job."""
        begun = self._processes(record)
        if record.reason and RUN in begun:
            return record.reason  # a limit of its container, for instance
        events = self._parts.ledger.events(record.id)
        told = [event.reason for event in events if event.source == "staging"]
        said = told[-1] if told else self._stage_in_stderr(record)
        if record.reason and not said and not begun:
            return record.reason  # not even the stage-in was started
        return f"the job did not start, its inputs did not reach the agent: {said}".removesuffix(": ")

    def _processes(self, record: JobRecord) -> set[str]:
        """Names of the processes that were started in the sandbox, as far as they can be seen."""
        try:
            address = self.address(record)
            return {entry.name for entry in self._parts.files.browse(address, layout.THERMOS_LOGS)}
        except AiravataMesosError:
            return set()

    def _stage_in_stderr(self, record: JobRecord) -> str:
        """What the last run of the stage-in process said at its end; empty when it said nothing."""
        logs = f"{layout.THERMOS_LOGS}/{STAGE_IN}"
        try:
            address = self.address(record)
            runs = [e.name for e in self._parts.files.browse(address, logs) if e.name.isdecimal()]
            last = max(runs, key=int, default="0")
            text = self._parts.files.read(address, f"{logs}/{last}/stderr", 0).decode(errors="replace")
        except AiravataMesosError:
            return ""
        # tar, which comes last, only says that what the download gave it was not whole.
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "; ".join(lines[-STAGE_IN_LINES:])


def _may_work_later(record: JobRecord, error: AiravataMesosError) -> bool:
    """Whether another try has a chance.

    A sandbox that is missing right after its task ended well is looked for again: agent and framework
    may be new to us, or their master may still be learning about them.
    """
    if isinstance(error, SandboxGone):
        return bool(record.agent_id) and record.outcome in (JobPhase.COMPLETED, JobPhase.FAILED)
    return error.transient
