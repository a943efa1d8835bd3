"""A scheduler that says what a test tells it to, behind a mock with the real signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import Mock

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import ClusterSettings
from airavata_mesos_plugin.errors import AiravataMesosError, AlreadyExists
from airavata_mesos_plugin.jobs import JobKey, Resources
from airavata_mesos_plugin.schedulers.aurora.scheduler import AuroraScheduler
from airavata_mesos_plugin.schedulers.base import (
    CallResult,
    Node,
    SandboxAddress,
    Submission,
    TaskObservation,
)
from airavata_mesos_plugin.states import AURORA_PHASES
from airavata_mesos_plugin.testing.sandbox_agent import SandboxAgent, leave_result
from airavata_mesos_plugin.testing.settings import NOWHERE

_HOST = "agent1.example.org"
_WITHOUT_HOST = frozenset({"INIT", "THROTTLED", "PENDING"})
_ROOM = Resources(cpus=16, memory_mb=65536, disk_mb=1_000_000, gpus=4)


@dataclass(frozen=True)
class Look:
    """What one look at a job shows.

    ``state`` is one of Aurora's task states. ``run`` counts the tasks that the scheduler started before this
    one. ``exit_code`` is what the wrapper leaves in the sandbox with a state that ends the job; None: 0 for
    FINISHED, 1 for FAILED, and no result for the others.
    """

    state: str
    message: str = ""
    run: int = 0
    host: str = _HOST
    exit_code: int | None = None
    kill_seen: bool = False


Step = Look | str | AiravataMesosError | None
"""A state alone stands for a `Look`; an error is raised; None: the scheduler does not know the job."""


@dataclass
class _Job:
    steps: list[Step]
    created_at: float
    metadata: tuple[tuple[str, str], ...]
    at: int = -1
    started_at: float | None = None
    changed: dict[int, float] = field(default_factory=dict)
    sandbox: tuple[Path, SandboxAddress] | None = None


class ScriptedScheduler:
    """``mock`` is what a provider is given: an autospec of `Scheduler` whose calls work as told here.

    A job that was created shows the steps of its script, one at each look, and stays at the last one. Jobs
    without a script of their own share that of `jobs_go`. A test may replace any answer of ``mock`` in the
    ways of `unittest.mock`.
    """

    def __init__(self, mock: Mock, clock: Clock, agent: SandboxAgent) -> None:
        """``mock`` is made with ``create_autospec(Scheduler, instance=True)``."""
        self.mock = mock
        self.agent = agent
        self.created: list[JobKey] = []
        """Keys of all create calls that were carried out, in their order."""
        self.documents: dict[JobKey, Mapping[str, object]] = {}
        """The newest job configuration that was sent for each key."""
        self.pending: dict[JobKey, str] = {}
        """Why jobs wait."""
        self.nodes = [Node(_HOST, _ROOM, Resources(cpus=0, memory_mb=0, disk_mb=0))]
        self.down: AiravataMesosError | None = None
        """While set, every call that goes over the network fails with it."""
        self.ignores_kills = False
        self._clock = clock
        self._common: list[Step] = ["PENDING", "RUNNING", "FINISHED"]
        self._scripts: dict[JobKey, list[Step]] = {}
        self._answers: list[tuple[AiravataMesosError | None, bool]] = []
        self._jobs: dict[JobKey, _Job] = {}
        # Never contacted: only its check of documents is used, which needs no network.
        self._real = AuroraScheduler(
            ClusterSettings(name="scripted", schedulers=[NOWHERE], mesos_masters=[NOWHERE]),
            clock,
        )
        self._wire()

    def jobs_go(self, *steps: Step) -> None:
        """What all jobs show that have no script of their own and are created from now on.

        Raises ValueError for a state that Aurora does not have.
        """
        self._common = _checked(steps)

    def job_goes(self, key: JobKey, *steps: Step) -> None:
        """What this job shows from its next look on, or once it is created. As `jobs_go`."""
        self._scripts[key] = _checked(steps)
        if key in self._jobs:
            job = self._jobs[key]
            job.steps, job.at, job.changed = self._scripts[key], -1, {}

    def answer_next_create(self, error: AiravataMesosError | None, *, carried_out: bool = False) -> None:
        """The next job that is created gets this answer; further calls are for those after it.

        ``carried_out``: the job is there although the answer was an error, as when an answer is lost.
        """
        self._answers.append((error, carried_out or error is None))

    def sandbox(self, key: JobKey) -> Path:
        """The job's sandbox, for files that shall come back. Raises KeyError before the job is created."""
        return self._place(self._jobs[key])[0]

    def close(self) -> None:
        """Give up what it holds. Repeatable."""
        self._real.close()

    # What the mock does

    def _wire(self) -> None:
        mock = self.mock
        mock.kind = "aurora"
        mock.starts_together = False
        mock.validate.side_effect = self._real.validate
        mock.submit.side_effect = self._submit
        mock.poll.side_effect = self._poll
        mock.cancel.side_effect = self._cancel
        mock.pending_reasons.side_effect = self._pending_reasons
        mock.sandboxes.side_effect = self._sandboxes
        mock.capacity.side_effect = self._capacity
        mock.check.return_value = []

    def _reached(self) -> None:
        if self.down is not None:
            raise self.down

    def _submit(self, submissions: Sequence[Submission]) -> list[CallResult]:
        return [CallResult(item.key, self._create(item)) for item in submissions]

    def _create(self, item: Submission) -> AiravataMesosError | None:
        if self.down is not None:
            return self.down
        if item.key in self._jobs and not self._over(self._jobs[item.key]):
            return AlreadyExists(f"Job already exists: {item.key}")
        error, carried_out = self._answers.pop(0) if self._answers else (None, True)
        if carried_out:
            steps = self._scripts.get(item.key, self._common)
            self._jobs[item.key] = _Job(steps, self._clock.now(), _metadata(item.document))
            self.created.append(item.key)
            self.documents[item.key] = item.document
        return error

    @staticmethod
    def _over(job: _Job) -> bool:
        look = _look(job.steps[max(job.at, 0)])
        return isinstance(look, Look) and AURORA_PHASES[look.state].final

    def _poll(self, keys: Sequence[JobKey]) -> dict[JobKey, TaskObservation]:
        self._reached()
        found = {}
        for key in keys:
            job = self._jobs.get(key)
            if job is None:
                continue
            job.at = min(job.at + 1, len(job.steps) - 1)
            look = _look(job.steps[job.at])
            if isinstance(look, AiravataMesosError):
                raise look
            if look is not None:
                found[key] = self._observation(key, job, look)
        return found

    def _observation(self, key: JobKey, job: _Job, look: Look) -> TaskObservation:
        now = self._clock.now()
        phase = AURORA_PHASES[look.state]
        waits = look.state in _WITHOUT_HOST
        if look.state == "RUNNING" and job.started_at is None:
            job.started_at = now
        if phase.final:
            self._end(job, look)
        return TaskObservation(
            key=key,
            task_id=f"{key.role}-{key.environment}-{key.name}-0-{look.run}",
            native_state=look.state,
            phase=phase,
            run=look.run,
            changed_at=job.changed.setdefault(job.at, now),
            queued_at=job.created_at + look.run,
            started_at=job.started_at,
            host="" if waits else look.host,
            agent_id="" if waits else "agent-1",
            message=look.message,
            kill_seen=look.kill_seen,
            metadata=job.metadata,
        )

    def _end(self, job: _Job, look: Look) -> None:
        code = {"FINISHED": 0, "FAILED": 1}.get(look.state) if look.exit_code is None else look.exit_code
        if code is not None and job.at not in job.changed:
            leave_result(self._place(job)[0], code)

    def _cancel(self, keys: Sequence[JobKey], message: str) -> list[CallResult]:
        if self.down is not None:
            return [CallResult(key, self.down) for key in keys]
        for key in keys:
            job = self._jobs.get(key)
            if job is None or self.ignores_kills or self._over(job):
                continue
            look = _look(job.steps[max(job.at, 0)])
            if isinstance(look, Look) and look.state in _WITHOUT_HOST:
                del self._jobs[key]  # Aurora 0.22 forgets a task that is killed before it has a host
            else:
                job.steps, job.at = [Look("KILLED", message, kill_seen=True)], -1
        return [CallResult(key) for key in keys]

    def _pending_reasons(self, keys: Sequence[JobKey]) -> dict[JobKey, str]:
        self._reached()
        return {key: self.pending[key] for key in keys if key in self.pending}

    def _sandboxes(self, tasks: Sequence[TaskObservation]) -> dict[JobKey, SandboxAddress]:
        self._reached()
        return {
            task.key: self._place(self._jobs[task.key])[1]
            for task in tasks
            if task.agent_id and task.key in self._jobs
        }

    def _capacity(self) -> list[Node]:
        self._reached()
        return self.nodes

    def _place(self, job: _Job) -> tuple[Path, SandboxAddress]:
        if job.sandbox is None:
            job.sandbox = self.agent.sandbox()
        return job.sandbox


def _look(step: Step) -> Look | AiravataMesosError | None:
    return Look(step) if isinstance(step, str) else step


def _checked(steps: Sequence[Step]) -> list[Step]:
    if not steps:
        raise ValueError("a script has one step at least")
    for step in steps:
        look = _look(step)
        if isinstance(look, Look) and look.state not in AURORA_PHASES:
            raise ValueError(f"Aurora has no state {look.state!r}; it has {', '.join(AURORA_PHASES)}")
    return list(steps)


def _metadata(document: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    entries = document.get("metadata")
    if not isinstance(entries, list):
        return ()
    return tuple((str(entry["key"]), str(entry["value"])) for entry in entries)
