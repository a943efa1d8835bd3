"""What a job is: the request, its resources, its phases and the record that the ledger keeps. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from airavata_mesos_plugin import hostlist


class JobPhase(str, Enum):
    """Where a job stands. Phases have an order; the last five are final."""

    ACCEPTED = "accepted"  # in the ledger, nothing sent anywhere
    SUBMITTING = "submitting"  # a create call is about to be, or has been, sent
    QUEUED = "queued"  # the scheduler has it and it waits for a host
    RUNNING = "running"
    FETCHING = "fetching"  # the task is over, its outputs are on their way
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"  # ended by us at its wall time
    CANCELLED = "cancelled"
    LOST = "lost"  # the cluster lost it; nobody knows how far it came

    @property
    def rank(self) -> int:
        """Position in the order; all final phases share the last place."""
        return _RANKS.get(self, _FINAL_RANK)

    @property
    def final(self) -> bool:
        """True when nothing can follow."""
        return self not in _RANKS


_RANKS = {
    JobPhase.ACCEPTED: 0,
    JobPhase.SUBMITTING: 1,
    JobPhase.QUEUED: 2,
    JobPhase.RUNNING: 3,
    JobPhase.FETCHING: 4,
}
_FINAL_RANK = 5

ACTIVE_PHASES = frozenset(_RANKS)
FINAL_PHASES = frozenset(JobPhase) - ACTIVE_PHASES


class Resources(BaseModel):
    """What one node has to give a job."""

    model_config = ConfigDict(frozen=True)

    cpus: float
    memory_mb: int
    disk_mb: int
    gpus: int = 0

    def fits_in(self, other: Resources) -> bool:
        """True when every amount is at most ``other``'s."""
        return (
            self.cpus <= other.cpus
            and self.memory_mb <= other.memory_mb
            and self.disk_mb <= other.disk_mb
            and self.gpus <= other.gpus
        )


class JobRequest(BaseModel):
    """What somebody asked for, complete: queue defaults are filled in, every limit has been checked.

    ``working_directory`` is absolute. ``stdout`` and ``stderr`` are paths relative to it (or
    ``/dev/null``) with patterns such as ``%j`` not yet replaced; ``stderr`` is None when both go
    into one file. The script's text travels beside the request (``Provider.submit(request, script)``)
    and is kept apart in the ledger, so that listings stay small.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    user: str
    uid: int
    queue: str
    working_directory: str
    working_directory_aliases: tuple[str, ...] = ()  # other spellings of it, for scripts that name it
    script_arguments: tuple[str, ...] = ()
    nodes: int = 1
    tasks: int = 1
    tasks_given: bool = False  # SLURM sets SLURM_NTASKS only when the number was asked for
    cpus_per_task: int | None = None
    tasks_per_node: int | None = None
    resources: Resources  # on each node
    memory_given: bool = False  # --mem was given, not --mem-per-cpu or the queue's default
    wall_time_seconds: int
    stdout: str = "slurm-%j.out"
    stderr: str | None = None
    account: str = ""
    qos: str = ""
    reservation: str = ""
    mail_user: str = ""
    mail_types: tuple[str, ...] = ()
    comment: str = ""
    submit_host: str = ""
    submit_line: str = ""  # the command as it was typed
    command: str = ""  # where the script was found
    gid: int | None = None
    umask: int | None = None  # of the submitter; None leaves the node's
    stdin: str = "/dev/null"  # as stdout, but it has to be there
    append_output: bool = False
    export: str | None = None  # the value of --export; None without it
    gpus_given: bool = False  # as a number for the job, not for the node
    hold: bool = False
    begin_at: float | None = None  # seconds since the epoch
    dependency: str = ""  # in the form of `provider.dependencies`
    requeue: bool | None = None  # True: start it again when the cluster lost it; False: never again
    array: str = ""  # indexes of the array that it is a task of, as `array_text` writes them
    array_limit: int = 0  # tasks of the array that may be under way together; 0: all
    submission_key: str = ""  # made by the submitter; the same account with the same key means the same job
    constraints: tuple[tuple[str, str], ...] = ()  # attributes of nodes, beside those of the queue
    labels: tuple[tuple[str, str], ...] = ()  # of the submitter, to find the job again

    @property
    def tasks_on_nodes(self) -> tuple[int, ...]:
        """The tasks of each node: as many on each as can be, or full nodes first where a number was given."""
        if self.tasks_per_node is not None and self.nodes * self.tasks_per_node >= self.tasks:
            # Every node has one at least.
            spare = self.tasks - self.nodes
            counts = []
            for _ in range(self.nodes):
                more = max(0, min(spare, self.tasks_per_node - 1))
                spare -= more
                counts.append(1 + more)
            return tuple(counts)
        least, rest = divmod(self.tasks, self.nodes)
        return tuple(least + (number < rest) for number in range(self.nodes))

    @property
    def all_resources(self) -> Resources:
        """What the job has on all its nodes together."""
        one = self.resources
        return Resources(
            cpus=one.cpus * self.nodes,
            memory_mb=one.memory_mb * self.nodes,
            disk_mb=one.disk_mb * self.nodes,
            gpus=one.gpus * self.nodes,
        )


class Hold(str, Enum):
    """Who holds a job back; a user cannot undo what an administrator did."""

    USER = "user"
    ADMIN = "admin"


_SPAN = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9}))?)?", re.ASCII)


@lru_cache(maxsize=1024)
def array_indexes(text: str) -> tuple[int, ...]:
    """The indexes of ``0-3,7`` or ``1-9:2`` in their order, each once. Raises ValueError."""
    indexes: set[int] = set()
    number = 0
    for part in text.split(","):
        match = _SPAN.fullmatch(part)
        if match is None:
            raise ValueError(f"not a list of indexes: {text!r}")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        step = 1 if match[3] is None else int(match[3])
        # The caller limits indexes, but spans must not fill the memory before it can.
        number += (last - first) // max(1, step) + 1
        if last < first or step < 1 or number > MOST_INDEXES:
            raise ValueError(f"not a list of indexes: {text!r}")
        indexes.update(range(first, last + 1, step))
    return tuple(sorted(indexes))


MOST_INDEXES = 100_000


def array_text(indexes: Iterable[int]) -> str:
    """Indexes in SLURM's short form: ``1-3,7``."""
    runs: list[list[int]] = []
    for index in sorted(set(indexes)):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


