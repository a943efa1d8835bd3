"""Job configurations made without a daemon: to look at, and to check templates."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from airavata_mesos_plugin.clock import SystemClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.errors import InvalidRequest, NotFound
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, PastAttempt, Resources
from airavata_mesos_plugin.provider.input_methods import plan_inputs
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.service.parts import make_scheduler
from airavata_mesos_plugin.slurm.dispatch import run
from airavata_mesos_plugin.slurm.session import Invocation, JobControl
from airavata_mesos_plugin.store import JobSelection
from airavata_mesos_plugin.templating import TemplateLibrary, job_context

INPUTS_URL = "http://daemon.example/inputs/ticket"
"""Stands where the address of a real job's inputs would be."""


def unsubmitted(settings: ProviderSettings, request: JobRequest) -> JobRecord:
    """The record that a job with this request would have as the first one of a ledger."""
    queue = settings.queue(request.queue)
    now = SystemClock().now()
    return JobRecord(
        id=1,
        request=request,
        phase=JobPhase.ACCEPTED,
        cluster=queue.cluster,
        key=JobKey(queue.role, queue.environment, f"{settings.name}-00000000-1-1"),
        attempt=1,
        run=0,
        accepted_at=now,
        changed_at=now,
    )


def document(settings: ProviderSettings, request: JobRequest) -> Mapping[str, object]:
    """The validated configuration of a job with this request.

    Raises ConfigurationError or InvalidRequest.
    """
    queue = settings.queue(request.queue)
    cluster = settings.cluster(queue.cluster)
    scheduler = make_scheduler(cluster, SystemClock())
    try:
        context = job_context(
            unsubmitted(settings, request),
            queue,
            cluster,
            plan_inputs(queue, INPUTS_URL),
            settings.name,
        )
        made = TemplateLibrary(settings.template_directories).render_job(
            scheduler.kind, queue.template, context
        )
        scheduler.validate(made)
        return made
    finally:
        scheduler.close()


def sample(settings: ProviderSettings, queue_name: str) -> Mapping[str, object]:
    """The configuration of a small job in a queue."""
    queue = settings.queue(queue_name)
    request = JobRequest(
        name="sample",
        user="nobody",
        uid=65534,
        queue=queue_name,
        working_directory="/scratch/sample",
        resources=Resources(cpus=1, memory_mb=queue.default_memory_mb_per_cpu, disk_mb=queue.disk_mb),
        wall_time_seconds=60 * queue.default_wall_time_minutes,
    )
    return document(settings, request)


def rendered(settings: ProviderSettings, arguments: Sequence[str]) -> Mapping[str, object]:
    """The configuration that ``sbatch ARGUMENTS`` would submit from the present directory.

    Raises InvalidRequest with the words of sbatch.
    """
    taken = _Taker(settings)
    account = pwd.getpwuid(os.getuid())
    result = run(
        Invocation(
            command="sbatch",
            argv=list(arguments),
            cwd=os.getcwd(),  # noqa: PTH109 - a text, as the launcher sends it
            environ=os.environ,
            uid=account.pw_uid,
            user=account.pw_name,
            home=account.pw_dir,
            host=socket.gethostname(),
            read_file=lambda path: Path(path or "/dev/stdin").read_bytes(),
        ),
        taken,
    )
    if taken.request is None:
        raise InvalidRequest(result.stderr.strip())
    return document(settings, taken.request)


class _Taker:
    """A provider that takes the request of one job and submits nothing."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self.request: JobRequest | None = None

    @property
    def settings(self) -> ProviderSettings:
        return self._settings

    @property
    def control(self) -> JobControl:
        raise NotFound("there are no jobs to change")

    def submit(self, request: JobRequest, script: str, *, environment: str = "") -> JobRecord:  # noqa: ARG002
        self.request = request
        return unsubmitted(self._settings, request)

    def job(self, job_id: int) -> JobRecord:
        raise NotFound(f"no job has the id {job_id}")

    def jobs(self, selection: JobSelection) -> list[JobRecord]:  # noqa: ARG002 - there are none
        return []

    def script(self, job_id: int) -> str:
        raise NotFound(f"no job has the id {job_id}")

    def past_attempts(self, job_ids: Iterable[int]) -> list[PastAttempt]:  # noqa: ARG002 - there are none
        return []

    def request_cancel(self, job_id: int, by: str, uid: int) -> bool:  # noqa: ARG002 - there are none
        raise NotFound(f"no job has the id {job_id}")

    def nodes(self, cluster: str) -> list[Node]:  # noqa: ARG002 - no cluster is asked
        return []
