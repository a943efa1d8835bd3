"""From the sandbox to the working directory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from airavata_mesos_plugin.errors import AiravataMesosError, FilesUnavailable, SandboxGone
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.control import Control
from airavata_mesos_plugin.provider.ending import Ending
from airavata_mesos_plugin.provider.node_outputs import Gathered, NodeOutputs
from airavata_mesos_plugin.provider.pacing import Pacing
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.provider.turns import Turns
from airavata_mesos_plugin.sandbox import layout, origins
from airavata_mesos_plugin.sandbox.outputs.fetch import FetchReport, Progress
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.schedulers.base import SandboxAddress, TaskObservation
from airavata_mesos_plugin.store import JobSelection
from airavata_mesos_plugin.store.gangs import GangNode

log = logging.getLogger(__name__)


class OutputCollector:
    """Takes jobs from FETCHING to their end."""

    def __init__(self, parts: Parts, control: Control, stop: threading.Event | None = None) -> None:
        self._parts = parts
        self.before: Callable[[int], None] = lambda _: None
        """Called with each job before its outputs are fetched: nobody else may write them any more."""
        self._stop = stop or threading.Event()
        settings = parts.settings.fetch
        self._pacing = Pacing(parts.clock, first_seconds=settings.retry_seconds, longest_seconds=300.0)
        self._turns = Turns(
            parts.clock, quick=settings.jobs, long=settings.long_jobs, seconds=settings.long_seconds
        )
        self._ending = Ending(parts, control, self.address)
        self._nodes = NodeOutputs(parts, self._origin)
        self._lock = threading.Lock()
        self._at_work: dict[int, _Work] = {}

    def take_due(self) -> list[int]:
        """Jobs whose outputs should be fetched now, in their order; each is given out to one caller only,
        who must call `collect` with it. Fetches that take long are told to make way, if others wait.
        """
        fetching = self._parts.ledger.jobs(JobSelection(phases=frozenset({JobPhase.FETCHING})))
        with self._lock:
            self._turns.offer(record.id for record in reversed(fetching) if self._pacing.due(record.id))
            begun = self._begin()
            for job_id in self._turns.overdue():
                self._at_work[job_id].make_way.set()
        return begun

    def take_next(self) -> list[int]:
        """The same without a look into the ledger: jobs that were waiting for a place that is free now."""
        with self._lock:
            return self._begin()

    def _begin(self) -> list[int]:
        begun = self._turns.begin()
        self._at_work.update((job_id, _Work(_Cancel(self._stop))) for job_id in begun)
        return begun

    def collect(self, job_id: int) -> None:
        """Fetch the outputs of one job and end it. Repeatable: it goes on with what has not come yet."""
        with self._lock:
            work = self._at_work.setdefault(job_id, _Work(_Cancel(self._stop)))
        over = True
        try:
            over = self._collect(self._parts.ledger.job(job_id), work)
        except Exception:
            self._pacing.postpone(job_id)  # a fault of ours; whoever called tells of it
            over = False
            raise
        finally:
            with self._lock:
                self._at_work.pop(job_id, None)
                self._turns.ended(job_id, over=over)

    def progress(self, job_id: int) -> Progress | None:
        """How far the outputs of a job have come; None when they are not being fetched now."""
        with self._lock:
            work = self._at_work.get(job_id)
        return work.progress if work is not None else None

    def arrived(self, job_id: int) -> None:
        """The outputs of a job came by themselves: one that waits for them is looked at at once."""
        self._pacing.forget(job_id)
        self._parts.outputs_due.set()

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
        """From what the outputs of a job's first node are fetched. Raises SandboxGone as `address` does."""
        return self._origin(record, None)

    def _origin(self, record: JobRecord, node: GangNode | None) -> Origin:
        if node is not None:
            if not node.task_id:
                raise SandboxGone(f"the task of node {node.name} was never seen")
            record = replace(record, task_id=node.task_id, agent_id=node.agent_id)
        method = self._parts.outputs_of(record.request.queue).method
        if method == origins.PUSH:  # the agent need not be known, let alone be reached
            told = origins.push_details(record.request.working_directory, record.id, record.attempt)
            return Origin(method, SandboxAddress("", ""), told)
        more: tuple[tuple[str, str], ...] = ()
        if method == origins.SHARED:
            more = origins.shared_details(record.request.working_directory, record.id, record.attempt)
        elif method == origins.SFTP:
            more = origins.sftp_details(record.cluster, record.agent_id, record.key.role)
        return Origin(method, self.address(record), more)

    def _collect(self, record: JobRecord, work: _Work) -> bool:
        """Returns whether no other try will follow."""
        if record.phase is not JobPhase.FETCHING:
            return True
        self.before(record.id)
        try:
            gathered = self._nodes.fetch(record, work.tell, work.make_way)
        except FilesUnavailable as error:  # that says nothing about this job, so it may last
            self._pacing.postpone(record.id)
            log.warning("job %d: its outputs have to wait: %s", record.id, error)
            return False
        except AiravataMesosError as error:
            if work.make_way.is_set():
                return False
            failures = self._pacing.postpone(record.id)
            log.warning("job %d: fetch of the outputs failed (%d): %s", record.id, failures, error)
            if failures < self._parts.settings.fetch.attempts and _may_work_later(record, error):
                self._parts.ledger.note(record.id, source="fetch", reason=f"trying again: {error}")
                return False
            trouble = f"outputs could not be fetched: {error}"
            saved, size = self._give_up(record)
            if saved:
                trouble = f"{trouble}; {saved} files with {size} bytes had arrived"
            self._keep(record, None, trouble)
            self._pacing.forget(record.id)
            self._ending.end(record, None, trouble)
            self._tidy(record)
        else:
            if gathered.missing:
                if self._missing_may_come(record, gathered):
                    return False
                self._give_up(record)
            self._keep(record, gathered.report, gathered.trouble)
            self._pacing.forget(record.id)
            self._ending.end(record, gathered.report, gathered.trouble)
            self._tidy(record)
        return True

    def _missing_may_come(self, record: JobRecord, gathered: Gathered) -> bool:
        """Whether to try again for the nodes whose outputs are missing."""
        failures = self._pacing.postpone(record.id)
        log.warning("job %d: %s (%d)", record.id, gathered.trouble, failures)
        result = gathered.report.result
        if result is not None and result.node_lost:
            return False  # that ended the job; whoever waits for it to begin again waits in vain for these
        if failures >= self._parts.settings.fetch.attempts:
            return False
        if not any(_may_work_later(record, error) for _, error in gathered.missing):
            return False
        self._parts.ledger.note(record.id, source="fetch", reason=f"trying again: {gathered.trouble}")
        return True

    def _tidy(self, record: JobRecord) -> None:
        """Remove what lay in the working directory only until the attempt had ended."""
        method = self._parts.outputs_of(record.request.queue).method
        if method == origins.PUSH:
            name = layout.pushed_archive(record.id, record.attempt)
        elif method == origins.SHARED:
            name = layout.shared_result(record.id, record.attempt)
        else:
            return
        try:
            self._parts.files_of(record.request.uid).discard(record.request.working_directory, [name])
        except (AiravataMesosError, OSError) as error:
            log.warning("job %d: %s stays in its working directory: %s", record.id, name, error)

    def _give_up(self, record: JobRecord) -> tuple[int, int]:
        """Clean up after tries that will not be repeated; returns the files and bytes that had arrived."""
        try:
            return self._nodes.give_up(record)
        except AiravataMesosError as error:
            log.warning("job %d: part files may be left in its directory: %s", record.id, error)
            return 0, 0

    def _keep(self, record: JobRecord, report: FetchReport | None, trouble: str) -> None:
        """Store what there is to say about the fetch."""
        document: dict[str, object] = {"attempt": record.attempt, "trouble": trouble}
        if report is not None:
            document |= {
                "files": report.files + report.present,
                "bytes": report.bytes,
                "seconds": round(report.seconds, 3),
                "excluded": report.excluded,
                "left_out": report.left_out,
                "left_out_count": max(len(report.left_out), report.left_out_count),
            }
        self._parts.ledger.fetches.keep(record.id, document)


class _Cancel(threading.Event):
    """Ends one fetch, when it has to make way or when the provider stops."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def is_set(self) -> bool:
        return super().is_set() or self._stop.is_set()


@dataclass
class _Work:
    """One fetch that goes on."""

    make_way: _Cancel
    progress: Progress | None = None

    def tell(self, progress: Progress) -> None:
        self.progress = progress


def _may_work_later(record: JobRecord, error: AiravataMesosError) -> bool:
    """Whether another try has a chance.

    A sandbox that is missing right after its task ended well is looked for again: agent and framework
    may be new to us, or their master may still be learning about them.
    """
    if isinstance(error, SandboxGone):
        return bool(record.agent_id) and record.outcome in (JobPhase.COMPLETED, JobPhase.FAILED)
    return error.transient
