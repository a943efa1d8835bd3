"""The last word about a job, once its outputs have come or will not come any more."""

from __future__ import annotations

from collections.abc import Callable

from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.control import MOST_LOSSES, Control
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox import layout
from airavata_mesos_plugin.sandbox.outputs.fetch import FetchReport
from airavata_mesos_plugin.sandbox.paths import escape
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from airavata_mesos_plugin.states import settle

STAGE_IN = "stage_in"
"""Name of the Thermos process that brings the inputs, in all job templates."""

RUN = "run"
"""Name of the process that runs the wrapper."""

STAGE_IN_LINES = 3
"""How much of what it said is told when it failed."""

MOST_NOTES = 20
"""Files that were left out and are told of one by one in the history of a job."""


class Ending:
    """Writes the end of jobs whose outputs were fetched."""

    def __init__(
        self, parts: Parts, control: Control, address: Callable[[JobRecord], SandboxAddress]
    ) -> None:
        """``address`` tells where the files of a job are, and raises SandboxGone."""
        self._parts = parts
        self._control = control
        self._address = address

    def end(self, record: JobRecord, report: FetchReport | None, trouble: str) -> None:
        """Give a job its final state, or begin it again. ``trouble`` is why there is no report, or why not
        everything came.
        """
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
        if result is not None and result.node_lost and outcome is not JobPhase.CANCELLED:
            phase = JobPhase.LOST
        spoiled = bool(trouble) and phase is JobPhase.COMPLETED
        if spoiled:
            phase = JobPhase.FAILED  # without its outputs a job is of no use, whatever the task did
        reason = record.reason
        if phase is JobPhase.TIMEOUT:
            reason = f"wall time limit of {record.request.wall_time_seconds} s reached"
        elif phase is JobPhase.COMPLETED:
            reason = ""
        elif phase is JobPhase.LOST and result is not None:
            reason = result.reason or reason
        elif spoiled and result is not None:
            reason = ""  # the script has done its work
        elif phase is JobPhase.FAILED and result is not None:
            reason = result.reason or _why_failed(result.exit_code, record.reason)
        elif phase is JobPhase.FAILED and (report is not None or self._told_by_staging(record)):
            reason = self._why_not_started(record)
        if trouble:
            reason = f"{reason}; {trouble}" if reason else trouble
        fields: dict[str, object] = {}
        if result is not None:
            fields = {"exit_code": result.exit_code, "signal": result.signal}
        if report is not None:
            count = self._note_left_out(record, report)
            if count:
                reason = f"{reason}; {count} files left out".removeprefix("; ")
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

    def _note_left_out(self, record: JobRecord, report: FetchReport) -> int:
        """Tell of what did not come, in the history of the job; returns how many files that is."""
        count = max(len(report.left_out), report.left_out_count)
        for name, why in report.left_out[:MOST_NOTES]:
            self._parts.ledger.note(record.id, source="fetch", reason=f"left out {escape(name)}: {why}")
        if count > MOST_NOTES:
            more = f"{count - MOST_NOTES} more files left out"
            self._parts.ledger.note(record.id, source="fetch", reason=more)
        return count

    def _begins_again(self, record: JobRecord, phase: JobPhase) -> bool:
        if record.requeue_requested_at is not None:
            by = record.requeue_requested_by
            # One that was only taken back to be held leaves no record, as with SLURM.
            # Nor does one whose nodes were given back since they had not all started.
            taken = "taken back from the scheduler " + ("to be held" if record.held else "to try it later")
            reason = f"requeued by {by}" if by else taken
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
        said = self._told_by_staging(record) or self._stage_in_stderr(record)
        if record.reason and not said and not begun:
            return record.reason  # not even the stage-in was started
        return f"the job did not start, its inputs did not reach the agent: {said}".removesuffix(": ")

    def _told_by_staging(self, record: JobRecord) -> str:
        """Why the daemon could not send the inputs; empty when it could."""
        events = self._parts.ledger.events(record.id)
        return next((event.reason for event in reversed(events) if event.source == "staging"), "")

    def _processes(self, record: JobRecord) -> set[str]:
        """Names of the processes that were started in the sandbox, as far as they can be seen."""
        try:
            address = self._address(record)
            return {entry.name for entry in self._parts.files.browse(address, layout.THERMOS_LOGS)}
        except AiravataMesosError:
            return set()

    def _stage_in_stderr(self, record: JobRecord) -> str:
        """What the last run of the stage-in process said at its end; empty when it said nothing."""
        logs = f"{layout.THERMOS_LOGS}/{STAGE_IN}"
        try:
            address = self._address(record)
            runs = [e.name for e in self._parts.files.browse(address, logs) if e.name.isdecimal()]
            last = max(runs, key=int, default="0")
            text = self._parts.files.read(address, f"{logs}/{last}/stderr", 0).decode(errors="replace")
        except AiravataMesosError:
            return ""
        # tar, which comes last, only says that what the download gave it was not whole.
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "; ".join(lines[-STAGE_IN_LINES:])


def _why_failed(exit_code: int, told: str) -> str:
    if exit_code:
        return f"exit code {exit_code}"
    return f"the script ended with exit code 0, its task failed: {told}".removesuffix(": ")
