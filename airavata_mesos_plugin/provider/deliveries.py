"""Inputs that the daemon writes into sandboxes over SSH, for queues whose inputs travel with SFTP."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from airavata_mesos_plugin.errors import AiravataMesosError, NotFound, SandboxGone, StagingError
from airavata_mesos_plugin.jobs import JobPhase, JobRecord
from airavata_mesos_plugin.provider.inputs import InputSource
from airavata_mesos_plugin.provider.pacing import Pacing
from airavata_mesos_plugin.provider.parts import Parts
from airavata_mesos_plugin.sandbox.origins import SFTP, sftp_details
from airavata_mesos_plugin.sandbox.source import Origin
from airavata_mesos_plugin.schedulers.base import SandboxAddress
from airavata_mesos_plugin.store import JobSelection

log = logging.getLogger(__name__)


class WritableSandbox(Protocol):
    """What is asked of a sandbox."""

    def wanted(self) -> int | None:
        """From which byte on the stage-in waits for the archive; None when it does not."""

    def begun(self) -> bool:
        """Whether the job itself has begun, so that no inputs are wanted any more."""

    def deliver(self, start: int, archive: Iterator[bytes]) -> None:
        """Write the archive from byte ``start`` on, then tell the stage-in that it is whole."""

    def refuse(self, reason: str) -> None:
        """Tell the stage-in that nothing will come."""


class Deliveries:
    """Gives each running job its inputs once. Safe to use from several threads."""

    def __init__(
        self,
        parts: Parts,
        inputs: InputSource,
        address: Callable[[JobRecord], SandboxAddress],
        open_sandbox: Callable[[Origin], AbstractContextManager[WritableSandbox]],
    ) -> None:
        self._parts = parts
        self._inputs = inputs
        self._address = address
        self._open = open_sandbox
        queues = frozenset(queue.name for queue in parts.settings.queues if queue.inputs.method == SFTP)
        self._running = JobSelection(queues=queues, phases=frozenset({JobPhase.RUNNING}))
        # The stage-in may come up a moment after the task; later looks are for what the daemon missed.
        self._looks = Pacing(parts.clock, first_seconds=0.5, longest_seconds=15.0)
        self._lock = threading.Lock()
        self._at_work: set[int] = set()
        self._over: dict[int, str] = {}  # task ids of jobs that want nothing more

    def take_due(self) -> list[int]:
        """Jobs whose sandboxes should be looked at now; each is given to one caller, who calls `deliver`."""
        running = self._parts.ledger.jobs(self._running)
        with self._lock:
            known = {record.id for record in running}
            for job_id in self._over.keys() - known:
                del self._over[job_id]
            due = [
                record.id
                for record in reversed(running)
                if record.id not in self._at_work
                and self._over.get(record.id) != record.task_id
                and self._looks.due((record.id, record.task_id))
            ]
            self._at_work.update(due)
        return due

    def deliver(self, job_id: int) -> None:
        """Write the inputs of one job, if its stage-in waits. Repeatable: it goes on where it broke off."""
        try:
            record = self._parts.ledger.job(job_id)
            if record.phase is JobPhase.RUNNING:
                self._deliver(record)
        finally:
            with self._lock:
                self._at_work.discard(job_id)

    def _deliver(self, record: JobRecord) -> None:
        key = record.id, record.task_id
        try:
            details = sftp_details(record.cluster, record.agent_id, record.key.role)
            with self._open(Origin(SFTP, self._address(record), details)) as sandbox:
                start = sandbox.wanted()
                if start is not None:
                    try:
                        sandbox.deliver(start, self._inputs.stream(record, start))
                    except StagingError as error:
                        sandbox.refuse(str(error))
                elif sandbox.begun():
                    with self._lock:
                        self._over[record.id] = record.task_id
                    self._looks.forget(key)
                    return
        except (SandboxGone, NotFound):
            self._looks.postpone(key)  # it may not be there yet
        except AiravataMesosError as error:
            self._looks.postpone(key)
            log.warning("job %d: its inputs have to wait: %s", record.id, error)
            if record.pending_reason != error.message:
                self._parts.ledger.annotate(record.id, pending_reason=error.message)
        else:
            self._looks.postpone(key)
