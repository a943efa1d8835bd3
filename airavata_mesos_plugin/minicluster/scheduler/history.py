"""Ended tasks are kept for a while, and a limited number of each job (Aurora 0.22)."""

from __future__ import annotations

from itertools import islice, takewhile

from airavata_mesos_plugin.minicluster.scheduler.store import TaskStore
from airavata_mesos_plugin.minicluster.scheduler.task import Task
from airavata_mesos_plugin.minicluster.settings import ClusterSettings


def prunable(store: TaskStore, settings: ClusterSettings, now_ms: int) -> list[Task]:
    """Tasks to remove now: ended too long ago, or the oldest beyond a job's limit if they are not too
    young."""
    oldest_kept = now_ms - settings.history_max_age * 1000
    found = {task.task_id: task for task in takewhile(lambda t: t.changed_ms <= oldest_kept, store.ended())}
    youngest_pruned = now_ms - settings.history_min_age * 1000
    for key in store.crowded_jobs(settings.history_max_per_job):
        excess = store.ended_count(key) - settings.history_max_per_job
        for task in islice(store.ended_of_job(key), excess):
            if task.changed_ms <= youngest_pruned:
                found[task.task_id] = task
    return list(found.values())
