"""A provider in memory, and a way to type a command line at it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from airavata_mesos_plugin.clock import ManualClock
from airavata_mesos_plugin.config import ProviderSettings
from airavata_mesos_plugin.errors import NotFound, Refused
from airavata_mesos_plugin.jobs import (
    Hold,
    JobKey,
    JobPhase,
    JobRecord,
    JobRequest,
    PastAttempt,
    Resources,
    array_indexes,
)
from airavata_mesos_plugin.provider.control import Control
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.slurm.dispatch import run
from airavata_mesos_plugin.slurm.session import Invocation, JobControl, JobProvider, Result
from airavata_mesos_plugin.store import JobSelection

NOW = 1_795_364_400.0  # 2026-11-22T16:20:00 UTC


class FakeProvider:
    """Keeps what it is given, as the real provider would."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self.records: dict[int, JobRecord] = {}
        self.scripts: dict[int, str] = {}
        self.node_list: list[Node] = []
        self.cancelled: list[int] = []
        self.failure: Exception | None = None
        self.environments: dict[int, str] = {}
        self.attempts: list[PastAttempt] = []
        self.control: JobControl = create_autospec(Control, instance=True)

    def submit(self, request: JobRequest, script: str, *, environment: str = "") -> JobRecord:
        if self.failure is not None:
            raise self.failure
        indexes = array_indexes(request.array) if request.array else ()
        record = self.add(request)
        self.scripts[record.id] = script
        self.environments[record.id] = environment
        if indexes:
            first = record.id
            for index in (indexes[-1], *indexes[:-1]):
                number = record.id if index == indexes[-1] else self.add(request).id
                task = replace(self.records[number], array_id=first, array_index=index)
                self.records[number] = task
        return self.records[record.id]

    def script(self, job_id: int) -> str:
        return self.scripts[job_id]

    def past_attempts(self, job_ids: Iterable[int]) -> list[PastAttempt]:
        wanted = set(job_ids)
        return [attempt for attempt in self.attempts if attempt.job_id in wanted]

    def add(self, request: JobRequest) -> JobRecord:
        number = max(self.records, default=0) + 1
        record = JobRecord(
            id=number,
            request=request,
            phase=JobPhase.ACCEPTED,
            held=Hold.USER if request.hold else None,
            begin_at=request.begin_at,
            dependency=request.dependency,
            wait_reason="JobHeldUser" if request.hold else "",
            cluster="main",
            key=JobKey("airavata", "prod", f"job-{number}"),
            attempt=1,
            run=0,
            accepted_at=NOW - 60,
            changed_at=NOW - 60,
        )
        self.records[number] = record
        return record

    def job(self, job_id: int) -> JobRecord:
        if job_id not in self.records:
            raise NotFound(f"no job {job_id}")
        return self.records[job_id]

    def jobs(self, selection: JobSelection) -> list[JobRecord]:
        def fits(job: JobRecord) -> bool:
            families = selection.families
            return (families is None or not families.isdisjoint({job.id, job.array_id})) and all(
                wanted is None or value in wanted
                for wanted, value in (
                    (selection.ids, job.id),
                    (selection.names, job.request.name),
                    (selection.users, job.request.user),
                    (selection.queues, job.request.queue),
                    (selection.phases, job.phase),
                )
            )

        found = [job for _, job in sorted(self.records.items(), reverse=True) if fits(job)]
        return found[: selection.limit]

    def request_cancel(self, job_id: int, by: str, uid: int) -> bool:
        job = self.job(job_id)
        if uid not in (0, job.request.uid):
            raise Refused(f"job {job_id} belongs to {job.request.user}")
        if job.phase.final:
            return False
        self.cancelled.append(job_id)
        self.records[job_id] = replace(job, cancel_requested_by=by, cancel_requested_uid=uid)
        return True

    def nodes(self, cluster: str) -> list[Node]:
        assert cluster == "main"
        return self.node_list


def as_contract(fake: FakeProvider) -> JobProvider:
    """Seen by the type checker: the fake keeps the contract."""
    return fake


