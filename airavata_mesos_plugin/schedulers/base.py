"""The contract of a scheduler: what the provider may ask, what a repeat of each call does.

All calls take and give lists; an adapter splits them as its server needs. All calls may block on the
network, but never longer than the deadline that the adapter was configured with. Errors that concern the
whole call are raised (see `errors`); errors of one job are in that job's result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from airavata_mesos_plugin.errors import AiravataMesosError
from airavata_mesos_plugin.jobs import JobKey, JobPhase, Resources


@dataclass(frozen=True)
class Submission:
    """One job to create: its key and the rendered configuration in the scheduler's own JSON form."""

    key: JobKey
    document: Mapping[str, object]


@dataclass(frozen=True)
class CallResult:
    """What became of one job of a submit or cancel call; ``error`` is None when it worked."""

    key: JobKey
    error: AiravataMesosError | None = None


@dataclass(frozen=True)
class NodeTask:
    """The task of one node of a job over several nodes; empty where it never was anywhere."""

    task_id: str = ""
    agent_id: str = ""


@dataclass(frozen=True)
class TaskObservation:
    """What the scheduler says about the newest task of a job.

    ``phase`` comes from the tables of `states`. ``run`` counts the tasks that the scheduler started
    for the job before this one. Times are seconds since the epoch.
    """

    key: JobKey
    task_id: str
    native_state: str
    phase: JobPhase
    run: int
    changed_at: float
    queued_at: float | None = None
    started_at: float | None = None
    host: str = ""
    agent_id: str = ""
    message: str = ""
    kill_seen: bool = False  # the scheduler was asked, by anybody, to kill this task
    metadata: tuple[tuple[str, str], ...] = ()  # what the job's configuration says of itself
    nodes: tuple[NodeTask, ...] = ()  # of a job over several nodes: the newest task of each, in their order


@dataclass(frozen=True)
class SandboxAddress:
    """Where the files of a task are: base URL of the agent, virtual path of the working directory there.

    ``access`` names the cluster whose credentials and certificates this agent asks for; empty for none. No
    other agent ever gets them.
    """

    agent_url: str
    path: str
    access: str = ""


@dataclass(frozen=True)
class Node:
    """One agent: what it has in all and what is taken now."""

    name: str
    total: Resources
    used: Resources
    attributes: Mapping[str, str] = field(default_factory=dict)
    active: bool = True


@dataclass(frozen=True)
class Check:
    """One line of a diagnosis: what was looked at, whether it is well, what was found or what to do."""

    subject: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class KnownJob:
    """A job that the scheduler has, or still remembers, with what its configuration says of it.

    ``task`` is its newest task, where that is known.
    """

    key: JobKey
    active: bool
    metadata: tuple[tuple[str, str], ...]
    resources: Resources
    task: TaskObservation | None = None


@runtime_checkable
class KeepsMetadata(Protocol):
    """A scheduler that can tell which jobs it has; from that a lost ledger is made again."""

    def known_jobs(self, role: str) -> Sequence[KnownJob]:
        """The jobs of a role, ended ones as long as they are remembered. Repeatable.

        Raises when the scheduler could not be asked.
        """


@runtime_checkable
class TakesOver(Protocol):
    """A scheduler whose own records were lost with the ledger. Both calls are repeatable, and for a process
    that asks for no jobs besides.
    """

    def may_take_over(self, keys: Collection[JobKey]) -> None:
        """Look whether these of the `KeepsMetadata.known_jobs` can be taken over.

        Raises InvalidRequest when they cannot: somebody else may be following them.
        """

    def take_over(self, keys: Collection[JobKey], ended: Collection[JobKey]) -> None:
        """Follow from now on what has these jobs, with everything that is under way there.

        Of jobs that are over those in ``ended`` are remembered. Durable on return. Raises as `may_take_over`,
        and LedgerError.
        """


class SchedulerStore(Protocol):
    """Where an adapter that schedules by itself keeps what it must not forget: texts by name.

    Safe to use from several threads. Both raise LedgerError.
    """

    def load(self) -> Mapping[str, str]:
        """Everything that is kept. Repeatable."""

    def keep(self, changes: Mapping[str, str | None]) -> None:
        """Write texts, and drop those that are None: all of them or, when it raises, none.

        Durable on return. A repeat changes nothing.
        """


class Leader(Protocol):
    """Who is asked at present. Implementations are safe to use from several threads."""

    def addresses(self, seconds: float) -> Sequence[str]:
        """Base URLs to try in this order, the one that leads first; empty when nobody is known.

        Waits ``seconds`` at most. Repeatable. Raises ConfigurationError for settings that cannot work.
        """

    def note_failure(self) -> None:
        """None of these addresses took a call: look again before the next answer. Repeatable."""

    def close(self) -> None:
        """Give up connections. Repeatable."""


class FixedLeader:
    """A list that an administrator wrote; whoever leads among them is found by asking."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)

    def addresses(self, seconds: float) -> Sequence[str]:  # noqa: ARG002 - the list is always at hand
        return self._addresses

    def note_failure(self) -> None:
        """Nothing to look up again."""

    def close(self) -> None:
        """Nothing is open."""


class Scheduler(ABC):
    """One cluster's scheduler. Implementations are safe to use from several threads."""

    kind: str
    """Name of the scheduler's template folder: ``aurora`` or ``mesos``."""

    starts_together: bool = False
    """Whether a job over several nodes gets all of them in one step, or none."""

    @abstractmethod
    def validate(self, document: Mapping[str, object]) -> None:
        """Check a rendered job configuration without any network access.

        Raises InvalidRequest that names the wrong member. Repeatable.
        """

    @abstractmethod
    def submit(self, submissions: Sequence[Submission]) -> list[CallResult]:
        """Create jobs. One result per submission, in the same order.

        NOT repeatable: a result whose error says ``outcome_unknown``, or a crash before the result was
        stored, must be followed by `poll` of the key before another try. AlreadyExists means that an
        active job has the key.
        """

    @abstractmethod
    def poll(self, keys: Sequence[JobKey]) -> dict[JobKey, TaskObservation]:
        """The newest task of each job, finished ones included. Repeatable.

        A key that is missing in the answer is not known to the scheduler now: it was never created, its
        history has been pruned, or it was killed before it started. That is no statement about its end.
        Raises when the scheduler could not be asked.
        """

    @abstractmethod
    def cancel(self, keys: Sequence[JobKey], message: str) -> list[CallResult]:
        """Ask for the end of jobs. Repeatable; a job that is over or unknown is no error.

        Returns when the scheduler has taken the request, not when the tasks have ended.
        """

    @abstractmethod
    def pending_reasons(self, keys: Sequence[JobKey]) -> dict[JobKey, str]:
        """Why waiting jobs wait, in the scheduler's words. Repeatable. Keys without a reason are missing."""

    @abstractmethod
    def sandboxes(self, tasks: Sequence[TaskObservation]) -> dict[JobKey, SandboxAddress]:
        """Where the files of these tasks are: one for each key. Repeatable. Tasks that never had a host are
        missing.

        Raises SandboxGone only through the later access: an address is no promise that files exist.
        """

    @abstractmethod
    def capacity(self) -> list[Node]:
        """The nodes of the cluster. Repeatable. An empty list means that none has registered."""

    @abstractmethod
    def check(self) -> list[Check]:
        """Look at everything that the adapter needs, for a diagnosis. Repeatable. Raises nothing."""

    @abstractmethod
    def close(self) -> None:
        """Give up connections. Repeatable."""
