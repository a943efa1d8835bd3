"""Answers that fold many tasks into few lines: jobs, roles, configurations."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.names import JobKey
from airavata_mesos_plugin.minicluster.scheduler.status import TERMINAL_STATES, Status
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task

_PENDING = frozenset({Status.INIT, Status.PENDING, Status.THROTTLED})
_FINISHED = frozenset({Status.FINISHED, Status.KILLED})
_FAILED = frozenset({Status.FAILED, Status.LOST})


def _key_struct(key: JobKey) -> Any:
    return api.JobKey(role=key.role, environment=key.environment, name=key.name)


def _job_of(key: JobKey, tasks: list[Task]) -> Any:
    newest = max(tasks, key=lambda task: (task.active, task.changed_ms, task.sequence))
    return api.JobConfiguration(
        key=_key_struct(key),
        owner=newest.config.owner,
        taskConfig=newest.config,
        instanceCount=len(tasks),
    )


Crons = Mapping[JobKey, Any]
"""Cron entries as they were stored."""


def _of_role(crons: Crons, role: str | None) -> list[JobKey]:
    return [key for key in crons if role in (None, key.role)]


def active_jobs(store: TaskStore, role: str | None, crons: Crons) -> frozenset[Any]:
    """Cron entries stand in their stored form, also when tasks of theirs run."""
    built = (key for key in store.active_jobs(role) if key not in crons)
    jobs = [_job_of(key, list(store.active_of_job(key))) for key in built]
    return frozenset([*jobs, *(crons[key] for key in _of_role(crons, role))])


def _stats(tasks: Iterable[Task]) -> Any:
    counts: Counter[str] = Counter()
    for task in tasks:
        if task.status in _PENDING:
            counts["pendingTaskCount"] += 1
        elif task.status not in TERMINAL_STATES:
            counts["activeTaskCount"] += 1
        elif task.status in _FINISHED:
            counts["finishedTaskCount"] += 1
        elif task.status in _FAILED:
            counts["failedTaskCount"] += 1
    names = ("activeTaskCount", "finishedTaskCount", "failedTaskCount", "pendingTaskCount")
    return api.JobStats(**{name: counts[name] for name in names})


def job_summaries(
    store: TaskStore, role: str | None, crons: Crons, next_run_ms: Callable[[JobKey], int | None]
) -> frozenset[Any]:
    """One for each job that has any task, ended ones included, or a cron entry."""
    found = []
    for key in dict.fromkeys([*store.jobs(role), *_of_role(crons, role)]):
        tasks = list(store.of_job(key))
        cron = crons.get(key)
        job = _job_of(key, tasks) if cron is None else cron
        due = None if cron is None else next_run_ms(key)
        found.append(api.JobSummary(job=job, stats=_stats(tasks), nextCronRunMs=due))
    return frozenset(found)


def role_summaries(store: TaskStore, crons: Crons) -> frozenset[Any]:
    jobs, scheduled = store.roles(), Counter(key.role for key in crons)
    return frozenset(
        api.RoleSummary(role=role, jobCount=jobs.get(role, 0), cronJobCount=scheduled[role])
        for role in {*jobs, *scheduled}
    )


def ranges(numbers: Iterable[int]) -> frozenset[Any]:
    """Closed ranges that cover the numbers."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return frozenset(api.Range(first=first, last=last) for first, last in found)


def config_summary(store: TaskStore, key: JobKey) -> Any:
    """The active tasks of a job, grouped by equal configuration."""
    groups: defaultdict[Any, list[int]] = defaultdict(list)
    for task in store.active_of_job(key):
        groups[task.config].append(task.instance)
    structs = (api.ConfigGroup(config=c, instances=ranges(instances)) for c, instances in groups.items())
    return api.ConfigSummary(key=_key_struct(key), groups=frozenset(structs))
