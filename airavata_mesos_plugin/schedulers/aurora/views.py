"""What Aurora answers, as plain values with types (Aurora 0.22). Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.jobs import JobKey
from airavata_mesos_plugin.schedulers.aurora.tasks import native_name

Spans = tuple[tuple[int, int], ...]
"""Closed ranges of instance ids, ascending."""


@dataclass(frozen=True)
class Amounts:
    """Cores, MiB, MiB, GPUs and names of ports."""

    cpus: float = 0.0
    ram_mb: int = 0
    disk_mb: int = 0
    gpus: int = 0
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quota:
    """What a role may use, and what it uses by kind of job."""

    quota: Amounts
    prod_shared: Amounts
    nonprod_shared: Amounts
    prod_dedicated: Amounts
    nonprod_dedicated: Amounts


@dataclass(frozen=True)
class Config:
    """The configuration of a task, as far as people ask for it; ``data`` is the executor's JSON."""

    key: JobKey
    user: str
    service: bool
    production: bool
    tier: str
    priority: int
    max_task_failures: int
    amounts: Amounts
    metadata: tuple[tuple[str, str], ...]
    contact: str
    executor: str
    data: str | None


@dataclass(frozen=True)
class Job:
    """A job with active tasks, or a cron entry."""

    key: JobKey
    config: Config
    instances: int
    cron_schedule: str | None = None
    cron_collision_policy: str = ""


@dataclass(frozen=True)
class JobSummary:
    """A job and how many of its tasks, ended ones too, are in which group of states."""

    job: Job
    pending: int
    active: int
    finished: int
    failed: int
    next_cron_run: float | None


@dataclass(frozen=True)
class RoleSummary:
    """A role and how many jobs and cron entries it has."""

    role: str
    jobs: int
    cron_jobs: int


@dataclass(frozen=True)
class ConfigGroup:
    """Instances that share one configuration."""

    config: Config
    instances: Spans


@dataclass(frozen=True)
class TaskEvent:
    """One change of a task's state."""

    time: float
    state: str
    message: str
    scheduler: str


@dataclass(frozen=True)
class Task:
    """One task of one instance."""

    task_id: str
    key: JobKey
    instance: int
    state: str
    active: bool
    host: str
    agent_id: str
    ports: tuple[tuple[str, int], ...]
    failures: int
    partitions: int
    ancestor: str
    events: tuple[TaskEvent, ...]
    config: Config


@dataclass(frozen=True)
class Tiers:
    """Names of the tiers with their settings, and the one of jobs that name none."""

    default: str
    tiers: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class HostMode:
    """A host and its maintenance mode: NONE, SCHEDULED, DRAINING or DRAINED."""

    host: str
    mode: str


def key_of(wire: Any) -> JobKey:
    """The key of a struct."""
    return JobKey(wire.role or "", wire.environment or "", wire.name or "")


def seconds(milliseconds: int | None) -> float | None:
    """Seconds of a time stamp; None for one that was never set."""
    return milliseconds / 1000 if milliseconds else None


def amounts(resources: Iterable[Any]) -> Amounts:
    """The sum of a set of ``Resource``."""
    found: dict[str, Any] = {"cpus": 0.0, "ram_mb": 0, "disk_mb": 0, "gpus": 0}
    ports = []
    for one in resources:
        for member, name in (
            ("numCpus", "cpus"),
            ("ramMb", "ram_mb"),
            ("diskMb", "disk_mb"),
            ("numGpus", "gpus"),
        ):
            found[name] += getattr(one, member) or 0
        if one.namedPort is not None:
            ports.append(str(one.namedPort))
    return Amounts(**found, ports=tuple(sorted(ports)))


def aggregate(wire: Any) -> Amounts:
    """The amounts of a ``ResourceAggregate``; nothing for one that is missing."""
    return amounts(wire.resources or ()) if wire is not None else Amounts()


def resource_aggregate(wanted: Amounts) -> Any:
    """A quota as setQuota takes it: exactly cores, memory and disk."""
    return api.ResourceAggregate(
        resources=frozenset(
            {
                api.Resource(numCpus=wanted.cpus),
                api.Resource(ramMb=wanted.ram_mb),
                api.Resource(diskMb=wanted.disk_mb),
            }
        )
    )