@dataclass(frozen=True)
class JobKey:
    """Name of a job inside one cluster: Aurora's role/environment/name."""

    role: str
    environment: str
    name: str

    def __str__(self) -> str:
        return f"{self.role}/{self.environment}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> JobKey:
        """The key written as ``role/environment/name``; ValueError for anything else."""
        parts = text.split("/")
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"not a job key: {text!r}")
        return cls(*parts)


@dataclass(frozen=True)
class JobRecord:
    """One row of the ledger. Times are seconds since the epoch; None where it has not happened yet."""

    id: int
    request: JobRequest
    phase: JobPhase
    cluster: str
    key: JobKey
    attempt: int  # our own counter of create calls that were meant to start something new
    run: int  # how often the scheduler itself started the job anew within the attempt, from 0
    accepted_at: float
    changed_at: float
    queued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None  # end of the task, not of the fetch
    native_state: str = ""
    task_id: str = ""
    host: str = ""  # of the first node, as the scheduler calls it
    node_list: str = ""  # of a job over several nodes once all are there, as `hostlist.in_order` writes it
    agent_id: str = ""
    outcome: JobPhase | None = None  # final phase that awaits the end of the fetch
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    pending_reason: str = ""
    cancel_requested_at: float | None = None
    cancel_requested_by: str = ""
    cancel_requested_uid: int | None = None
    cancel_sent_at: float | None = None  # the scheduler acknowledged a kill
    submitted_at: float | None = None  # of the present attempt; None: accepted_at
    array_id: int | None = None
    array_index: int | None = None
    held: Hold | None = None
    begin_at: float | None = None
    dependency: str = ""  # what of the request's is not fulfilled yet
    wait_reason: str = ""  # SLURM's word for why the job is kept back; empty when it may be submitted
    eligible_at: float | None = None  # when nothing kept it back any more; None when nothing ever did
    requeue_requested_at: float | None = None
    requeue_requested_by: str = ""

    @property
    def shown_nodes(self) -> str:
        """The job's nodes in SLURM's short form; empty while it has none."""
        return self.node_list or self.host

    @property
    def node_names(self) -> tuple[str, ...]:
        """The names of the job's nodes in their order, the one that runs the script first."""
        if self.node_list:
            return tuple(hostlist.expand(self.node_list))
        return (self.host,) if self.host else ()

    @property
    def batch_host(self) -> str:
        """The name of the node that runs the script; empty while there is none."""
        return next(iter(self.node_names), "")

    @property
    def short_host(self) -> str:
        """What ``%N`` stands for in names of files: as the script knows its node, mostly without domain."""
        return self.batch_host if self.node_list else hostlist.without_domain(self.host)


@dataclass(frozen=True)
class PastAttempt:
    """An attempt of a job that was followed by another one. Times are seconds since the epoch."""

    job_id: int
    attempt: int
    state: str  # SLURM's word
    submitted_at: float
    started_at: float | None
    ended_at: float | None
    host: str
    exit_code: int | None
    signal: int | None
    node_list: str = ""


@dataclass(frozen=True)
class JobEvent:
    """One recorded change of a job."""

    job_id: int
    sequence: int
    time: float
    phase: JobPhase
    source: str  # who says so: "sbatch", "aurora", "fetch", "scancel", "daemon" ...
    reason: str
    native_state: str = ""
