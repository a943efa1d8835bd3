"""A provider with a ledger of its own, whose life cycle a test drives turn by turn."""

from __future__ import annotations

import getpass
import itertools
import os
from collections.abc import Mapping
from pathlib import Path

from airavata_mesos_plugin.clock import Clock, ManualClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.jobs import JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.sandbox.agent.files_api import FilesClient
from airavata_mesos_plugin.schedulers.base import Scheduler
from airavata_mesos_plugin.service.http import StagingServer
from airavata_mesos_plugin.store import Ledger
from airavata_mesos_plugin.testing.loop_thread import LoopThread
from airavata_mesos_plugin.testing.parts import parts_of
from airavata_mesos_plugin.testing.waiting import wait_for

SCRIPT = "#!/bin/sh\ntrue\n"
_TURNS = 1000
"""Turns after which a job that only needs turns will not get there any more."""


class ProviderStage:
    """Holds a provider between `start` and `stop`; `restart` is what a new daemon finds.

    Inputs are served to agents over a real socket, outputs come over the files API. ``provider`` and
    ``ledger`` may be used directly.
    """

    provider: Provider
    ledger: Ledger

    def __init__(
        self,
        directory: Path,
        settings: ProviderSettings,
        schedulers: Mapping[str, Scheduler],
        clock: Clock,
        *,
        pause: float = 0.0,
    ) -> None:
        """``schedulers`` are the adapters by cluster; closing them is the caller's. ``pause`` is how many
        seconds `wait_for_phase` leaves real servers between two turns; with 0 nobody else is waited for.
        """
        self.directory = directory
        self.settings = settings
        self.clock = clock
        self._schedulers = schedulers
        self._pause = pause
        self._numbers = itertools.count(1)
        self._loop = LoopThread("staging")
        self._loop.start()
        self._staging: StagingServer | None = None
        self._files: FilesClient | None = None

    def start(self) -> None:
        """As a daemon begins: nothing is left of what an earlier one had in memory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        staging = StagingServer(self.settings.staging, self.directory / "staging.port")
        files = FilesClient(self.settings.fetch)
        self.ledger = Ledger(self.directory / "ledger.db", self.clock)
        self.parts = parts_of(
            self.settings,
            self.ledger,
            self._schedulers,
            self.clock,
            files=files,
            staging_url=lambda: staging.url,
        )
        self.provider = Provider(self.parts)
        self._loop.run(staging.start(self.provider))
        self._staging, self._files = staging, files

    def restart(self) -> None:
        """End this provider in the middle of its work, and begin another one on the same ledger."""
        self._end()
        self.start()

    def stop(self) -> None:
        """Close everything that was opened here."""
        self._end()
        self._loop.stop()

    def _end(self) -> None:
        if self._staging is not None and self._files is not None:
            self._loop.run(self._staging.stop())
            self._files.close()
            self.ledger.close()
            self._staging = None

    def submit(self, script: str = SCRIPT, **members: object) -> int:
        """Accept a job of this account in a new working directory; its id.

        ``members`` are those of `JobRequest`, and go over the defaults: one core, 64 MiB, ten minutes, the
        first queue. Raises what `Provider.submit` raises.
        """
        number = next(self._numbers)
        request = {
            "name": f"job-{number}",
            "user": getpass.getuser(),
            "uid": os.geteuid(),
            "queue": self.settings.queues[0].name,
            "resources": Resources(cpus=1, memory_mb=64, disk_mb=64),
            "wall_time_seconds": 600,
            **members,
        }
        if "working_directory" not in request:
            work = self.directory / "work" / str(number)
            work.mkdir(parents=True)
            request["working_directory"] = str(work)
        return self.provider.submit(JobRequest.model_validate(request), script).id

    def turn(self) -> None:
        """All that a daemon does once: submit what waits, look at the clusters, fetch what is due."""
        for name in self.parts.views:
            self.provider.eligibility.step(name)
            self.provider.gangs.step(name)
            self.provider.submitter.step(name)
            self.provider.monitor.round(name)
        for job_id in self.provider.collector.take_due():
            self.provider.collector.collect(job_id)

    def job(self, job_id: int) -> JobRecord:
        """What the ledger says. Raises NotFound."""
        return self.provider.job(job_id)

    def phase(self, job_id: int) -> JobPhase:
        """Where the job stands. Raises NotFound."""
        return self.job(job_id).phase

    def phases(self, job_id: int) -> list[JobPhase]:
        """Where the job has been, each phase once, in the order of the ledger's events. Raises NotFound."""
        seen = [event.phase for event in self.provider.events(job_id)]
        return list(dict.fromkeys(seen))

    def work(self, job_id: int) -> Path:
        """The job's working directory. Raises NotFound."""
        return Path(self.job(job_id).request.working_directory)

    def wait_for_phase(self, job_id: int, *phases: JobPhase | str, seconds: float = 60.0) -> JobRecord:
        """Take turns until the job is in one of the phases (`JobPhase` or its word); its record then.

        A `ManualClock` moves by one poll interval between two turns. Raises AssertionError with the job's
        history when it does not get there: in ``seconds`` with real servers, in 1,000 turns without; and
        ValueError for a word that is no phase.
        """
        wanted = " or ".join(JobPhase(phase).value for phase in phases)
        turns = itertools.count()

        def look() -> JobRecord:
            turn = next(turns)
            if turn:
                self._let_time_pass()
            self.turn()
            record = self.job(job_id)
            if record.phase not in phases and (record.phase.final or (not self._pause and turn > _TURNS)):
                raise AssertionError(
                    f"job {job_id} is not {wanted} but {record.phase.value}\n{self._history(job_id)}"
                )
            return record

        return wait_for(
            look,
            lambda record: record.phase in phases,
            f"job {job_id} {wanted}",
            seconds=seconds,
            pause=self._pause,
            context=lambda: self._history(job_id),
        )

    def _let_time_pass(self) -> None:
        if isinstance(self.clock, ManualClock):
            self.clock.advance(max(cluster.poll_interval_seconds for cluster in self.settings.clusters))

    def _history(self, job_id: int) -> str:
        events = self.provider.events(job_id)
        return "\n".join(f"{one.time:.3f} {one.phase.value} {one.source}: {one.reason}" for one in events)
