"""Which tasks a TaskQuery means."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

from airavata_mesos_plugin.minicluster.scheduler.names import JobKey, is_valid_key, key_of, key_text
from airavata_mesos_plugin.minicluster.scheduler.status import ACTIVE_STATES
from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task


class BadQuery(ValueError):
    """The query names jobs by keys that cannot exist."""


def _checked(role: str, environment: str, name: str) -> JobKey:
    key = JobKey(role, environment, name)
    if not is_valid_key(key):
        raise BadQuery(f"Invalid job key format: {key_text(key)}")
    return key


def _candidates(store: TaskStore, query: Any) -> Iterable[Task]:
    """The smallest index that holds every match; the fields it covers are checked again by `find`."""
    only_active = bool(query.statuses) and all(status in ACTIVE_STATES for status in query.statuses)
    of_job = store.active_of_job if only_active else store.of_job
    scope = None
    if query.role and query.environment and query.jobName:
        scope = [_checked(query.role, query.environment, query.jobName)]
    if query.jobKeys:
        for key in query.jobKeys:
            if not is_valid_key(key):
                raise BadQuery(f"Invalid job key format: {key_text(key)}")
        scope = [key_of(key) for key in query.jobKeys] if scope is None else scope
    if query.taskIds:
        found = (store.get(task_id) for task_id in query.taskIds)
        return [task for task in found if task is not None]
    if scope is None and query.role:
        scope = store.active_jobs(query.role) if only_active else store.jobs(query.role)
    if scope is not None:
        return chain.from_iterable(map(of_job, scope))
    return store.active() if only_active else store.all()


def find(store: TaskStore, query: Any) -> list[Task]:
    """All matching tasks; `offset` and `limit` are not applied.  Raises BadQuery."""
    keys = {key_of(key) for key in query.jobKeys} if query.jobKeys else None

    def matches(task: Task) -> bool:
        return (
            (not query.role or task.key.role == query.role)
            and (not query.environment or task.key.environment == query.environment)
            and (not query.jobName or task.key.name == query.jobName)
            and (keys is None or task.key in keys)
            and (not query.taskIds or task.task_id in query.taskIds)
            and (not query.statuses or task.status in query.statuses)
            and (not query.slaveHosts or task.host in query.slaveHosts)
            and (not query.instanceIds or task.instance in query.instanceIds)
        )

    return [task for task in _candidates(store, query) if matches(task)]


def page(tasks: Iterable[Task], query: Any) -> list[Task]:
    offset = max(0, query.offset or 0)
    stop = offset + query.limit if query.limit and query.limit > 0 else None
    return list(islice(tasks, offset, stop))