def quota(wire: Any) -> Quota:
    """A ``GetQuotaResult``."""
    return Quota(
        aggregate(wire.quota),
        aggregate(wire.prodSharedConsumption),
        aggregate(wire.nonProdSharedConsumption),
        aggregate(wire.prodDedicatedConsumption),
        aggregate(wire.nonProdDedicatedConsumption),
    )


def config(wire: Any) -> Config:
    """A ``TaskConfig``."""
    executor = wire.executorConfig
    return Config(
        key=key_of(wire.job) if wire.job is not None else JobKey("", "", ""),
        user=(wire.owner.user if wire.owner is not None else "") or "",
        service=bool(wire.isService),
        production=bool(wire.production),
        tier=wire.tier or "",
        priority=wire.priority or 0,
        max_task_failures=wire.maxTaskFailures or 0,
        amounts=amounts(wire.resources or ()),
        metadata=tuple(sorted((note.key or "", note.value or "") for note in wire.metadata or ())),
        contact=wire.contactEmail or "",
        executor=(executor.name if executor is not None else "") or "",
        data=executor.data if executor is not None else None,
    )


def job(wire: Any) -> Job:
    """A ``JobConfiguration``."""
    policy = api.CronCollisionPolicy._VALUES_TO_NAMES.get(wire.cronCollisionPolicy, "")
    return Job(
        key=key_of(wire.key),
        config=config(wire.taskConfig),
        instances=wire.instanceCount or 0,
        cron_schedule=wire.cronSchedule,
        cron_collision_policy=policy if wire.cronSchedule is not None else "",
    )


def job_summary(wire: Any) -> JobSummary:
    """A ``JobSummary``."""
    stats = wire.stats
    return JobSummary(
        job=job(wire.job),
        pending=stats.pendingTaskCount or 0,
        active=stats.activeTaskCount or 0,
        finished=stats.finishedTaskCount or 0,
        failed=stats.failedTaskCount or 0,
        next_cron_run=seconds(wire.nextCronRunMs),
    )


def spans(ranges: Iterable[Any]) -> Spans:
    """A set of ``Range``."""
    return tuple(sorted((one.first, one.last) for one in ranges))


def config_groups(groups: Iterable[Any]) -> tuple[ConfigGroup, ...]:
    """A set of ``ConfigGroup``, by their instances."""
    found = [ConfigGroup(config(group.config), spans(group.instances or ())) for group in groups]
    return tuple(sorted(found, key=lambda group: group.instances))


def task(wire: Any) -> Task:
    """A ``ScheduledTask``."""
    assigned = wire.assignedTask
    found = config(assigned.task)
    state = native_name(wire.status)
    return Task(
        task_id=assigned.taskId or "",
        key=found.key,
        instance=assigned.instanceId or 0,
        state=state,
        # A number that nobody knows yet is an active state, see `tasks.phase_of`.
        active=state not in ("FINISHED", "FAILED", "KILLED", "LOST"),
        host=assigned.slaveHost or "",
        agent_id=assigned.slaveId or "",
        ports=tuple(sorted((assigned.assignedPorts or {}).items())),
        failures=wire.failureCount or 0,
        partitions=wire.timesPartitioned or 0,
        ancestor=wire.ancestorId or "",
        events=tuple(
            TaskEvent(
                (event.timestamp or 0) / 1000,
                native_name(event.status),
                event.message or "",
                event.scheduler or "",
            )
            for event in wire.taskEvents or ()
        ),
        config=found,
    )


def host_modes(statuses: Iterable[Any]) -> tuple[HostMode, ...]:
    """A set of ``HostStatus``, by name."""
    names = api.MaintenanceMode._VALUES_TO_NAMES
    return tuple(
        sorted(
            (HostMode(one.host or "", names.get(one.mode, f"UNKNOWN_{one.mode}")) for one in statuses),
            key=lambda found: found.host,
        )
    )