@pytest.fixture
def fake() -> FakeProvider:
    return FakeProvider(
        ProviderSettings.model_validate(
            {
                "name": "mesos",
                "clusters": [
                    {
                        "name": "main",
                        "schedulers": ["http://127.0.0.1:1"],
                        "mesos_masters": ["http://127.0.0.1:1"],
                    }
                ],
                "queues": [
                    {
                        "name": "batch",
                        "cluster": "main",
                        "role": "airavata",
                        "default_memory_mb_per_cpu": 500,
                        "default_wall_time_minutes": 30,
                        "max_wall_time_minutes": 1440,
                        "disk_mb": 1000,
                    },
                    {
                        "name": "short",
                        "cluster": "main",
                        "role": "airavata",
                        "default_wall_time_minutes": 5,
                        "max_wall_time_minutes": 5,
                        "max_cpus": 2,
                        "max_memory_mb": 2048,
                    },
                ],
                "max_script_bytes": 4096,
            }
        )
    )


@pytest.fixture
def records(fake: FakeProvider) -> dict[int, JobRecord]:
    """The ledger."""
    return fake.records


@pytest.fixture
def scripts(fake: FakeProvider) -> dict[int, str]:
    """The scripts in the ledger."""
    return fake.scripts


@pytest.fixture
def cancelled(fake: FakeProvider) -> list[int]:
    """The jobs whose end was asked for."""
    return fake.cancelled


@pytest.fixture
def add_node(fake: FakeProvider) -> Callable[..., None]:
    """Put a node into the cluster."""

    def add(name: str, cpus: float, memory_mb: int, used: float = 0, active: bool = True) -> None:
        fake.node_list.append(
            Node(
                name,
                Resources(cpus=cpus, memory_mb=memory_mb, disk_mb=10_000),
                Resources(cpus=used, memory_mb=0, disk_mb=0),
                active=active,
            )
        )

    return add


@pytest.fixture
def fail_submit(fake: FakeProvider) -> Callable[[Exception], None]:
    """Let the next submissions fail."""

    def fail(error: Exception) -> None:
        fake.failure = error

    return fail


@pytest.fixture
def add_job(fake: FakeProvider) -> Callable[..., JobRecord]:
    """Put a job into the ledger; ``request`` holds members of the request, the rest is of the record."""

    def add(phase: JobPhase, request: Mapping[str, object] | None = None, **changes: object) -> JobRecord:
        members: dict[str, object] = {
            "name": "job.sh",
            "user": "alice",
            "uid": 5001,
            "queue": "batch",
            "working_directory": "/home/alice/run",
            "resources": Resources(cpus=1, memory_mb=500, disk_mb=1000),
            "wall_time_seconds": 1800,
        }
        record = fake.add(JobRequest.model_validate({**members, **(request or {})}))
        fake.records[record.id] = replace(record, phase=phase, **changes)  # type: ignore[arg-type]
        return fake.records[record.id]

    return add


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Where commands are typed."""
    path = tmp_path / "run"
    path.mkdir()
    return path


@pytest.fixture
def call(fake: FakeProvider, workdir: Path) -> Callable[..., Result]:
    """Type a command line (a text, split as a shell does, or its words) as a user."""

    def type_command(
        line: str | list[str],
        *,
        environ: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        user: str = "alice",
        uid: int = 5001,
        cwd: str | None = None,
    ) -> Result:
        command, *argv = shlex.split(line) if isinstance(line, str) else line
        directory = str(workdir) if cwd is None else cwd

        def read_file(path: str | None) -> bytes:
            if path is None:
                if stdin is None:
                    raise OSError(9, "Bad file descriptor")
                return stdin
            return Path(directory, path).read_bytes()

        invocation = Invocation(
            command,
            argv,
            directory,
            {"TZ": "UTC", **(environ or {})},
            uid,
            user,
            f"/home/{user}",
            "login1",
            read_file,
        )
        return run(invocation, fake, ManualClock(NOW))

    return type_command
